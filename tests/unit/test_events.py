"""What is told of a change, and what is not told twice."""

from __future__ import annotations

from modeldeployment_operator.api.conditions import Reason
from modeldeployment_operator.api.status import ModelDeploymentStatus
from modeldeployment_operator.core import kinds
from modeldeployment_operator.core.decision import decide
from modeldeployment_operator.core.events import Event, events_between
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Problem
from modeldeployment_operator.core.status import summarise

from tests.support.observations import ObservationBuilder, an_observation, degraded, healthy, inconclusive

NEW = an_observation().having(knows=frozenset(kinds.OPTIONAL))
SERVES = NEW.serving("m-1").ready("m-1").having(selected="m-1")
PROBATION = NEW.standby("m-1").ready("m-1").serving("m-2").ready("m-2").asks_for("m-2").having(selected="m-2")
NOTHING = ModelDeploymentStatus()


def status(
    builder: ObservationBuilder,
    judged: dict[str, Judged] | None = None,
    monitoring: dict[kinds.Kind, Problem] | None = None,
) -> ModelDeploymentStatus:
    observation = builder.obj()
    return summarise(observation, judged or {}, decide(observation, judged or {}), None, monitoring or {})


def reasons(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> list[tuple[Reason, bool]]:
    return [(event.reason, event.warning) for event in events_between(before, after)]


def test_nothing_new_is_not_told() -> None:
    assert events_between(status(SERVES), status(SERVES)) == []


def test_more_labels_are_not_told() -> None:
    assert reasons(status(SERVES, {"m-1": healthy()}), status(SERVES, {"m-1": healthy(980, 20)})) == []


def test_the_first_revision() -> None:
    started = status(NEW)

    assert events_between(NOTHING, started) == [Event(Reason.CANDIDATE_STARTED, "Starting m-1")]
    assert events_between(started, status(NEW.ready("m-1"))) == [Event(Reason.PROMOTED, "m-1 has the traffic")]


def test_a_rollback_is_told_with_its_numbers_and_once() -> None:
    before, after = status(PROBATION, {"m-2": inconclusive()}), status(PROBATION, {"m-2": degraded()})
    events = events_between(before, after)

    assert [(event.reason, event.warning) for event in events] == [(Reason.ROLLED_BACK, True)]
    assert events[0].message.startswith("Rolled back from m-2 to m-1: accuracy 0.7000 [")
    assert "from 100 labels, should have been at least 0.9000" in events[0].message
    assert events_between(after, after) == []


def test_a_promotion_after_a_rollback_is_a_promotion() -> None:
    rolled_back = NEW.rejected("m-2").serving("m-1").ready("m-1").asks_for("m-3").having(selected="m-1")

    told = reasons(status(rolled_back), status(rolled_back.ready("m-3")))
    assert told == [(Reason.PROMOTED, False)]


def test_bad_news_are_warnings() -> None:
    good = status(SERVES, {"m-1": healthy()})
    pull = Problem(Reason.IMAGE_PULL_FAILED, "no")

    assert reasons(good, status(SERVES, {"m-1": degraded()})) == [(Reason.NO_ROLLBACK_TARGET, True)]
    assert reasons(good, status(SERVES.ready("m-1", 0), {"m-1": healthy()})) == [(Reason.NO_READY_PODS, True)]
    stalled = status(SERVES.asks_for("m-2").candidate("m-2").failing("m-2", pull), {"m-1": healthy()})
    assert (Reason.IMAGE_PULL_FAILED, True) in reasons(good, stalled)
    refused = {kinds.SERVICE_MONITOR: Problem(Reason.APPLY_REFUSED, "no such action")}
    assert reasons(good, status(SERVES, {"m-1": healthy()}, refused)) == [(Reason.APPLY_REFUSED, True)]


def test_good_news_are_not() -> None:
    assert reasons(status(SERVES, {"m-1": inconclusive()}), status(SERVES, {"m-1": healthy()})) == [
        (Reason.HEALTHY, False)
    ]
    assert reasons(status(SERVES.ready("m-1", 0)), status(SERVES)) == [(Reason.SERVING, False)]
