"""What is done when things are not as they should be: each situation, each action, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.policies import Action, Situation
from modeldeployment_operator.api.rollout import Strategy
from modeldeployment_operator.api.spec import AccuracyMetric
from modeldeployment_operator.api.status import (
    MESSAGE_KEPT,
    Activity,
    ModelDeploymentStatus,
    RejectionCause,
    RevisionPhase,
    RolloutStatus,
    SituationStatus,
    Verdict,
)
from modeldeployment_operator.core.decision import Decision, decide
from modeldeployment_operator.core.events import events_between
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Asked, Observation
from modeldeployment_operator.core.resources import build_verdict
from modeldeployment_operator.core.status import document, summarise, without_activity, without_counts

from tests.support.observations import (
    LEVEL,
    NOW,
    ObservationBuilder,
    a_sample,
    ago,
    an_observation,
    degraded,
    evidence,
    healthy,
)

CANARY = {
    "strategy": "Canary",
    "steps": [{"weight": 5, "hold": {"duration": "10m"}}, {"weight": 50, "hold": {"labels": 9}}],
}
HOURLY = {
    "strategy": "Canary",
    "steps": [{"weight": 5, "hold": {"duration": "1h"}}, {"weight": 50, "hold": {"labels": 9}}],
}
WAITS = {"strategy": "Canary", "steps": [{"weight": 5, "hold": {"labels": 9}}, {"weight": 50, "hold": {"labels": 9}}]}
BACK = {"m-1": healthy(), "m-2": healthy()}
FEW = {"m-1": healthy(), "m-2": healthy(4, 0)}
BOTH = {"m-1": degraded(), "m-2": degraded()}
WORSE = {"m-1": healthy(), "m-2": degraded()}


def silent(right: int = 98, wrong: int = 2) -> Judged:
    """Nothing can be read."""
    state = evidence(right, wrong)
    return Judged(AccuracyMetric.ACCURACY, Verdict.UNAVAILABLE, LEVEL, state, log_e=-0.5, before=Verdict.HEALTHY)


SILENT = {"m-1": silent(), "m-2": silent()}


def canary(minutes: int = 5, **policies: Any) -> ObservationBuilder:
    """m-1 serves for long, and m-2 is at the first step of a canary."""
    rollout = RolloutStatus(
        revision="m-2", strategy=Strategy.CANARY, step=1, steps=2, weight=5, since=ago(minutes=minutes)
    )
    builder = an_observation(rollout=CANARY, policies=policies).serving("m-1", serving_since=ago(days=9)).ready("m-1")
    builder = builder.candidate("m-2").ready("m-2").remembers(rollout=rollout)
    return builder.having(selected="m-1", silence="nobody answers")


def probation(**policies: Any) -> ObservationBuilder:
    """m-2 took over from m-1 an hour ago, and m-1 stands by."""
    builder = an_observation(policies=policies).standby("m-1").ready("m-1").serving("m-2").ready("m-2")
    return builder.asks_for("m-2").having(selected="m-2", silence="nobody answers")


def then(observation: Observation, judged: dict[str, Judged], **changes: Any) -> Observation:
    """Return the same after a look, and after what has changed since."""
    status = summarise(observation, judged, decide(observation, judged))
    assert ModelDeploymentStatus.parse(document(status)) == status
    return replace(observation, status=status, **changes)


def told(observation: Observation, judged: dict[str, Judged]) -> dict[ConditionType, Condition]:
    status = summarise(observation, judged, decide(observation, judged))
    return {one.type: one for one in status.conditions}


def stays(decision: Decision, weight: int = 5) -> bool:
    """Return whether the candidate is where it was."""
    step = decision.rollout.step if decision.rollout else 0
    return (decision.serving, decision.candidate, step, decision.weight) == ("m-1", "m-2", 1, weight)


# Degraded
def test_by_default_a_proof_is_acted_on() -> None:
    decision = decide(canary().obj(), WORSE)
    assert decision.rejection is not None
    assert (decision.rejection.reason, decision.candidate) == (RejectionCause.DEGRADED, None)


@pytest.mark.parametrize("action", ["Hold", "Pause"])
def test_a_candidate_that_is_proven_worse_can_be_held(action: str) -> None:
    observation = canary(20, degraded={"action": action}).obj()
    assert stays(decide(observation, WORSE))
    conditions = told(observation, WORSE)
    assert conditions[ConditionType.NEEDS_ATTENTION].reason is Reason.DEGRADED
    ready = conditions[ConditionType.READY].reason
    assert ready is (Reason.DEGRADED if action == "Hold" else Reason.PAUSED)
    assert (ConditionType.STALLED in conditions) == (action == "Hold")
    assert ConditionType.RECONCILING not in conditions


def test_alert_changes_nothing_and_tells() -> None:
    observation = canary(20, degraded={"action": "Alert"}).obj()
    decision = decide(observation, WORSE)
    assert (decision.weight, decision.rejection) == (50, None)
    assert told(observation, WORSE)[ConditionType.NEEDS_ATTENTION].reason is Reason.DEGRADED


@pytest.mark.parametrize("action", ["Hold", "Pause", "Alert"])
def test_what_serves_and_is_proven_worse_serves_on_unless_it_is_to_be_rolled_back(action: str) -> None:
    decision = decide(probation(degraded={"action": action}).obj(), {"m-2": degraded()})
    assert (decision.serving, decision.rejection) == ("m-2", None)
    assert decision.standby_runs == (action != "Alert"), "its user may give it up"
    assert decision.situations[0].action is Action.ALERT, "what serves can be held nowhere"


# Drift
@pytest.mark.parametrize("action", ["Hold", "Pause"])
def test_drift_takes_the_requests_away_and_nothing_back(action: str) -> None:
    decision = decide(canary(drift={"action": action}).obj(), BOTH)
    assert stays(decision, weight=0)
    assert (decision.drift, decision.rejection, decision.situations[0].situation) == (True, None, Situation.DRIFT)


def test_drift_that_its_user_lets_go_on_takes_nothing_back() -> None:
    observation = then(canary(drift={"action": "Pause"}).obj(), BOTH, asked=Asked(resume="8"))
    decision = decide(observation, BOTH)
    assert (stays(decision), decision.rejection, decision.drift) == (True, None, True)
    later = then(observation, BOTH, now=NOW + timedelta(hours=1))
    decision = decide(later, BOTH)
    assert (decision.weight, decision.rejection, decision.candidate) == (50, None, "m-2"), "it goes on"
    over = decide(later, WORSE).rejection
    assert over is not None
    assert over.revision == "m-2", "when the drift is over, each is judged by itself"


def test_drift_that_is_let_go_on_keeps_who_serves_from_giving_way() -> None:
    half = replace(degraded(), verdict=Verdict.INCONCLUSIVE, log_e=LEVEL.proof / 2)
    both = {"m-1": degraded(), "m-2": half}
    builder = canary(drift={"action": "Pause"}).remembers(standby_revision="m-0").revision("m-0", RevisionPhase.RETIRED)
    decision = decide(then(builder.obj(), both, asked=Asked(resume="8")), both)
    assert (decision.serving, decision.returning, decision.standby_runs, decision.weight) == ("m-1", False, False, 5)


def test_a_held_drift_says_what_ends_it() -> None:
    message = told(canary().obj(), BOTH)[ConditionType.NEEDS_ATTENTION].message
    assert "apply another model, or kubectl model promote or abort" in message


def test_drift_can_take_the_candidate_back_and_proves_nothing_against_it() -> None:
    observation = canary(drift={"action": "RollBack"}).obj()
    decision = decide(observation, BOTH)
    assert decision.rejection is not None
    assert (decision.serving, decision.candidate, decision.rejection.reason) == ("m-1", None, RejectionCause.DRIFT)
    verdict = build_verdict(observation, BOTH, decision)
    assert verdict is not None
    assert (verdict["spec"]["outcome"], "both fall" in verdict["spec"]["message"]) == ("Withdrawn", True)


def test_told_only_drift_leaves_each_to_its_own_labels() -> None:
    decision = decide(canary(drift={"action": "Alert"}).obj(), BOTH)
    assert decision.rejection is not None
    assert (decision.rejection.reason, decision.rejection.revision) == (RejectionCause.DEGRADED, "m-2")


def test_drift_that_is_over_gives_the_requests_back() -> None:
    observation = then(canary().obj(), BOTH)
    decision = decide(observation, {"m-1": healthy(), "m-2": healthy()})
    assert stays(decision)
    assert decision.situations == ()


# Source down
def test_nothing_goes_on_while_nothing_can_be_read_even_if_only_time_is_waited_for() -> None:
    observation = canary(20).obj()
    assert stays(decide(observation, SILENT))
    conditions = told(observation, SILENT)
    assert conditions[ConditionType.READY].reason is Reason.SOURCE_DOWN
    assert conditions[ConditionType.RECONCILING].reason is Reason.SOURCE_DOWN, "it passes by itself"
    attention = conditions[ConditionType.NEEDS_ATTENTION]
    assert (attention.status, attention.reason) == (ConditionStatus.TRUE, Reason.SOURCE_DOWN)
    after = then(observation, SILENT, now=NOW + timedelta(hours=1))
    assert decide(after, {"m-1": healthy(), "m-2": healthy()}).weight == 50, "it goes on by itself"


def test_a_step_does_not_end_on_a_look_that_failed_though_that_is_not_told_yet() -> None:
    both = {"m-1": healthy(), "m-2": healthy()}
    observation = canary(20).having(unread=frozenset({"m-1"})).obj()
    assert stays(decide(observation, both))
    assert ConditionType.NEEDS_ATTENTION not in told(observation, both)
    assert decide(replace(observation, unread=frozenset({"m-0"})), both).weight == 50


def test_no_rollout_begins_while_nothing_can_be_read() -> None:
    builder = an_observation(rollout=CANARY).serving("m-1").ready("m-1").candidate("m-2").ready("m-2")
    assert decide(builder.obj(), {"m-1": silent()}).weight == 5, "nothing is counted yet, where it can be read"
    builder = builder.having(silence="nobody answers")
    decision = decide(builder.obj(), {"m-1": silent()})
    assert (decision.candidate, decision.rollout) == ("m-2", None)
    waiting = told(builder.obj(), {"m-1": silent()})[ConditionType.READY]
    assert (waiting.reason, "m-2 is ready, and goes no further while" in waiting.message) == (Reason.SOURCE_DOWN, True)
    replaced = decide(builder.spec(rollout={}).obj(), {"m-1": silent()})
    assert replaced.serving == "m-2", "who waits for ready pods alone rests on no counts"


def test_told_only_time_goes_on_to_count() -> None:
    decision = decide(canary(20, sourceDown={"action": "Alert"}).obj(), SILENT)
    assert (decision.weight, decision.situations[0].action) == (50, Action.ALERT)


@pytest.mark.parametrize("action", [Action.PAUSE, Action.ROLL_BACK])
def test_until_its_time_is_over_it_is_held(action: Action) -> None:
    observation = canary(sourceDown={"action": action.value, "after": "10m"}).obj()
    first = decide(observation, SILENT)
    assert (stays(first), first.situations[0].action) == (True, Action.HOLD)
    early = then(observation, SILENT, now=NOW + timedelta(minutes=9))
    assert stays(decide(early, SILENT))
    late = decide(then(early, SILENT, now=NOW + timedelta(minutes=10)), SILENT)
    if action is Action.PAUSE:
        assert (stays(late), late.situations[0].action) == (True, Action.PAUSE)
    else:
        assert late.rejection is not None
        assert (late.rejection.revision, late.rejection.reason) == ("m-2", RejectionCause.SOURCE_DOWN)


def test_the_standby_is_kept_while_nothing_is_known_of_who_serves() -> None:
    late = probation().serving("m-2", serving_since=ago(days=3)).obj()
    assert decide(late, {"m-2": silent()}).standby_runs
    assert not decide(late, {"m-2": healthy()}).standby_runs
    released = probation().serving("m-2", serving_since=ago(days=3)).remembers(standby_revision="m-1")
    released = released.revision("m-1", phase=late.status.revisions[1].phase.RETIRED)
    assert not decide(released.obj(), {"m-2": silent()}).standby_runs, "what was released stays so"


def test_what_serves_may_give_way_on_probation_where_that_is_chosen() -> None:
    policy = {"action": "RollBack", "after": "1s"}
    told_before = SituationStatus(
        situation=Situation.SOURCE_DOWN,
        revision="m-2",
        since=ago(minutes=1),
        action=Action.HOLD,
        message="nothing is read",
    )
    builder = probation(sourceDown=policy).remembers(situations=[told_before])
    decision = decide(builder.obj(), {"m-2": silent()})
    assert decision.rejection is not None
    assert (decision.serving, decision.rejection.reason) == ("m-1", RejectionCause.SOURCE_DOWN)
    outlasted = decide(builder.serving("m-2", serving_since=ago(days=3)).obj(), {"m-2": silent()})
    assert (outlasted.serving, outlasted.rejection) == ("m-2", None)
    assert decide(builder.paused().obj(), {"m-2": silent()}).serving == "m-2"
    waits = told(builder.paused().obj(), {"m-2": silent()})[ConditionType.NEEDS_ATTENTION].message
    assert "it is taken back when spec.paused is false again" in waits
    starting = told(builder.starting("m-1").obj(), {"m-2": silent()})[ConditionType.NEEDS_ATTENTION].message
    assert "it gives way to m-1 as soon as that can serve" in starting


OUTAGE = {"sourceDown": {"action": "RollBack", "after": "5m"}}


def test_no_rollout_begins_in_an_outage_that_is_to_cost_a_revision() -> None:
    builder = an_observation(rollout=CANARY, policies=OUTAGE).serving("m-1", serving_since=ago(days=9)).ready("m-1")
    builder = builder.candidate("m-2").ready("m-2").having(selected="m-1", silence="nobody answers")
    observation = builder.obj()
    for minutes in range(30):
        observation = then(observation, SILENT, now=NOW + timedelta(minutes=minutes))
        decision = decide(observation, SILENT)
        assert (decision.candidate, decision.rollout, decision.rejection) == ("m-2", None, None)
    assert decide(observation, BACK).weight == 5


def test_an_outage_costs_one_revision_at_most() -> None:
    builder = canary(**OUTAGE).standby("m-0").ready("m-0").serving("m-1", serving_since=ago(minutes=30)).ready("m-1")
    observation = builder.candidate("m-2").ready("m-2").obj()
    silence, rejected = SILENT | {"m-0": silent()}, []
    for minutes in range(60):
        observation = replace(observation, now=NOW + timedelta(minutes=minutes))
        decision = decide(observation, silence)
        rejected += [decision.rejection] if decision.rejection else []
        assert decision.serving == "m-1"
        observation = then(observation, silence)
    assert [(one.revision, one.reason) for one in rejected] == [("m-2", RejectionCause.SOURCE_DOWN)]
    assert [(one.revision, one.action) for one in observation.status.situations] == [("m-1", Action.HOLD)]
    assert "RollBack" not in told(observation, silence)[ConditionType.NEEDS_ATTENTION].message
    over = then(observation, {"m-0": healthy(), "m-1": healthy()})
    again = then(over, silence, now=over.now + timedelta(minutes=5))
    assert decide(again, silence).serving == "m-0", "another outage may cost another revision"


@pytest.mark.parametrize("name", ["m-1", "m-2"])
def test_who_cannot_be_read_is_told_by_name(name: str) -> None:
    decision = decide(canary(20, **OUTAGE).obj(), BACK | {name: silent()})
    assert [(one.revision, one.action) for one in decision.situations] == [(name, Action.HOLD)]
    assert stays(decision)


# Invalid data
INVALID = {"m-2": "pod m-2-pod-0: its counts are not numbers that can be counts"}


def test_counts_that_cannot_be_hold_a_rollout_until_they_make_sense() -> None:
    observation = canary(20).having(invalid=INVALID).obj()
    assert stays(decide(observation, BACK))
    conditions = told(observation, BACK)
    assert conditions[ConditionType.STALLED].reason is Reason.INVALID_DATA
    assert "not numbers that can be counts" in conditions[ConditionType.NEEDS_ATTENTION].message
    assert decide(then(observation, BACK, invalid={}), BACK).weight == 50


def test_it_is_told_once_where_nothing_else_can_be_read() -> None:
    (one,) = decide(canary().having(invalid=INVALID).obj(), {"m-1": healthy(), "m-2": silent()}).situations
    assert one.situation is Situation.INVALID_DATA


@pytest.mark.parametrize(("action", "weight"), [("Alert", 50), ("RollBack", 0), ("Pause", 5)])
def test_what_else_can_be_done_about_counts_that_cannot_be(action: str, weight: int) -> None:
    decision = decide(canary(20, invalidData={"action": action}).having(invalid=INVALID).obj(), BACK)
    assert decision.weight == weight
    cause = decision.rejection.reason if decision.rejection else None
    assert cause is (RejectionCause.INVALID_DATA if action == "RollBack" else None)


def test_what_is_wrong_with_who_serves_is_not_held_against_the_candidate() -> None:
    served = {"m-1": INVALID["m-2"].replace("m-2", "m-1")}
    decision = decide(canary(20, invalidData={"action": "RollBack"}).having(invalid=served).obj(), BACK)
    assert (stays(decision), decision.rejection, decision.situations[0].revision) == (True, None, "m-1")


def test_a_rollout_goes_on_without_counts_that_its_user_only_wants_told() -> None:
    unread = canary(20, invalidData={"action": "Alert"}).having(invalid=INVALID, unread=frozenset({"m-2"}))
    assert decide(unread.obj(), BACK).weight == 50
    both = unread.having(unread=frozenset({"m-1", "m-2"}))
    assert stays(decide(both.obj(), BACK)), "of m-1 nothing was said"


def test_a_fault_that_is_long_is_shortened() -> None:
    observation = canary().having(invalid={"m-2": "x" * 3000}).obj()
    assert len(decide(observation, BACK).situations[0].message) == MESSAGE_KEPT


# No traffic
def read(observation: Observation, predictions: dict[str, int | None], labels: int = 0) -> Observation:
    """Return the same after a look at which pods had made so many predictions each, and had so many labels."""
    told = {
        pod.uid: a_sample(pod.uid, labels, predictions=predictions[pod.revision])
        for pod in observation.pods
        if pod.revision in predictions
    }
    return replace(observation, samples=told)


def after(observation: Observation, judged: dict[str, Judged], **span: float) -> Observation:
    """Return what is seen so much later, before anything was read."""
    return replace(then(observation, judged, samples=None), now=observation.now + timedelta(**span))


def test_a_rollout_without_requests_goes_no_further_by_time() -> None:
    quiet = read(canary(5).spec(rollout=HOURLY).obj(), {"m-1": 900, "m-2": 7})
    assert decide(quiet, BACK).situations == ()
    late = read(after(quiet, BACK, minutes=60), {"m-1": 950, "m-2": 7})
    decision = decide(late, BACK)
    assert (stays(decision), decision.situations[0].situation) == (True, Situation.NO_TRAFFIC)
    assert decision.situations[0].since == ago(), "since it was first looked"
    assert told(late, BACK)[ConditionType.STALLED].reason is Reason.NO_TRAFFIC
    unread = after(late, BACK, minutes=1)
    assert decide(unread, BACK).situations == decision.situations, "who does not look sees nothing else"
    back = read(unread, {"m-1": 960, "m-2": 8})
    assert (decide(back, BACK).situations, decide(back, BACK).weight) == ((), 50)


def test_requests_that_come_now_and_then_are_traffic() -> None:
    observation = read(canary(5).spec(rollout=WAITS).obj(), {"m-2": 7})
    for number in range(4):
        observation = read(after(observation, FEW, minutes=50), {"m-2": 8 + number})
        assert decide(observation, FEW).situations == ()


def test_pods_that_are_replaced_are_no_traffic() -> None:
    observation = read(canary(5).spec(rollout=WAITS).obj(), {"m-2": 7})
    observation = read(after(observation, FEW, minutes=30), {"m-2": 0})
    observation = read(after(observation, FEW, minutes=30), {"m-2": 0})
    assert [one.situation for one in decide(observation, FEW).situations] == [Situation.NO_TRAFFIC]


@pytest.mark.parametrize("silence", [{"predictions": None}, {"weight": 0}])
def test_where_no_requests_need_to_come_their_absence_is_nothing(silence: dict[str, Any]) -> None:
    beside = {"strategy": "BlueGreen", "hold": {"labels": 9}}
    builder = canary(5).spec(rollout=beside if "weight" in silence else WAITS)
    if "weight" in silence:
        at = RolloutStatus(revision="m-2", strategy=Strategy.BLUE_GREEN, since=ago(minutes=5))
        builder = builder.remembers(rollout=at)
    predictions = {"m-2": None if "predictions" in silence else 7}
    observation = read(builder.obj(), predictions)
    late = read(after(observation, FEW, hours=3), predictions)
    assert stays(decide(late, FEW), weight=0 if "weight" in silence else 5)
    assert Situation.NO_TRAFFIC not in [one.situation for one in decide(late, FEW).situations]


def test_on_probation_a_silence_is_told_and_changes_nothing_by_default() -> None:
    observation = read(probation().obj(), {"m-2": 7})
    decision = decide(read(after(observation, BACK, hours=1), {"m-2": 7}), BACK)
    assert [one.action for one in decision.situations] == [Action.ALERT]
    assert (decision.serving, decision.standby_runs) == ("m-2", True)
    outlasted = probation().serving("m-2", serving_since=ago(days=3)).revision("m-1", RevisionPhase.RETIRED)
    assert decide(read(outlasted.obj(), {"m-2": 7}), BACK).situations == ()


def test_on_probation_a_silence_can_give_the_traffic_back() -> None:
    builder = probation(noTraffic={"action": "RollBack", "after": "30m"})
    observation = read(builder.obj(), {"m-2": 7})
    assert decide(observation, BACK).serving == "m-2", "what came before the first look nobody knows"
    decision = decide(read(after(observation, BACK, minutes=30), {"m-2": 7}), BACK)
    assert decision.rejection is not None
    assert (decision.serving, decision.rejection.reason) == ("m-1", RejectionCause.NO_TRAFFIC)
    assert "no predictions come to m-2 (since" in str(decision.rejection.message)


# No labels
def unlabelled(hours: float = 24, feedback: dict[str, Any] | None = None, **policies: Any) -> Observation:
    """Predictions come to m-2 for so long, and it waits for labels that do not come."""
    builder = canary(5, **policies).spec(rollout=WAITS)
    observation = read(builder.spec(feedback=feedback).obj() if feedback else builder.obj(), {"m-2": 7})
    observation = read(after(observation, FEW, minutes=1), {"m-2": 8})
    return read(after(observation, FEW, hours=hours), {"m-2": 9})


def test_a_step_that_waits_for_labels_says_that_none_come() -> None:
    assert decide(unlabelled(23.9), FEW).situations == ()
    decision = decide(unlabelled(), FEW)
    assert (stays(decision), decision.situations[0].situation) == (True, Situation.NO_LABELS)
    assert told(unlabelled(), FEW)[ConditionType.STALLED].reason is Reason.NO_LABELS
    label = read(unlabelled(), {"m-2": 9}, labels=1)
    assert decide(label, FEW).situations == (), "it has come, whether the metric counts it or not"


def test_labels_that_count_late_are_given_their_time() -> None:
    feedback = {"maturity": "12h"}
    assert decide(unlabelled(35.9, feedback), FEW).situations == ()
    assert decide(unlabelled(36, feedback), FEW).situations[0].situation is Situation.NO_LABELS


def test_a_step_that_waits_for_time_alone_misses_no_labels() -> None:
    observation = replace(unlabelled(), spec=canary().obj().spec)
    assert Situation.NO_LABELS not in [one.situation for one in decide(observation, FEW).situations]


def test_without_labels_a_step_can_count_as_done() -> None:
    policy = {"action": "Promote", "after": "1h"}
    assert decide(unlabelled(0.9, noLabels=policy), FEW).weight == 5
    first = decide(unlabelled(1, noLabels=policy), FEW)
    assert (first.weight, first.situations[0].action) == (50, Action.PROMOTE)
    second = read(after(unlabelled(1, noLabels=policy), FEW, minutes=30), {"m-2": 10})
    assert (decide(second, FEW).weight, decide(second, FEW).situations) == (50, ()), "each step has its own time"


def test_who_looks_bad_is_not_promoted_for_want_of_labels() -> None:
    falling = replace(healthy(4, 3), verdict=Verdict.INCONCLUSIVE, log_e=LEVEL.proof / 2)
    decision = decide(unlabelled(1, noLabels={"action": "Promote", "after": "1h"}), FEW | {"m-2": falling})
    assert decision.weight == 5


def test_what_is_to_be_taken_back_is_not_promoted() -> None:
    builder = canary(invalidData={"action": "RollBack"}).having(invalid=INVALID, asked=Asked(promote="m-2"))
    decision = decide(builder.obj(), BACK)
    assert decision.rejection is not None
    assert (decision.serving, decision.rejection.revision) == ("m-1", "m-2")
    held = builder.spec(policies={"invalidData": {"action": "Hold"}})
    assert decide(held.obj(), BACK).serving == "m-2"


def test_for_want_of_labels_a_candidate_can_be_taken_back_without_proof() -> None:
    observation = unlabelled(1, noLabels={"action": "RollBack", "after": "1h"})
    decision = decide(observation, FEW)
    assert decision.rejection is not None
    assert (decision.rejection.revision, decision.rejection.reason) == ("m-2", RejectionCause.NO_LABELS)


def test_what_comes_is_no_news() -> None:
    """It moves with each prediction, and would wake whoever watches the object."""
    observation = read(canary(5).spec(rollout=WAITS).obj(), {"m-2": 7})
    first = summarise(observation, FEW, decide(observation, FEW))
    later = read(after(observation, FEW, minutes=1), {"m-2": 8})
    second = summarise(later, FEW, decide(later, FEW))
    assert second.revisions != first.revisions
    assert without_activity(second).revisions == without_activity(first).revisions
    assert without_counts(second) == without_counts(first)


# Pause
def paused() -> Observation:
    """m-2 was paused in its canary, because nothing could be read."""
    before = SituationStatus(
        situation=Situation.SOURCE_DOWN, revision="m-2", since=ago(minutes=9), action=Action.PAUSE, resume="7"
    )
    builder = canary(20, sourceDown={"action": "Pause", "after": "5m"}).remembers(situations=[before])
    return builder.having(asked=Asked(resume="7")).obj()


def test_a_pause_outlasts_what_it_was_for() -> None:
    observation = then(paused(), BACK)
    assert stays(decide(observation, BACK))
    assert told(observation, BACK)[ConditionType.READY].reason is Reason.PAUSED
    assert stays(decide(replace(observation, asked=Asked()), BACK)), "taking the annotation away is no word"


def test_its_user_lets_it_go_on() -> None:
    observation = replace(then(paused(), BACK), asked=Asked(resume="8"))
    decision = decide(observation, BACK)
    assert (decision.weight, decision.situations) == (50, ())


def test_said_while_it_lasts_it_counts_until_it_is_over() -> None:
    observation = replace(then(paused(), SILENT), asked=Asked(resume="8"))
    decision = decide(observation, SILENT)
    assert (decision.weight, decision.situations[0].action) == (50, Action.ALERT)
    again = then(observation, SILENT, asked=Asked())
    assert decide(again, SILENT).situations[0].resumed
    assert decide(then(again, BACK), BACK).situations == ()


def test_what_goes_on_all_the_same_does_not_wait_for_a_look() -> None:
    observation = replace(then(paused(), SILENT), asked=Asked(resume="8"), unread=frozenset({"m-1", "m-2"}))
    assert decide(observation, SILENT).weight == 50
    only = {"m-1": healthy(), "m-2": silent()}
    observation = replace(then(paused(), only), asked=Asked(resume="8"), unread=frozenset({"m-2"}))
    assert decide(observation, only).weight == 50
    other = replace(observation, unread=frozenset({"m-1", "m-2"}))
    assert stays(decide(other, only)), "of m-1 nothing was said"


def test_a_pause_outlasts_a_rollback_of_who_serves() -> None:
    builder = canary(300, noTraffic={"action": "Pause"}).standby("m-0").ready("m-0")
    builder = builder.serving("m-1", serving_since=ago(minutes=30)).ready("m-1").candidate("m-2").ready("m-2")
    before = SituationStatus(
        situation=Situation.NO_TRAFFIC, revision="m-2", since=ago(minutes=9), action=Action.PAUSE, resume="7"
    )
    observation = builder.remembers(situations=[before]).having(asked=Asked(resume="7")).obj()
    worse = {"m-0": healthy(), "m-1": degraded(), "m-2": healthy()}
    decision = decide(observation, worse)
    assert (decision.serving, decision.candidate, decision.situations) == ("m-0", "m-2", (before,))
    later = then(observation, worse, selected="m-0")
    assert told(later, BACK)[ConditionType.READY].reason is Reason.PAUSED


def test_another_policy_ends_a_pause() -> None:
    observation = replace(paused(), spec=canary(20).obj().spec)
    assert decide(observation, BACK).weight == 50


# What is told
def test_each_change_of_what_is_done_is_an_event() -> None:
    first = canary(sourceDown={"action": "Pause", "after": "10m"}).obj()
    second = then(first, SILENT)
    third = then(second, SILENT, now=NOW + timedelta(minutes=10))
    fourth = then(third, SILENT)
    assert [event.reason for event in events_between(first.status, second.status)].count(Reason.SOURCE_DOWN) == 1
    (event,) = events_between(third.status, fourth.status)
    assert (event.reason, event.warning, "kubectl model resume" in event.message) == (Reason.SOURCE_DOWN, True, True)
    assert events_between(fourth.status, then(fourth, SILENT).status) == []


def test_giving_up_who_serves_without_another_is_told() -> None:
    observation = canary().having(asked=Asked(abort="m-1")).obj()
    attention = told(observation, BACK)[ConditionType.NEEDS_ATTENTION]
    assert (attention.reason, "no good revision to go back to" in attention.message) == (
        Reason.NO_ROLLBACK_TARGET,
        True,
    )
    returning = probation().starting("m-1").having(asked=Asked(abort="m-2")).obj()
    assert told(returning, {})[ConditionType.NEEDS_ATTENTION].reason is Reason.ABORTED


# Counters that are not there yet
COUNTED = {
    "minimum": 0.9,
    "source": "Query",
    "query": {
        "correct": 'right_total{namespace="$(namespace)",revision="$(revision)"}',
        "total": 'all_total{namespace="$(namespace)",revision="$(revision)"}',
    },
}


def uncounted(minutes: int, **policies: Any) -> Observation:
    """The source answers, and has no counters of m-2."""
    builder = canary(minutes, **policies).spec(accuracy=COUNTED, rollout=WAITS)
    nothing = frozenset({"m-2"})
    samples = {"q": a_sample("q", 100, 0, revision="m-1")}
    return builder.having(samples=samples, silent=nothing, unread=nothing, uncounted=nothing).obj()


UNCOUNTED = {"m-1": healthy(), "m-2": silent(0, 0)}


def test_a_source_that_counts_nothing_yet_is_not_down() -> None:
    decision = decide(uncounted(60, sourceDown={"action": "RollBack", "after": "1s"}), UNCOUNTED)
    assert (decision.situations, decision.rejection) == ((), None)
    assert stays(decision)


def test_a_source_that_counts_nothing_for_long_has_no_labels() -> None:
    observation = uncounted(121, noLabels={"action": "Pause", "after": "2h"})
    (situation,) = decide(observation, UNCOUNTED).situations
    assert (situation.situation, situation.action) == (Situation.NO_LABELS, Action.PAUSE)
    assert situation.message == "no labels of m-2 are counted yet: nobody answers"


def test_a_source_that_is_down_says_why() -> None:
    told = [one.message for one in decide(canary().obj(), SILENT).situations]
    assert "the labels of m-2 cannot be read: nobody answers" in told


def test_of_a_gauge_nobody_knows_whether_labels_come() -> None:
    query = {"gauge": 'quality{namespace="$(namespace)",revision="$(revision)"}'}
    steps = [{"weight": 5, "hold": {"healthy": True}}, {"weight": 50, "hold": {"healthy": True}}]
    builder = canary(300, noLabels={"action": "RollBack", "after": "1h"})
    builder = builder.spec(
        accuracy={"minimum": 0.9, "source": "Query", "query": query}, rollout=WAITS | {"steps": steps}
    )
    builder = builder.candidate("m-2", activity=Activity(predicted=ago(hours=5), unlabelled=ago(hours=5))).ready("m-2")
    samples = {name: a_sample(name, revision=name, gauge=0.95) for name in ("m-1", "m-2")}
    waits = replace(healthy(0, 0), verdict=Verdict.INCONCLUSIVE)
    decision = decide(builder.having(samples=samples, silence=None).obj(), {"m-1": healthy(), "m-2": waits})
    assert (decision.situations, decision.rejection) == ((), None)
