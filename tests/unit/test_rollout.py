"""How a new revision comes to the traffic: its steps, what each waits for, and what ends them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from modeldeployment_operator.api.conditions import ConditionType, Reason
from modeldeployment_operator.api.rollout import Strategy
from modeldeployment_operator.api.status import Baseline, RejectionCause, RolloutStatus
from modeldeployment_operator.core.decision import Decision, decide
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Asked
from modeldeployment_operator.core.revisions import Snapshot
from modeldeployment_operator.core.status import summarise

from tests.support.observations import (
    ObservationBuilder,
    a_template,
    ago,
    an_observation,
    degraded,
    healthy,
    inconclusive,
)

STEPS = [
    {"weight": 5, "hold": {"labels": 100, "healthy": True}},
    {"weight": 50, "hold": {"duration": "30m"}},
]
CANARY = {"strategy": "Canary", "steps": STEPS}
HELD = {"duration": "30m"}


def ready(**rollout: Any) -> ObservationBuilder:
    """m-1 serves, and all pods of m-2, which is asked for, are ready."""
    builder = an_observation(rollout=rollout).serving("m-1").ready("m-1")
    return builder.candidate("m-2").ready("m-2")


def at(step: int, minutes: int = 10, strategy: Strategy = Strategy.CANARY, **fields: Any) -> RolloutStatus:
    """m-2 has been at a step for so long."""
    return RolloutStatus(revision="m-2", strategy=strategy, step=step, since=ago(minutes=minutes), **fields)


def decided(builder: ObservationBuilder, **judged: Judged) -> Decision:
    return decide(builder.obj(), {name.replace("_", "-"): one for name, one in judged.items()})


def test_a_canary_begins_with_its_first_step() -> None:
    decision = decided(ready(**CANARY), m_2=healthy(8, 2))
    rollout = decision.rollout
    assert (decision.serving, decision.candidate, decision.weight, decision.switched) == ("m-1", "m-2", 5, False)
    assert rollout is not None
    assert (rollout.step, rollout.steps, rollout.labels_before, rollout.since) == (1, 2, 10, ago())
    assert rollout.waits_for == "100 labels, the verdict Healthy"


@pytest.mark.parametrize(
    ("rollout", "judged", "step"),
    [
        (at(1), healthy(90, 9), 1),
        (at(1), healthy(90, 10), 2),
        (at(1, labels_before=1), healthy(90, 10), 1),
        (at(1), inconclusive(90, 10), 1),
        (at(2, minutes=29), healthy(), 2),
    ],
    ids=["too few labels", "all of them", "too few since it began", "not healthy", "not long enough"],
)
def test_a_step_ends_when_all_that_it_waits_for_is_true(rollout: RolloutStatus, judged: Judged, step: int) -> None:
    decision = decided(ready(**CANARY).remembers(rollout=rollout), m_2=judged)
    assert decision.rollout is not None
    assert (decision.rollout.step, decision.weight) == (step, STEPS[step - 1]["weight"])


def test_after_the_last_step_it_takes_the_traffic() -> None:
    decision = decided(ready(**CANARY).remembers(rollout=at(2, minutes=30)), m_2=healthy())
    assert (decision.serving, decision.switched, decision.rollout) == ("m-2", True, None)


def test_steps_wait_for_pods_and_do_not_begin_anew() -> None:
    rollout = at(2, minutes=40)
    decision = decided(ready(**CANARY).ready("m-2", 1).remembers(rollout=rollout), m_2=healthy())
    assert decision.rollout is not None
    assert (decision.serving, decision.rollout.since, decision.rollout.step) == ("m-1", rollout.since, 2)
    assert decision.weight == 50, "as the spec has it now"


@pytest.mark.parametrize("pause", [{"spec": True}, {"annotation": True}], ids=str)
def test_a_pause_holds_the_share_where_it_is(pause: dict[str, bool]) -> None:
    builder = ready(**CANARY).remembers(rollout=at(2, minutes=40, weight=50))
    builder = builder.paused() if "spec" in pause else builder.having(asked=Asked(paused=True))
    decision = decided(builder, m_2=healthy())
    assert (decision.serving, decision.weight, decision.switched) == ("m-1", 50, False)


def test_a_candidate_that_is_proven_worse_gets_nothing_more() -> None:
    decision = decided(ready(**CANARY).remembers(rollout=at(1)), m_1=healthy(), m_2=degraded())
    assert (decision.serving, decision.candidate, decision.rollout, decision.switched) == ("m-1", None, None, False)
    assert decision.rejection is not None
    assert (decision.rejection.revision, decision.rejection.rolled_back_to) == ("m-2", "m-1")
    assert decision.rejection.reason is RejectionCause.DEGRADED
    assert decision.running == {"m-1"}


def test_without_rollback_a_candidate_that_is_worse_stays_where_it_is() -> None:
    builder = (
        ready(**CANARY).spec(policies={"degraded": {"action": "Hold"}}).remembers(rollout=at(2, minutes=40, weight=50))
    )
    decision = decided(builder, m_1=healthy(), m_2=degraded())
    assert (decision.serving, decision.weight, decision.rejection) == ("m-1", 50, None)


def test_both_falling_is_drift_and_takes_nothing_back() -> None:
    builder = ready(**CANARY).standby("m-0").ready("m-0").remembers(rollout=at(1, weight=5))
    outlasted = builder.serving("m-1", serving_since=ago(days=2))
    decision = decided(outlasted, m_1=degraded(), m_2=degraded())
    assert (decision.serving, decision.candidate, decision.rejection, decision.drift) == ("m-1", "m-2", None, True)
    assert decision.weight == 0
    assert decided(outlasted.having(asked=Asked(promote="m-2")), m_1=degraded(), m_2=degraded()).serving == "m-2"


def test_on_probation_a_shared_fault_is_no_drift() -> None:
    """The successor may have inherited it, and the revision before both stands by."""
    builder = ready(**CANARY).standby("m-0").ready("m-0").remembers(rollout=at(1, weight=5))
    decision = decided(builder, m_1=degraded(), m_2=degraded())
    assert (decision.serving, decision.drift) == ("m-0", False)


def test_a_stable_that_falls_alone_is_taken_back_and_the_canary_goes_on() -> None:
    builder = ready(**CANARY).standby("m-0").ready("m-0").remembers(rollout=at(1, weight=5))
    decision = decided(builder, m_1=degraded(), m_2=healthy())
    assert (decision.serving, decision.candidate, decision.weight) == ("m-0", "m-2", 5)


def test_a_user_promotes_at_once() -> None:
    builder = ready(**CANARY).remembers(rollout=at(1)).having(asked=Asked(promote="m-2"))
    assert decided(builder).serving == "m-2"
    assert decided(builder.having(asked=Asked(promote="m-3"))).serving == "m-1"


def test_a_user_gives_a_candidate_up() -> None:
    builder = ready(**CANARY).remembers(rollout=at(1)).having(asked=Asked(abort="m-2"))
    decision = decided(builder)
    assert (decision.serving, decision.candidate) == ("m-1", None)
    assert decision.rejection is not None
    assert (decision.rejection.reason, decision.rejection.estimate) == (RejectionCause.ABORTED, None)


def test_a_user_gives_up_what_serves() -> None:
    builder = an_observation().standby("m-1").ready("m-1").serving("m-2").ready("m-2").asks_for("m-2")
    decision = decided(builder.having(asked=Asked(abort="m-2")).paused(), m_2=healthy())
    assert (decision.serving, decision.switched) == ("m-1", True)
    assert decision.rejection is not None
    assert (decision.rejection.reason, decision.rejection.estimate) == (RejectionCause.ABORTED, "0.9800")


def test_what_is_given_up_is_given_up_once() -> None:
    builder = an_observation().rejected("m-2").serving("m-1").ready("m-1").asks_for("m-2")
    decision = decided(builder.having(asked=Asked(abort="m-2")))
    assert (decision.serving, decision.candidate, decision.rejection) == ("m-1", None, None)

    tried_again = ready(**CANARY).remembers(rollout=at(1), aborted="m-2", promoted="m-2")
    left = tried_again.having(asked=Asked(retry="1", abort="m-2", promote="m-2"))
    assert (decided(left).candidate, decided(left).weight) == ("m-2", 5), "words that were acted on mean nothing more"


def test_a_word_is_acted_on_once_and_forgotten_when_it_is_gone() -> None:
    builder = ready(**CANARY).remembers(rollout=at(1))
    for asked, acted_on in ((Asked(promote="m-2"), ("m-2", None)), (Asked(abort="m-2"), (None, "m-2"))):
        observation = builder.having(asked=asked).obj()
        status = summarise(observation, {}, decide(observation, {}))
        assert (status.promoted, status.aborted) == acted_on
        for later, remembered in ((asked, acted_on), (Asked(promote="m-7", abort="m-7"), (None, None))):
            after = builder.remembers(promoted=status.promoted, aborted=status.aborted).having(asked=later).obj()
            again = summarise(after, {}, decide(after, {}))
            assert (again.promoted, again.aborted) == remembered


def test_one_that_is_tried_again_may_be_given_up() -> None:
    builder = ready(**CANARY).rejected("m-2", retry="0").candidate("m-2").remembers(rollout=at(1))
    decision = decided(builder.having(asked=Asked(retry="1", abort="m-2")))
    assert decision.rejection is not None
    assert decision.rejection.reason is RejectionCause.ABORTED


def test_another_strategy_begins_anew() -> None:
    builder = ready(strategy="BlueGreen", hold=HELD).remembers(rollout=at(1, minutes=180))
    rollout = decided(builder).rollout
    assert rollout is not None
    assert (rollout.strategy, rollout.since) == (Strategy.BLUE_GREEN, ago())


def test_what_it_is_measured_from_is_fixed_when_its_rollout_begins() -> None:
    """One test, and one alpha, from its first label on."""
    builder = ready(strategy="BlueGreen", hold=HELD).spec(accuracy={"maximumDrop": 0.02})
    observation = builder.obj()
    judged = {"m-1": healthy(960, 40)}
    status = summarise(observation, judged, decide(observation, judged))
    baselines = {one.name: one.baseline for one in status.revisions}
    assert baselines["m-2"] is not None
    assert (baselines["m-2"].right, baselines["m-2"].wrong) == (960, 40)

    later = builder.remembers(rollout=at(1, 30, Strategy.BLUE_GREEN), revisions=status.revisions).obj()
    judged = {"m-1": healthy(9600, 400), "m-2": healthy()}
    taken = summarise(later, judged, decide(later, judged))
    assert taken.serving_revision == "m-2"
    assert {one.name: one.baseline for one in taken.revisions}["m-2"] == baselines["m-2"]


def test_what_is_compared_on_its_way_is_measured_from_where_the_other_one_stood_in_the_end() -> None:
    former = Baseline(metric="accuracy", right=10, wrong=0)
    builder = ready(**CANARY).spec(accuracy={"maximumDrop": 0.02}).candidate("m-2", baseline=former)
    judged = {"m-1": healthy(960, 40), "m-2": healthy()}
    begun = summarise(builder.obj(), judged, decide(builder.obj(), judged))
    assert {one.name: one.baseline for one in begun.revisions}["m-2"] is None

    later = builder.remembers(rollout=at(2, minutes=30), revisions=begun.revisions).obj()
    judged = {"m-1": healthy(9600, 400), "m-2": healthy()}
    taken = summarise(later, judged, decide(later, judged))
    baseline = {one.name: one.baseline for one in taken.revisions}["m-2"]
    assert baseline is not None
    assert (taken.serving_revision, baseline.right, baseline.wrong) == ("m-2", 9600, 400)


def test_autoscaling_takes_no_pods_from_a_rollout() -> None:
    """The one that serves has less to do at each step, and must be able to take all of it back."""
    scaled = ready(**CANARY).spec(
        replicas=None,
        autoscaling={"minReplicas": 1, "maxReplicas": 20, "podMetrics": [{"name": "x", "averageValue": 1}]},
    )
    begun = decided(scaled.ready("m-1", 10, of=10).ready("m-2", 10, of=10)).rollout
    assert begun is not None
    assert begun.replicas == 10
    shrunk = scaled.ready("m-1", 1, of=1).ready("m-2", 10, of=10).remembers(rollout=begun).obj()
    assert shrunk.replicas == shrunk.least_replicas == 10


@pytest.mark.parametrize(("strategy", "copies"), [("BlueGreen", False), ("Shadow", True)])
def test_without_a_share_it_waits_beside(strategy: str, *, copies: bool) -> None:
    builder = ready(strategy=strategy, hold=HELD)
    decision = decided(builder)
    assert (decision.serving, decision.candidate, decision.weight, decision.copies) == ("m-1", "m-2", 0, copies)
    assert decided(builder.remembers(rollout=at(1, 30, Strategy(strategy)))).serving == "m-2"


def test_approval_is_waited_for_when_all_else_has_come_true() -> None:
    rollout = at(1, 60, Strategy.BLUE_GREEN)
    builder = ready(strategy="BlueGreen", hold=HELD | {"approval": True}).remembers(rollout=rollout)
    assert decided(builder).serving == "m-1"
    assert decided(builder.having(asked=Asked(promote="m-2"))).serving == "m-2"


def test_another_wish_begins_anew() -> None:
    builder = ready(**CANARY).remembers(rollout=at(2, weight=50)).asks_for("m-3").ready("m-3")
    decision = decided(builder)
    assert decision.rollout is not None
    assert (decision.candidate, decision.rollout.revision, decision.weight) == ("m-3", "m-3", 5)


def test_a_spec_with_fewer_steps_goes_on_with_the_last() -> None:
    builder = ready(strategy="Canary", steps=STEPS[:1]).remembers(rollout=at(2, weight=50))
    decision = decided(builder)
    assert decision.rollout is not None
    assert (decision.rollout.step, decision.rollout.steps, decision.weight) == (1, 1, 5)


def test_labels_that_are_counted_anew_are_waited_for_anew() -> None:
    builder = ready(**CANARY).remembers(rollout=at(1, labels_before=500))
    rollout = decided(builder, m_2=healthy(50, 0)).rollout
    assert rollout is not None
    assert rollout.labels_before == 50


def test_without_pods_nothing_is_tried() -> None:
    """Time would pass all the same, and a revision that nobody has seen would take the traffic."""
    timed = {"strategy": "Canary", "steps": [{"weight": 5, "hold": {"duration": "1s"}}]}
    builder = ready(**timed).spec(replicas=0).ready("m-1", 0, of=0).ready("m-2", 0, of=0)
    observation = builder.remembers(rollout=at(1, minutes=40)).obj()
    decision = decide(observation, {})
    assert (decision.serving, decision.candidate, decision.rollout) == ("m-1", "m-2", None)
    told = {one.type: one for one in summarise(observation, {}, decision).conditions}
    assert told[ConditionType.READY].reason is Reason.SCALED_TO_ZERO
    assert told[ConditionType.STALLED].reason is Reason.SCALED_TO_ZERO
    promoted = builder.having(asked=Asked(promote="m-2")).obj()
    assert decide(promoted, {}).serving == "m-2", "its user has the last word"
    again = ready(**timed).obj()
    begun = decide(again, {}).rollout
    assert begun is not None
    assert (begun.step, begun.since) == (1, ago()), "it begins anew when there are pods"


def test_a_retry_goes_on_when_the_annotation_is_taken_away() -> None:
    builder = an_observation(rollout=CANARY).serving("m-1").ready("m-1").rejected("m-2").asks_for("m-2").ready("m-2")
    asked = builder.having(asked=Asked(retry="1")).obj()
    status = summarise(asked, {}, decide(asked, {}))
    assert status.rollout is not None
    assert status.rejections[0].retried
    removed = replace(asked, status=status, asked=Asked())
    assert (decide(removed, {}).candidate, decide(removed, {}).weight) == ("m-2", 5)
    elsewhere = replace(removed, desired=Snapshot("m-1", a_template("m-1")))
    left = summarise(elsewhere, {}, decide(elsewhere, {}))
    back = replace(removed, status=left)
    assert decide(back, {}).candidate is None, "who is asked for later has to be asked to be tried again"
