"""A candidate whose pods do not get ready in time is given up, unless there is nothing else to serve."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from modeldeployment_operator.api.conditions import ConditionType, Reason
from modeldeployment_operator.api.status import ModelDeploymentStatus, RejectionCause, StartingStatus
from modeldeployment_operator.core.decision import decide
from modeldeployment_operator.core.observation import Asked, Observation, Problem
from modeldeployment_operator.core.resources import build_verdict
from modeldeployment_operator.core.schedule import next_deadline
from modeldeployment_operator.core.status import document, summarise

from tests.support.observations import NOW, ObservationBuilder, ago, an_observation

SERVES = an_observation(rollout={"progressDeadline": "30m"}).serving("m-1").ready("m-1").having(selected="m-1")
NO_MODEL = Problem(Reason.FETCH_FAILED, "https://models/m-2.keras: 404 Not Found")
FAILING = SERVES.candidate("m-2").failing("m-2", NO_MODEL)
FIRST = an_observation(rollout={"progressDeadline": "30m"}).candidate("m-1")


def begun(builder: ObservationBuilder, minutes: int, ready: int = 0) -> ObservationBuilder:
    """The status tells that what is asked for began to start so long ago."""
    starting = StartingStatus(revision=builder.wish, since=ago(minutes=minutes), ready=ready)
    return builder.remembers(starting=starting)


def looked(observation: Observation) -> ModelDeploymentStatus:
    return summarise(observation, {}, decide(observation, {}))


def test_it_is_remembered_since_when_a_candidate_starts() -> None:
    status = looked(SERVES.asks_for("m-2").obj())
    assert status.starting == StartingStatus(revision="m-2", since=ago(), ready=0)
    again = looked(replace(FAILING.obj(), status=status, now=NOW + timedelta(minutes=10)))
    assert again.starting == status.starting
    assert ModelDeploymentStatus.parse(document(again)) == again


def test_a_pod_more_than_ever_before_is_progress() -> None:
    builder = begun(SERVES.candidate("m-2"), 40)
    assert looked(builder.ready("m-2", 1).obj()).starting == StartingStatus(revision="m-2", since=ago(), ready=1)
    fallen = begun(SERVES.candidate("m-2"), 20, ready=1).starting("m-2")
    assert looked(fallen.obj()).starting == StartingStatus(revision="m-2", since=ago(minutes=20), ready=1)


def test_who_is_ready_is_no_longer_starting() -> None:
    assert looked(begun(SERVES.candidate("m-2"), 40).ready("m-2").obj()).starting is None


def test_when_time_is_over_it_is_given_up_and_the_message_says_why() -> None:
    observation = begun(FAILING, 30).obj()
    decision = decide(observation, {})
    assert (decision.serving, decision.candidate, decision.running) == ("m-1", None, {"m-1"})
    assert decision.rejection is not None
    assert decision.rejection.reason is RejectionCause.PROGRESS_DEADLINE_EXCEEDED
    status = summarise(observation, {}, decision)
    told = {one.type: one for one in status.conditions}
    assert told[ConditionType.STALLED].reason is Reason.ROLLED_BACK
    assert told[ConditionType.ROLLED_BACK].reason is Reason.PROGRESS_DEADLINE_EXCEEDED
    assert "not all ready within 30m: https://models/m-2.keras: 404" in told[ConditionType.ROLLED_BACK].message
    assert status.starting is None
    verdict = build_verdict(observation, {}, decision)
    assert verdict is not None
    assert verdict["spec"]["outcome"] == "Withdrawn"


@pytest.mark.parametrize(
    "builder",
    [
        begun(FAILING, 29),
        begun(FAILING, 30, ready=0).ready("m-2", 1),
        begun(FAILING.spec(rollout={"progressDeadline": "0s"}), 9999),
        begun(FAILING, 40).paused(),
        begun(FAILING, 40).spec(replicas=0).ready("m-2", 0, of=0, settled=False),
    ],
    ids=["not yet", "progress just now", "for ever", "paused", "no pods wanted"],
)
def test_it_is_not_given_up(builder: ObservationBuilder) -> None:
    decision = decide(builder.obj(), {})
    assert (decision.serving, decision.candidate, decision.rejection) == ("m-1", "m-2", None)


def test_a_pause_begins_the_time_anew() -> None:
    assert looked(begun(FAILING, 40).paused().obj()).starting is None


def test_the_first_revision_of_all_is_never_given_up() -> None:
    observation = begun(FIRST, 30).starting("m-1").obj()
    decision = decide(observation, {})
    assert (decision.candidate, decision.rejection) == ("m-1", None)
    told = {one.type: one for one in summarise(observation, {}, decision).conditions}
    assert told[ConditionType.STALLED].reason is Reason.PROGRESS_DEADLINE_EXCEEDED
    assert "within 30m" in told[ConditionType.STALLED].message
    failing = begun(FIRST, 30).failing("m-1", NO_MODEL).obj()
    stalled = {one.type: one for one in looked(failing).conditions}[ConditionType.STALLED]
    assert (stalled.reason, "404" in stalled.message, "within 30m" in stalled.message) == (
        Reason.FETCH_FAILED,
        True,
        True,
    )


def test_it_is_looked_at_when_the_time_is_over() -> None:
    observation = begun(FAILING, 20).obj()
    assert next_deadline(observation, decide(observation, {})) == NOW + timedelta(minutes=10)


def test_it_is_tried_again_when_its_user_asks() -> None:
    rejected = looked(begun(FAILING, 30).obj())
    again = replace(FAILING.obj(), status=rejected, asked=Asked(retry="1"))
    assert decide(again, {}).candidate == "m-2"
    assert looked(again).starting == StartingStatus(revision="m-2", since=ago(), ready=0)
