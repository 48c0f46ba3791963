"""Readings that lag, repeat, go missing or come from elsewhere: each label counts at most once, in any order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modeldeployment_operator.api.spec import Accuracy
from modeldeployment_operator.api.status import RevisionPhase, Verdict
from modeldeployment_operator.core.counting import PODS_KEPT, RUNS_KEPT
from modeldeployment_operator.core.evidence import Evidence
from modeldeployment_operator.core.judgement import judge_revision
from modeldeployment_operator.core.observation import Sample

from tests.support.life import Life, counted
from tests.support.observations import a_revision, a_sample


@pytest.mark.parametrize(("right", "wrong"), [(6, 3), (7, 2), (8, 1), (5, 4), (0, 0)])
def test_a_reading_that_is_behind_is_an_older_one(right: int, wrong: int) -> None:
    life = Life()
    life.look(a_sample("a", 7, 3))

    assert counted(life.look(a_sample("a", right, wrong))) == (7, 3)
    assert counted(life.look(a_sample("a", 8, 3))) == (8, 3), "and what comes after is counted from the furthest"


def test_a_reading_of_a_run_before_counts_by_what_it_adds_to_that_run() -> None:
    life = Life()
    life.look(a_sample("a", 7, 3, started="1"))
    life.look(a_sample("a", 2, 1, started="2"))

    assert counted(life.look(a_sample("a", 6, 3, started="1"))) == (9, 4), "it is an older one"
    assert counted(life.look(a_sample("a", 8, 3, started="1"))) == (10, 4), "nobody had seen its last label"
    assert counted(life.look(a_sample("a", 2, 2, started="2"))) == (10, 5)


def test_of_a_pod_the_last_runs_are_remembered() -> None:
    life = Life()
    for run in range(RUNS_KEPT + 5):
        life.look(a_sample("a", 1, 0, started=str(run)), a_sample("b", 1, 0))

    assert life.revision.evidence is not None
    kept = [pod.started for pod in life.revision.evidence.pods if pod.uid == "a"]
    assert kept == [str(run) for run in range(5, RUNS_KEPT + 5)]


def test_of_too_many_runs_the_last_of_each_pod_are_remembered() -> None:
    life, pods = Life(), 400
    for run in range(RUNS_KEPT):
        life.look(*(a_sample(f"pod-{number}", 1, 0, started=str(run)) for number in range(pods)))

    assert life.revision.evidence is not None
    assert len(life.revision.evidence.pods) == PODS_KEPT
    assert {uid: started for uid, (started, _, _) in life.pods.items()} == {
        f"pod-{number}": str(RUNS_KEPT - 1) for number in range(pods)
    }


SEVERAL_RUNS = RUNS_KEPT // 2

type_of_step = st.sampled_from(["label", "label", "label", "restart", "read"])
STEPS = st.lists(st.tuples(type_of_step, st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 4)), max_size=40)


@dataclass
class Pods:
    """Pods that count, and everything that they ever showed: a Prometheus that lags shows what was."""

    runs: dict[str, list[list[Sample]]] = field(default_factory=dict)
    """By pod the runs of counting, each with what was to be read of it, one after another."""

    def __post_init__(self) -> None:
        self.runs = {uid: [[a_sample(uid, started="0")]] for uid in "abc"}

    def label(self, uid: str, right: int, wrong: int) -> None:
        run = self.runs[uid][-1]
        run.append(a_sample(uid, run[-1].correct + right, run[-1].wrong + wrong, started=run[-1].started))

    def restart(self, uid: str) -> None:
        if len(self.runs[uid]) < SEVERAL_RUNS:
            self.runs[uid].append([a_sample(uid, started=str(len(self.runs[uid])))])

    def shown(self, uid: str) -> list[Sample]:
        return [sample for run in self.runs[uid] for sample in run]

    @property
    def total(self) -> tuple[int, int]:
        last = [run[-1] for runs in self.runs.values() for run in runs]
        return sum(sample.correct for sample in last), sum(sample.wrong for sample in last)


@settings(max_examples=150)
@given(STEPS, st.data())
def test_each_label_counts_at_most_once_and_at_last_exactly_once(
    steps: list[tuple[str, str, int, int]], data: st.DataObject
) -> None:
    """The pods themselves and any number of Prometheus servers that lag are asked in any order; the operator dies."""
    pods, seen = Pods(), dict[tuple[str, str], Sample]()
    operator = Operator()
    for what, uid, right, wrong in steps:
        if what == "label":
            pods.label(uid, right, wrong)
        elif what == "restart":
            pods.restart(uid)
        else:
            read = [data.draw(st.sampled_from(pods.shown(one))) for one in data.draw(st.sets(st.sampled_from("abc")))]
            operator.look(read)
            for sample in read:
                furthest = seen.setdefault((sample.pod_uid, sample.started), sample)
                if (sample.correct, sample.wrong) >= (furthest.correct, furthest.wrong):
                    seen[sample.pod_uid, sample.started] = sample
        counted = operator.counted
        assert counted == (
            sum(sample.correct for sample in seen.values()),
            sum(sample.wrong for sample in seen.values()),
        )
        assert counted[0] <= pods.total[0]
        assert counted[1] <= pods.total[1]
    everything = [sample for uid in "abc" for sample in pods.shown(uid)]
    for sample in data.draw(st.permutations(everything)):
        operator.look([sample])

    assert operator.counted == pods.total


class Operator:
    """Judges, and keeps of it what the status keeps."""

    def __init__(self) -> None:
        self._accuracy = Accuracy.parse({"minimum": 0.9})
        self._status: dict[str, Any] = a_revision("m-1", RevisionPhase.SERVING).model_dump(mode="json", by_alias=True)
        self._alone = Evidence.start(0.9)

    def look(self, samples: list[Sample]) -> None:
        before = self.counted
        revision = a_revision("m-1").parse(self._status)
        judged = judge_revision(self._accuracy, revision, samples, set("abc"))
        changed = revision.model_copy(update={"evidence": judged.state, "verdict": judged.verdict})
        self._status = changed.model_dump(mode="json", by_alias=True)
        after = self.counted
        self._alone = self._alone.observe(after[0] - before[0], after[1] - before[1])
        assert judged.log_e == self._alone.log_e, "the evidence follows from what was counted, and from nothing else"
        assert judged.verdict is not Verdict.UNAVAILABLE or not samples

    @property
    def counted(self) -> tuple[int, int]:
        evidence = self._status.get("evidence") or {"right": 0, "wrong": 0}
        return evidence["right"], evidence["wrong"]


READ_STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 4), st.booleans()), min_size=1, max_size=12
)


@settings(max_examples=20)
@given(READ_STEPS, st.data())
def test_the_totals_do_not_depend_on_how_the_readings_fall(
    steps: list[tuple[str, int, int, bool]], data: st.DataObject
) -> None:
    """Labels arrive at pods that restart now and then; some readings fail, some are repeated, their order varies.

    As long as every run of counting is read at its end, all labels count, each once; and the evidence follows from
    the sequence of increments alone.
    """
    life, alone = Life(), Evidence.start(0.9)
    now: dict[str, tuple[int, int, int]] = {}
    total = (0, 0)

    def look(uids: list[str]) -> None:
        nonlocal alone
        known = life.revision.evidence
        before = (known.right, known.wrong) if known else (0, 0)
        samples = [a_sample(uid, now[uid][1], now[uid][2], started=str(now[uid][0])) for uid in uids]
        judged = life.look(*samples, present=set(now))
        after = counted(judged)
        alone = alone.observe(after[0] - before[0], after[1] - before[1])
        assert judged.log_e == alone.log_e

    for uid, right, wrong, restarts in steps:
        run, had_right, had_wrong = now.get(uid, (0, 0, 0))
        if restarts and uid in now:
            look([uid])
            run, had_right, had_wrong = run + 1, 0, 0
        now[uid] = (run, had_right + right, had_wrong + wrong)
        total = (total[0] + right, total[1] + wrong)
        readable = data.draw(st.permutations(sorted(now)))
        read = readable[: data.draw(st.integers(0, len(readable)))]
        for _ in range(data.draw(st.integers(1, 2))):
            if read:
                look(read)
    look(sorted(now))

    assert life.revision.evidence is not None
    assert (life.revision.evidence.right, life.revision.evidence.wrong) == total
