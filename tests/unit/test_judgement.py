"""From counts to verdicts: what counts, how often, against what, and what it says."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from modeldeployment_operator.api.spec import Accuracy
from modeldeployment_operator.api.status import Baseline, EvidenceState, PodCounts, Verdict
from modeldeployment_operator.core.counting import ABSENT_PODS_KEPT
from modeldeployment_operator.core.criteria import plan_of
from modeldeployment_operator.core.evidence import Evidence
from modeldeployment_operator.core.intervals import clopper_pearson_lower
from modeldeployment_operator.core.judgement import judge
from modeldeployment_operator.core.trials import restarted

from tests.support.life import MINIMUM, Life, counted
from tests.support.observations import a_pod, a_sample, an_observation, evidence

DROP = Baseline(metric="accuracy", right=950, wrong=50)


# What counts


def test_the_first_reading_counts_in_full() -> None:
    assert counted(Life().look(a_sample("a", 7, 3), a_sample("b", 5, 0))) == (12, 3)


def test_a_reading_that_is_repeated_counts_once() -> None:
    life = Life()
    first = life.look(a_sample("a", 7, 3))

    assert life.look(a_sample("a", 7, 3)) == first


def test_only_what_is_new_counts() -> None:
    life = Life()
    life.look(a_sample("a", 7, 3))

    assert counted(life.look(a_sample("a", 9, 4))) == (9, 4)


def test_a_count_that_began_anew_counts_in_full_even_if_it_is_larger() -> None:
    life = Life()
    life.look(a_sample("a", 7, 3, started="1"))

    assert counted(life.look(a_sample("a", 9, 4, started="2"))) == (16, 7)


def test_a_pod_that_does_not_answer_once_loses_nothing() -> None:
    life = Life()
    life.look(a_sample("a", 7, 3), a_sample("b", 1, 1))
    life.look(a_sample("b", 2, 1), present={"a", "b"})

    assert counted(life.look(a_sample("a", 8, 3), a_sample("b", 2, 1))) == (10, 4)


def test_a_pod_that_was_gone_from_the_list_is_not_counted_again() -> None:
    life = Life()
    life.look(a_sample("a", 7, 3), a_sample("b", 1, 1))
    life.look(a_sample("b", 1, 1))

    assert counted(life.look(a_sample("a", 8, 3), a_sample("b", 1, 1))) == (9, 4)


def test_of_pods_that_are_gone_the_last_are_remembered() -> None:
    life = Life()
    for number in range(ABSENT_PODS_KEPT + 10):
        life.look(a_sample(f"old-{number}", 1, 0), present={"a"})
    life.look(a_sample("a", 1, 0))

    assert list(life.pods) == [*(f"old-{number}" for number in range(10, ABSENT_PODS_KEPT + 10)), "a"]


def test_all_pods_that_are_there_are_remembered() -> None:
    """1,000 replicas, and more while they are replaced: forgetting one would count its labels twice."""
    life = Life()
    uids = {f"pod-{number}" for number in range(1200)}
    life.look(*(a_sample(uid, 1, 0) for uid in uids), present=uids)
    life.look(a_sample("pod-0", 1, 0), present=uids)

    assert len(life.pods) == 1200


def test_without_a_reading_nothing_changes() -> None:
    life = Life()
    first = life.look(a_sample("a", 50, 3))

    assert life.wait("a") == first


def test_before_the_first_reading_nothing_is_known() -> None:
    judged = Life().wait("a")

    assert (judged.verdict, judged.labels, judged.estimate) == (Verdict.INCONCLUSIVE, 0, None)
    assert judged.log_e == pytest.approx(0.0)


def test_what_is_written_is_the_whole_memory() -> None:
    """Life.look parses what it remembers from JSON each time, and still the numbers are those of one long run."""
    life, evidence = Life(), Evidence.start(0.9)
    for step in range(1, 30):
        judged = life.look(a_sample("a", 3 * step, step))
        evidence = evidence.observe(3, 1)
        assert judged.log_e == evidence.log_e


# Verdicts


def test_few_labels_are_no_verdict() -> None:
    judged = Life().look(a_sample("a", 0, 29))

    assert (judged.verdict, judged.log_e > judged.level.proof if judged.level else None) == (Verdict.INCONCLUSIVE, True)
    assert Life().look(a_sample("a", 0, 30)).verdict is Verdict.DEGRADED
    assert Life(MINIMUM | {"minimumLabels": 2}).look(a_sample("a", 0, 2)).verdict is Verdict.INCONCLUSIVE, (
        "no proof yet"
    )


def test_enough_good_labels_are_healthy() -> None:
    assert Life().look(a_sample("a", 27, 3)).verdict is Verdict.HEALTHY
    assert Life().look(a_sample("a", 29, 0)).verdict is Verdict.INCONCLUSIVE


def test_below_the_level_without_proof_is_inconclusive() -> None:
    judged = Life().look(a_sample("a", 26, 4))

    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.estimate == pytest.approx(26 / 30)


def test_once_degraded_always_degraded() -> None:
    life = Life()
    assert life.look(a_sample("a", 50, 50)).verdict is Verdict.DEGRADED
    judged = life.look(a_sample("a", 100_000, 50))

    assert judged.log_e < 0.5 * math.log(100), "the evidence itself has gone"
    assert judged.verdict is Verdict.DEGRADED
    assert life.wait("a").verdict is Verdict.DEGRADED
    assert life.look(present={"a"}).verdict is Verdict.DEGRADED, "nor does silence make it anything else"
    assert life.wait().verdict is Verdict.DEGRADED


def test_pods_that_do_not_answer_are_unavailable_until_they_do() -> None:
    life = Life()
    life.look(a_sample("a", 50, 3))

    assert life.look(present={"a"}).verdict is Verdict.UNAVAILABLE
    assert life.wait("a").verdict is Verdict.UNAVAILABLE, "it was not asked again"
    assert counted(life.wait("a")) == (50, 3)
    assert life.look(a_sample("a", 50, 3)).verdict is Verdict.HEALTHY


def test_one_answer_is_enough_to_be_available() -> None:
    life = Life()

    assert life.look(a_sample("a", 50, 3), present={"a", "b"}).verdict is Verdict.HEALTHY


def test_no_pods_are_not_unavailable() -> None:
    life = Life()
    life.look(a_sample("a", 50, 3))

    assert life.look(present=set()).verdict is Verdict.HEALTHY


# Levels


def test_the_level_is_the_minimum() -> None:
    level = Life().look(a_sample("a", 1, 0)).level

    assert level is not None
    assert (level.value, level.alpha) == (0.9, 0.01)
    assert level.proof == pytest.approx(math.log(100))


def test_half_of_alpha_pays_for_a_level_that_is_itself_an_estimate() -> None:
    plan = plan_of(Accuracy.parse({"maximumDrop": 0.03}), DROP)

    assert plan.first.value == pytest.approx(clopper_pearson_lower(950, 1000, 0.005) - 0.03)
    assert plan.alpha == 0.005


@pytest.mark.parametrize(
    ("accuracy", "baseline"),
    [
        pytest.param({"maximumDrop": 0.03}, None, id="no predecessor"),
        pytest.param({"maximumDrop": 0.5}, Baseline(metric="accuracy", right=2, wrong=1), id="too few labels"),
        pytest.param({"maximumDrop": 0.1}, Baseline(metric="accuracy", right=0, wrong=50), id="nothing to fall below"),
        pytest.param({"maximumDrop": 0.1}, Baseline(metric="recall", right=95, wrong=5), id="of another metric"),
    ],
)
def test_no_level(accuracy: dict[str, Any], baseline: Baseline | None) -> None:
    assert plan_of(Accuracy.parse(accuracy), baseline).first.value is None


def test_the_stricter_level_is_shown() -> None:
    both = {"minimum": 0.9, "maximumDrop": 0.01}
    low, high = (Life(both, baseline).look(a_sample("a", 1, 0)).level for baseline in (None, DROP))

    assert low is not None
    assert high is not None
    assert low.value == 0.9
    assert high.value > 0.91
    assert Life({"minimum": 0.9, "maximumDrop": 0.5}, DROP).look(a_sample("a", 1, 0)).level == low


def test_without_a_level_labels_are_counted_for_the_successor() -> None:
    life = Life({"maximumDrop": 0.1})
    life.look(a_sample("a", 50, 50))
    judged = life.look(a_sample("a", 60, 50))

    assert (judged.verdict, judged.level, judged.log_e) == (Verdict.INCONCLUSIVE, None, 0.0)
    assert counted(judged) == (60, 50)
    assert judged.estimate == pytest.approx(60 / 110)
    assert judged.interval == (0.0, 1.0)


def test_another_level_is_another_test_that_begins_with_what_is_counted_by_then() -> None:
    life = Life()
    assert life.look(a_sample("a", 50, 50)).verdict is Verdict.DEGRADED
    life.demand({"minimum": 0.4})
    judged = life.look(a_sample("a", 55, 55))

    assert (judged.verdict, counted(judged), judged.log_e) == (Verdict.INCONCLUSIVE, (0, 0), pytest.approx(0.0))
    assert counted(life.look(a_sample("a", 75, 65))) == (20, 10)


def test_another_test_waits_for_a_reading_and_forgets_nothing_until_then() -> None:
    life = Life()
    life.look(a_sample("a", 95, 5))
    life.demand({"minimum": 0.8})

    assert life.wait("a").verdict is Verdict.INCONCLUSIVE
    assert life.look(present={"a"}).verdict is Verdict.UNAVAILABLE
    life.demand(MINIMUM)
    assert counted(life.wait("a")) == (95, 5), "the old test goes on if its level is asked for again"


def test_another_metric_is_another_test() -> None:
    cells = {"true_positive": 30, "false_positive": 10, "false_negative": 5}
    life = Life()
    life.look(a_sample("a", 85, 15, **cells))
    life.demand(MINIMUM | {"metric": "recall"})

    assert counted(life.look(a_sample("a", 85, 15, **cells))) == (0, 0)
    assert counted(life.look(a_sample("a", 87, 16, **cells | {"true_positive": 32, "false_negative": 6}))) == (2, 1)


# All of it


def test_restarted_keeps_what_was_read_and_nothing_else() -> None:
    life = Life()
    state = life.look(a_sample("a", 50, 50)).state
    assert state is not None
    again = restarted(state)
    life.revision = life.revision.model_copy(update={"evidence": again, "verdict": None})

    assert again.pods == state.pods
    assert counted(life.look(a_sample("a", 51, 50))) == (1, 0)
    assert restarted(EvidenceState(metric="accuracy", right=3, log_bets=[])).log_bets == []


def test_nothing_is_judged_unless_asked_for() -> None:
    assert judge(an_observation(accuracy=None).serving("m-1").ready("m-1").having(samples={}).obj()) == {}


def test_each_revision_is_judged_by_its_own_pods() -> None:
    samples = [a_sample("m-1-pod-0", 50, 0), a_sample("m-2-pod-0", 0, 50), a_sample("m-3-pod-0", 9, 9)]
    observation = (
        an_observation()
        .standby("m-1", evidence=evidence(0, 0))
        .ready("m-1")
        .serving("m-2", evidence=evidence(0, 0))
        .ready("m-2")
        .having(samples={sample.pod_uid: sample for sample in samples})
        .obj()
    )
    judged = judge(observation)

    assert {name: one.verdict for name, one in judged.items()} == {"m-1": Verdict.HEALTHY, "m-2": Verdict.DEGRADED}


def test_pods_that_do_not_run_yet_are_not_asked_and_not_forgotten() -> None:
    pods = tuple(a_pod("m-1", number, running=False, ready=False) for number in range(70))
    known = [PodCounts(uid=pod.uid, started="s", right=1, wrong=0) for pod in pods]
    state = EvidenceState(metric="accuracy", level="0.900000", log_bets=["0.0"] * 12, pods=known)
    starting = replace(an_observation().serving("m-1"), pods=pods)
    late = replace(starting.serving("m-1", evidence=state), pods=(*pods, a_pod("m-1", 99)))

    assert judge(starting.having(samples={}).obj()) == {}
    judged = judge(late.having(samples={"m-1-pod-99": a_sample("m-1-pod-99", 1, 0)}).obj())["m-1"]
    assert judged.state is not None
    assert len(judged.state.pods) == 71
