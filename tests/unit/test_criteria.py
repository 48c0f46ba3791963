"""Several demands on one revision: what each is judged by, what they come to together, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from modeldeployment_operator.api.feedback import Feedback
from modeldeployment_operator.api.rollout import Strategy
from modeldeployment_operator.api.spec import Accuracy
from modeldeployment_operator.api.status import Baseline, CriterionKind, Revision, RevisionPhase, RolloutStatus, Verdict
from modeldeployment_operator.api.verdict import ModelVerdictSpec
from modeldeployment_operator.cli.text.criteria import criteria
from modeldeployment_operator.core.criteria import plan_of
from modeldeployment_operator.core.decision import decide
from modeldeployment_operator.core.judgement import Judged, judge
from modeldeployment_operator.core.observation import Observation, Sample
from modeldeployment_operator.core.rejection import cause
from modeldeployment_operator.core.replay import replay
from modeldeployment_operator.core.resources import build_verdict
from modeldeployment_operator.core.trials import restarted

from tests.support.life import Life
from tests.support.observations import ObservationBuilder, a_sample, ago, an_observation

CANARY = {"strategy": "Canary", "steps": [{"weight": 50, "hold": {"healthy": True, "labels": 100_000}}]}
SHADOW = {"strategy": "Shadow", "hold": {"labels": 100_000}}
DROP = {"maximumDrop": 0.05}
KINDS = CriterionKind


@dataclass
class Beside:
    """m-1 serves, and m-2 is in its rollout beside it; each look is remembered as the status would."""

    accuracy: dict[str, Any]
    rollout: dict[str, Any]
    revisions: dict[str, Revision] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=lambda: {"m-1": [0, 0], "m-2": [0, 0]})
    pairs: list[int] = field(default_factory=lambda: [0, 0, 0])
    spec: dict[str, Any] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    since: str = field(default_factory=lambda: ago(minutes=5))

    def __post_init__(self) -> None:
        serving, candidate = RevisionPhase.SERVING, RevisionPhase.CANDIDATE
        self.revisions = {
            "m-1": Revision(name="m-1", phase=serving, model_uri="", serving_since=ago(hours=1), evidence=None),
            "m-2": Revision(name="m-2", phase=candidate, model_uri=""),
        }
        self.look()

    def count(self, name: str, right: int, wrong: int) -> None:
        self.counts[name] = [self.counts[name][0] + right, self.counts[name][1] + wrong]

    def observed(self) -> Observation:
        strategy = Strategy(self.rollout["strategy"])
        copies = strategy is Strategy.SHADOW
        at = RolloutStatus(revision="m-2", strategy=strategy, step=1, since=self.since, copies=copies)
        builder: ObservationBuilder = an_observation(accuracy=self.accuracy, rollout=self.rollout, **self.spec)
        builder = builder.serving("m-1").ready("m-1", 1, of=1).candidate("m-2").ready("m-2", 1, of=1)
        builder = builder.remembers(rollout=at, revisions=list(self.revisions.values()))
        samples = {f"{name}-pod-0": self.sample(name) for name in ("m-1", "m-2") if name not in self.unread}
        return builder.having(samples=samples).obj()

    def sample(self, name: str) -> Sample:
        right, wrong = self.counts[name]
        pairs = {"m-2": tuple(self.pairs)} if name == "m-1" else {}
        return a_sample(f"{name}-pod-0", right, wrong, pairs=pairs)

    def look(self, *, remember: bool = True) -> dict[str, Judged]:
        judged = dict(judge(self.observed()))
        if remember:
            for name, one in judged.items():
                changed = self.revisions[name].model_copy(update={"evidence": one.state, "verdict": one.verdict})
                self.revisions[name] = Revision.parse(changed.model_dump(mode="json", by_alias=True))
        return judged


def with_slices(observation: Observation, name: str, *values: str) -> Observation:
    """The pods of a revision tell these slices apart."""
    feedback = Feedback.parse({"slices": {"field": "channel", "values": list(values)}})
    template = observation.stored[name].template.model_copy(update={"feedback": feedback})
    known = replace(observation.stored[name], template=template)
    return replace(observation, stored={**observation.stored, name: known})


def of(judged: Judged, kind: CriterionKind) -> Any:
    return next(one for one in judged.findings if one.criterion.kind is kind)


# The plan


@pytest.mark.parametrize(
    ("accuracy", "compared", "kinds"),
    [
        ({"minimum": 0.9}, None, {KINDS.MINIMUM: 1.0}),
        ({"minimum": 0.9}, KINDS.CONCURRENT, {KINDS.MINIMUM: 1.0}),
        (DROP, None, {KINDS.BASELINE: 1.0}),
        (DROP, KINDS.PAIRED, {KINDS.BASELINE: 0.5, KINDS.PAIRED: 0.5}),
        (
            DROP | {"minimum": 0.9},
            KINDS.CONCURRENT,
            {KINDS.MINIMUM: 1 / 3, KINDS.BASELINE: 1 / 3, KINDS.CONCURRENT: 1 / 3},
        ),
    ],
)
def test_what_is_demanded(
    accuracy: dict[str, Any], compared: CriterionKind | None, kinds: dict[CriterionKind, float]
) -> None:
    plan = plan_of(Accuracy.parse(accuracy), None, compared)

    assert {one.kind: one.weight for one in plan.criteria} == pytest.approx(kinds)
    assert plan.alpha == (0.005 if "maximumDrop" in accuracy else 0.01)


def test_slices_share_half_of_what_the_whole_had() -> None:
    accuracy = Accuracy.parse(
        {"minimum": 0.9, "sliceMinimum": 0.8, "additional": [{"metric": "recall", "minimum": 0.7}]}
    )
    plan = plan_of(accuracy, None, None, ["web", "app"])

    assert {str(one.stream): one.weight for one in plan.criteria} == {
        "accuracy": 0.25,
        "recall": 0.5,
        "accuracy of slice web": 0.125,
        "accuracy of slice app": 0.125,
    }


# A canary


def test_a_candidate_that_is_worse_than_the_one_that_serves_is_proven_so() -> None:
    world = Beside(DROP, CANARY)
    for _ in range(40):
        world.count("m-1", 19, 1)
        world.count("m-2", 15, 5)
        judged = world.look()

    candidate = judged["m-2"]
    assert (candidate.verdict, judged["m-1"].verdict) == (Verdict.DEGRADED, Verdict.INCONCLUSIVE)
    assert candidate.decided.criterion.kind is KINDS.CONCURRENT
    assert candidate.level is not None
    assert candidate.level.value == pytest.approx(0.9, abs=0.01), "what the other one came to, less the drop"


def test_if_the_world_changes_both_change_and_nothing_is_proven() -> None:
    world = Beside(DROP, CANARY)
    for look in range(100):
        right = 19 if look < 20 else 10
        world.count("m-1", right, 20 - right)
        world.count("m-2", right, 20 - right)
        judged = world.look()

    assert judged["m-2"].verdict is Verdict.HEALTHY
    assert judged["m-2"].log_e < 1
    assert of(judged["m-2"], KINDS.CONCURRENT).labels > 1000


def test_what_an_operator_had_not_written_is_read_once_more() -> None:
    """All labels count, in one block in place of several."""
    often, lost = Beside(DROP, CANARY), Beside(DROP, CANARY)
    for look in range(20):
        for world in (often, lost):
            world.count("m-1", 18, 2)
            world.count("m-2", 16, 4)
            world.look(remember=world is often or look % 5 == 4)
    found = [of(world.look()["m-2"], KINDS.CONCURRENT) for world in (often, lost)]

    assert [one.labels for one in found] == [400, 400]
    assert found[0].log_e == pytest.approx(found[1].log_e, rel=0.2)


def test_what_waits_is_not_compared_with_labels_of_another_share() -> None:
    world = Beside(DROP, CANARY)
    world.count("m-1", 0, 9)
    world.count("m-2", 500, 0)
    assert of(world.look()["m-2"], KINDS.CONCURRENT).labels == 0
    world.since = ago(minutes=1)
    world.count("m-1", 10, 0)
    world.count("m-2", 0, 10)
    assert of(world.look()["m-2"], KINDS.CONCURRENT).labels == 10, "those of the step before are left out"


def test_with_another_revision_that_serves_only_the_bets_go_on() -> None:
    world = Beside(DROP, CANARY)
    for _ in range(5):
        world.count("m-1", 19, 1)
        world.count("m-2", 16, 4)
        judged = world.look()
    before = of(judged["m-2"], KINDS.CONCURRENT)
    state = world.revisions["m-2"].evidence
    assert state is not None
    further = [one.model_copy(update={"against": "m-0"}) for one in state.further]
    other = world.revisions["m-2"].model_copy(update={"evidence": state.model_copy(update={"further": further})})
    world.revisions["m-2"] = other

    after = of(world.look()["m-2"], KINDS.CONCURRENT)
    assert (before.labels, after.labels, after.stable) == (100, 0, None)
    assert after.log_e == before.log_e


def test_what_the_one_that_serves_was_before_does_not_hold_up_a_good_canary() -> None:
    world = Beside(DROP, CANARY)
    state = world.revisions["m-1"].evidence
    assert state is not None
    long_good = state.model_copy(update={"right": 9500, "wrong": 500})
    world.revisions["m-1"] = world.revisions["m-1"].model_copy(update={"evidence": long_good})
    for _ in range(5):
        world.count("m-1", 12, 8)
        world.count("m-2", 12, 8)
        judged = world.look()

    assert judged["m-2"].verdict is Verdict.HEALTHY
    assert judged["m-2"].level is not None
    assert judged["m-2"].level.value == pytest.approx(0.55)


def test_what_is_new_of_one_waits_for_the_other() -> None:
    world = Beside(DROP, CANARY)
    world.unread = {"m-2"}
    world.count("m-1", 50, 0)
    world.look()
    world.unread = set()
    world.count("m-2", 9, 0)
    assert of(world.look()["m-2"], KINDS.CONCURRENT).labels == 0, "too few for a block"
    world.count("m-2", 9, 1)
    judged = world.look()["m-2"]
    assert of(judged, KINDS.CONCURRENT).labels == 19


def test_a_promoted_revision_is_measured_from_what_its_predecessor_came_to() -> None:
    world = Beside(DROP, CANARY)
    for _ in range(10):
        world.count("m-1", 95, 5)
        world.count("m-2", 95, 5)
        world.look()
    before = world.revisions["m-2"]
    baseline = Baseline(metric="accuracy", right=9500, wrong=500)
    promoted = before.model_copy(
        update={"phase": RevisionPhase.SERVING, "serving_since": ago(minutes=1), "baseline": baseline}
    )
    world.revisions["m-2"] = promoted
    builder = an_observation(accuracy=DROP, rollout=CANARY).serving("m-2").ready("m-2", 1, of=1)
    builder = builder.remembers(revisions=[promoted])

    sample = a_sample("m-2-pod-0", 950, 850)
    found = judge(builder.having(samples={sample.pod_uid: sample}).obj())["m-2"]
    assert found.verdict is Verdict.DEGRADED
    assert found.decided is not None
    assert found.decided.criterion.kind is KINDS.BASELINE
    assert found.limit == found.decided.criterion.value
    assert found.state is not None
    assert before.evidence is not None
    assert found.state.further[0] == before.evidence.further[0], "the comparison stays where it was"


def test_a_comparison_that_is_over_says_nothing_of_how_a_revision_looks_now() -> None:
    world = Beside(DROP, CANARY)
    for _ in range(4):
        world.count("m-1", 19, 1)
        world.count("m-2", 17, 3)
        world.look()
    baseline = Baseline(metric="accuracy", right=9500, wrong=500)
    promoted = world.revisions["m-2"].model_copy(
        update={"phase": RevisionPhase.SERVING, "serving_since": ago(minutes=1), "baseline": baseline}
    )
    builder = an_observation(accuracy=DROP, rollout=CANARY).serving("m-2").ready("m-2", 1, of=1)
    sample = a_sample("m-2-pod-0", 1000, 50)
    found = judge(builder.remembers(revisions=[promoted]).having(samples={sample.pod_uid: sample}).obj())["m-2"]

    assert found.verdict is Verdict.HEALTHY
    assert found.level is not None
    assert found.level.value == pytest.approx(0.894, abs=0.001), "by its baseline"


def test_a_larger_drop_is_another_test() -> None:
    baseline = Baseline(metric="accuracy", right=9500, wrong=500)
    life = Life(DROP, baseline)
    assert life.look(a_sample("a", 600, 400)).verdict is Verdict.DEGRADED
    life.demand({"maximumDrop": 0.5})
    assert life.look(a_sample("a", 660, 440)).verdict is Verdict.HEALTHY


# A shadow


def test_pairs_that_are_lost_prove_a_candidate_worse() -> None:
    world = Beside(DROP, SHADOW)
    for _ in range(30):
        world.count("m-1", 9, 1)
        world.count("m-2", 7, 3)
        world.pairs = [world.pairs[0], world.pairs[1] + 2, world.pairs[2] + 8]
        judged = world.look()

    candidate = judged["m-2"]
    assert candidate.verdict is Verdict.DEGRADED
    assert candidate.decided.criterion.kind is KINDS.PAIRED
    assert (candidate.decided.wrong, candidate.decided.labels) == (60, 300)
    assert candidate.level is not None
    assert candidate.level.value == pytest.approx(0.9 - 0.05)


def test_pairs_of_an_earlier_try_do_not_count() -> None:
    world = Beside(DROP, SHADOW)
    world.pairs = [0, 500, 0]
    fresh = Beside(DROP, SHADOW, pairs=[0, 500, 0])
    fresh.count("m-2", 100, 0)
    assert fresh.look()["m-2"].verdict is Verdict.HEALTHY
    world.count("m-2", 100, 0)
    assert world.look()["m-2"].verdict is Verdict.DEGRADED, "these came while it was tried"
    state = world.revisions["m-2"].evidence
    assert state is not None
    world.revisions["m-2"] = world.revisions["m-2"].model_copy(update={"evidence": restarted(state), "verdict": None})
    assert world.look()["m-2"].log_e == pytest.approx(0.0)


# Other metrics, and slices


def test_another_metric_is_enough() -> None:
    accuracy = {"minimum": 0.8, "additional": [{"metric": "recall", "minimum": 0.9}]}
    cells = {"true_positive": 30, "false_positive": 0, "false_negative": 30}
    builder = an_observation(accuracy=accuracy).candidate("m-1").ready("m-1", 1, of=1)
    sample = a_sample("m-1-pod-0", 970, 30, **cells)
    found = judge(builder.having(samples={sample.pod_uid: sample}).obj())["m-1"]

    assert found.verdict is Verdict.DEGRADED
    assert found.subject is not None
    assert (str(found.subject.criterion.stream), found.subject.estimate) == ("recall", 0.5)
    assert found.estimate == 0.97


def test_one_class_of_many_can_be_judged() -> None:
    accuracy = {"metric": "recall", "positiveClass": "fraud", "minimum": 0.9}
    builder = an_observation(accuracy=accuracy).candidate("m-1").ready("m-1", 1, of=1)
    sample = a_sample("m-1-pod-0", 970, 30, classes={"fraud": (30, 5, 30), "fair": (940, 25, 5)})
    found = judge(builder.having(samples={sample.pod_uid: sample}).obj())["m-1"]

    assert (found.verdict, found.estimate, found.labels) == (Verdict.DEGRADED, 0.5, 60)
    assert found.state is not None
    assert found.state.positive_class == "fraud"


def test_other_demands_are_other_tests_of_what_comes_after() -> None:
    """What was read of another counter is not taken for one of this, though there are as many of them."""
    recall = {"minimum": 0.5, "additional": [{"metric": "recall", "minimum": 0.5}]}
    precision = {"minimum": 0.5, "additional": [{"metric": "precision", "minimum": 0.5}]}
    cells = {"true_positive": 50, "false_positive": 5, "false_negative": 40}

    def look(accuracy: dict[str, Any], known: Revision, sample: Sample) -> Revision:
        builder = an_observation(accuracy=accuracy).serving("m-1").ready("m-1", 1, of=1).remembers(revisions=[known])
        found = judge(builder.having(samples={sample.pod_uid: sample}).obj())["m-1"]
        return known.model_copy(update={"evidence": found.state, "verdict": found.verdict})

    first = Revision(name="m-1", phase=RevisionPhase.SERVING, model_uri="")
    first = look(recall, first, a_sample("m-1-pod-0", 90, 10, **cells))
    second = look(precision, first, a_sample("m-1-pod-0", 90, 10, **cells))
    third = look(precision, second, a_sample("m-1-pod-0", 91, 12, **cells | {"false_positive": 7}))

    assert third.evidence is not None
    assert (third.evidence.right, third.evidence.wrong) == (1, 2)
    assert (third.evidence.further[0].right, third.evidence.further[0].wrong) == (0, 2)


def sliced(bad: tuple[int, int]) -> Judged:
    builder = an_observation(
        accuracy={"minimum": 0.8, "sliceMinimum": 0.8},
        feedback={"slices": {"field": "channel", "values": ["web", "app"]}},
    )
    builder = builder.candidate("m-1").ready("m-1", 1, of=1)
    sample = a_sample("m-1-pod-0", 970 + bad[0], 30 + bad[1], slices={"web": (970, 30), "app": bad})
    observation = with_slices(builder.having(samples={sample.pod_uid: sample}).obj(), "m-1", "web", "app")
    return judge(observation)["m-1"]


def test_a_slice_is_enough() -> None:
    found = sliced((20, 30))

    assert (found.verdict, found.estimate) == (Verdict.DEGRADED, pytest.approx(990 / 1050))
    assert found.subject is not None
    assert str(found.subject.criterion.stream) == "accuracy of slice app"


def test_a_slice_that_looks_bad_is_not_healthy() -> None:
    assert sliced((8, 2)).verdict is Verdict.HEALTHY
    assert sliced((7, 3)).verdict is Verdict.INCONCLUSIVE


# What is told


def until_degraded(world: Beside, stable: tuple[int, int], candidate: tuple[int, int]) -> dict[str, Judged]:
    """Count so many labels at each look, until the candidate is proven worse."""
    judged: dict[str, Judged] = {}
    for _ in range(60):
        world.count("m-1", *stable)
        world.count("m-2", *candidate)
        judged = world.look()
        if judged["m-2"].verdict is Verdict.DEGRADED:
            break
    return judged


def test_many_demands_have_weights_that_can_be_written_and_read() -> None:
    others = [{"metric": metric, "minimum": 0.5} for metric in ("precision", "recall", "f1")]
    world = Beside(DROP | {"minimum": 0.9, "additional": others}, CANARY)
    judged = until_degraded(world, (19, 1), (12, 8))
    record, _ = recorded(world.observed(), judged)
    assert replay(record).differences == ()
    assert record.maximum_drop == "0.05"


def test_the_level_that_is_told_is_that_of_what_it_was_proven_worse_by() -> None:
    world = Beside({"minimum": 0.9, "maximumDrop": 0.3}, CANARY)
    judged = until_degraded(world, (20, 0), (15, 5))
    record, words = recorded(world.observed(), judged)

    assert (record.criterion, record.level) == (KINDS.MINIMUM, "0.9000")
    assert words.endswith("should have been at least 0.9000")


def test_why_tells_of_each_demand() -> None:
    world = Beside(DROP | {"minimum": 0.5, "additional": [{"metric": "recall", "minimum": 0.5}]}, CANARY)
    for _ in range(10):
        world.count("m-1", 19, 1)
        world.count("m-2", 15, 5)
        judged = world.look()

    first, *others = criteria(judged["m-2"])
    assert first.startswith(
        "accuracy at most 0.05 below that of who serves, over the same time: 0.7500 from 200 labels"
    )
    assert "against 0.9500; " in first
    assert {other.partition(";")[0] for other in others} == {
        "accuracy at least 0.5: 0.7500 from 200 labels",
        "accuracy by what its predecessor came to, when that is known: not judged yet",
        "recall at least 0.5: nothing to judge yet",
    }
    assert list(criteria(replace(judged["m-2"], findings=judged["m-2"].findings[:1]))) == []


def recorded(observation: Observation, judged: dict[str, Judged]) -> tuple[ModelVerdictSpec, str]:
    decision = decide(observation, judged)
    manifest = build_verdict(observation, judged, decision)
    assert manifest is not None
    assert decision.rejection is not None
    return ModelVerdictSpec.parse(manifest["spec"]), cause(decision.rejection)


@pytest.mark.parametrize(
    ("accuracy", "rollout", "criterion", "words"),
    [
        (DROP, CANARY, KINDS.CONCURRENT, "by what the revision that serves came to over the same time"),
        (DROP, SHADOW, KINDS.PAIRED, "by what the revision that serves came to on the same requests"),
        ({"minimum": 0.9}, CANARY, KINDS.MINIMUM, "should have been at least 0.9000"),
        (
            {"minimum": 0.5, "sliceMinimum": 0.9},
            CANARY,
            KINDS.MINIMUM,
            "accuracy of slice app 0.7500 [",
        ),
    ],
    ids=["concurrent", "paired", "minimum", "slice"],
)
def test_the_record_says_by_what_and_can_be_reckoned_once_more(
    accuracy: dict[str, Any], rollout: dict[str, Any], criterion: CriterionKind, words: str
) -> None:
    feedback = {"feedback": {"slices": {"field": "channel", "values": ["app"]}}} if "sliceMinimum" in accuracy else {}
    world = Beside(accuracy, rollout, spec=feedback)
    judged: dict[str, Judged] = {}
    for look in range(200):
        world.count("m-1", 19, 1)
        world.count("m-2", 15, 5)
        world.pairs = [0, 4 * (look + 1), 16 * (look + 1)]
        judged = world.look(remember=False) if "sliceMinimum" not in accuracy else with_slice(world)
        if judged["m-2"].verdict is Verdict.DEGRADED:
            break
        world.look() if "sliceMinimum" not in accuracy else remember(world, judged)
    record, told = recorded(world.observed(), judged)

    assert record.criterion is criterion
    assert words in told
    again = replay(record)
    assert again.differences == ()
    assert again.degraded


def with_slice(world: Beside) -> dict[str, Judged]:
    observation = with_slices(world.observed(), "m-2", "app")
    right, wrong = world.counts["m-2"]
    sample = a_sample("m-2-pod-0", right, wrong, slices={"app": (right, wrong)})
    assert observation.samples is not None
    return dict(judge(replace(observation, samples={**observation.samples, sample.pod_uid: sample})))


def remember(world: Beside, judged: dict[str, Judged]) -> None:
    for name, one in judged.items():
        changed = {"evidence": one.state, "verdict": one.verdict}
        world.revisions[name] = world.revisions[name].model_copy(update=changed)
