"""From counts of labels to a verdict on each revision that runs.

Counts are cumulative within a run of counting, which its pod and its `started` name. So a reading may be missed,
repeated or older than one before, as Prometheus servers that lag behind each other give them: what counts is by how
much it goes beyond the furthest reading of the same run. Labels that no reading saw cost power, never validity.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from modeldeployment_operator.api.spec import Accuracy, AccuracyMetric
from modeldeployment_operator.api.status import (
    Baseline,
    EvidenceState,
    PodCounts,
    Revision,
    RevisionPhase,
    Verdict,
)
from modeldeployment_operator.core.evidence import Evidence
from modeldeployment_operator.core.intervals import anytime_interval, clopper_pearson_lower
from modeldeployment_operator.core.metrics import right_and_wrong, share_of, value_of
from modeldeployment_operator.core.observation import Observation, Sample

ABSENT_PODS_KEPT: Final = 64
"""Pods that are gone may be back in the next list; remembering the last few of them costs little."""
RUNS_KEPT: Final = 8
"""Runs of counting remembered of a pod that is there: it begins a new one only if its volume is damaged, and a reading
of a run before may come for as long as a Prometheus lags behind."""
PODS_KEPT: Final = 2400
"""More than a ModelDeployment of 1000 replicas has while its pods are replaced."""
_UNREAD: Final = "unread"
"""Stands for the run of counting of a pod that could not be read when a test began."""
_FRESH_BETS: Final = Evidence.start(0.5).log_bets
"""At the start, the capital of the bets does not depend on the level."""


@dataclass(frozen=True)
class Level:
    """What a revision is judged against.

    Attributes:
        metric: what is judged.
        value: lowest good value of the metric, in (0, 1).
        alpha: chance of error that is left to the test.

    """

    metric: AccuracyMetric
    value: float
    alpha: float

    @property
    def text(self) -> str:
        """The value as it is written into the status. Two levels are the same if their texts are."""
        return f"{self.value:.6f}"

    @property
    def proof(self) -> float:
        """Natural logarithm of the evidence that proves a revision worse."""
        return -math.log(self.alpha)


@dataclass(frozen=True)
class Judged:
    """What is known of a revision's quality. Without a level its labels are only counted."""

    metric: AccuracyMetric
    verdict: Verdict
    level: Level | None = None
    state: EvidenceState | None = None
    log_e: float = 0.0
    before: Verdict | None = None
    """What the labels said when they could last be read; None if they can be."""

    @property
    def known(self) -> Verdict:
        """What the labels said last, whether they can be read now or not."""
        return self.before or self.verdict

    @property
    def is_falling(self) -> bool:
        """Whether it is proven worse, or half of the proof is there."""
        if self.verdict is Verdict.DEGRADED:
            return True
        return self.level is not None and self.log_e >= self.level.proof / 2

    @property
    def labels(self) -> int:
        """Labels that were judged."""
        return self.state.right + self.state.wrong if self.state else 0

    @property
    def estimate(self) -> float | None:
        """Value of the metric over all labels judged; None without a label."""
        if self.state is None or not self.labels:
            return None
        return value_of(self.metric, self.state.right / self.labels)

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of an interval of the metric that holds at all times at once, at chance of error alpha."""
        if self.level is None or self.state is None:
            return 0.0, 1.0
        low, high = anytime_interval(self.state.right, self.state.wrong, self.level.alpha)
        return value_of(self.metric, low), value_of(self.metric, high)


def judge(observation: Observation) -> Mapping[str, Judged]:
    """Return what is known of each revision that runs and is to be judged; empty if nothing is."""
    accuracy = observation.spec.accuracy
    if accuracy is None:
        return {}
    judged = {}
    for revision in (*observation.status.revisions, *_first(observation)):
        pods = {pod.uid: pod for pod in observation.pods_of(revision.name)}
        asked = any(pod.running for pod in pods.values())
        if asked or revision.evidence is not None or revision.phase is RevisionPhase.CANDIDATE:
            samples = None
            if asked and observation.samples is not None:
                samples = [sample for sample in observation.samples.values() if sample.revision == revision.name]
                if not samples and revision.name not in observation.silent:
                    samples = None  # It may be read again at the next look.
            present = {*pods, *(sample.pod_uid for sample in samples or ())}
            judged[revision.name] = judge_revision(accuracy, revision, samples, present)
    return judged


def _first(observation: Observation) -> Iterator[Revision]:
    """Yield the first revision of all before the status tells of it: its labels count from the first on.

    One that has the traffic already may have had it before anything was demanded of it, unless the spec is the first.
    """
    name, status = observation.desired.name, observation.status
    is_new = observation.selected is None or observation.generation == 1
    if is_new and not status.revisions and status.serving_revision is None:
        yield Revision(name=name, phase=RevisionPhase.CANDIDATE, model_uri=observation.desired.template.model.uri)


def judge_revision(
    accuracy: Accuracy, revision: Revision, samples: Iterable[Sample] | None, present: set[str]
) -> Judged:
    """Return what is known of one revision after these samples; None means that none were to be read, or none yet.

    `present` holds the UIDs of its pods, those that did not answer among them.
    """
    level = level_of(accuracy, revision.baseline)
    samples = None if samples is None else list(samples)
    judged = _judge_samples(accuracy, level, revision, samples or [], present)
    # What could not be read stays so until it is tried again.
    silent = bool(present) and not samples and (samples is not None or revision.verdict is Verdict.UNAVAILABLE)
    if silent and judged.verdict is not Verdict.DEGRADED:
        return replace(judged, verdict=Verdict.UNAVAILABLE, before=judged.verdict)
    return judged


def level_of(accuracy: Accuracy, baseline: Baseline | None) -> Level | None:
    """Return the level for a revision, or None if there is none yet.

    A level that rests on labels of the predecessor is itself an estimate: half of alpha is for its being too high (the
    lower end of Clopper and Pearson's interval), the other half is for the test.
    """
    levels = []
    if accuracy.minimum is not None:
        levels.append(Level(accuracy.metric, accuracy.minimum, accuracy.alpha))
    measured = (accuracy.metric.value, accuracy.counted_by)
    if accuracy.maximum_drop is not None and baseline is not None and (baseline.metric, baseline.query) == measured:
        half = accuracy.alpha / 2
        share = clopper_pearson_lower(baseline.right, baseline.right + baseline.wrong, half)
        value = value_of(accuracy.metric, share) - accuracy.maximum_drop
        if value > 0:
            levels.append(Level(accuracy.metric, value, half))
    return max(levels, key=lambda level: level.value, default=None)


def restarted(state: EvidenceState) -> EvidenceState:
    """Return a state without evidence in which everything that was counted so far is known."""
    log_bets = [repr(value) for value in _FRESH_BETS] if state.log_bets else []
    return state.model_copy(update={"right": 0, "wrong": 0, "log_bets": log_bets})


def _judge_samples(
    accuracy: Accuracy, level: Level | None, revision: Revision, samples: list[Sample], present: set[str]
) -> Judged:
    metric, known = accuracy.metric, _readable(revision.evidence)
    if known is None and revision.serving_since is None:
        known = _start(accuracy, level)  # It is watched from its first label on.
    if known is None and samples:
        # It had served before it was to be judged.
        known = _start(accuracy, level, _from_here(metric, [], samples, present))
    wanted = (metric.value, level.text if level else None, accuracy.counted_by)
    if known is not None and (known.metric, known.level, known.query) != wanted:
        return _another_test(accuracy, level, known, samples, present)
    latched = known is not None and revision.verdict is Verdict.DEGRADED
    if known is not None and samples:
        known = _observe(metric, level, known, samples, present)
    return _assess(accuracy, level, known, latched=latched)


def _readable(state: EvidenceState | None) -> EvidenceState | None:
    """Return a state, unless it is of a test with another number of bets."""
    return state if state is None or len(state.log_bets) in {0, len(_FRESH_BETS)} else None


def _another_test(
    accuracy: Accuracy, level: Level | None, known: EvidenceState, samples: list[Sample], present: set[str]
) -> Judged:
    """Begin to judge another metric, or against another level.

    What was counted before its level was chosen does not count for it; so it begins when the counts can be read, for
    a pod that cannot be read by then with its first reading.
    """
    if not samples:
        return Judged(accuracy.metric, Verdict.INCONCLUSIVE, state=known)
    runs = known.pods if known.metric == accuracy.metric.value else []
    state = _start(accuracy, level, _from_here(accuracy.metric, runs, samples, present))
    return _assess(accuracy, level, state, latched=False)


def _start(accuracy: Accuracy, level: Level | None, pods: list[PodCounts] | None = None) -> EvidenceState:
    return EvidenceState(
        metric=accuracy.metric.value,
        level=level.text if level else None,
        query=accuracy.counted_by,
        log_bets=[repr(value) for value in _FRESH_BETS] if level else [],
        pods=pods or [],
    )


def _observe(
    metric: AccuracyMetric, level: Level | None, state: EvidenceState, samples: list[Sample], present: set[str]
) -> EvidenceState:
    """Return the state after what is new in the samples."""
    before = _caught_up(metric, state.pods, samples)
    runs = _furthest(metric, before, samples)
    right = sum(run.right for run in runs) - sum(run.right for run in before)
    wrong = sum(run.wrong for run in runs) - sum(run.wrong for run in before)
    bets = _evidence_of(level, state).observe(right, wrong).log_bets if level else ()
    return EvidenceState(
        metric=state.metric,
        level=state.level,
        query=state.query,
        right=state.right + right,
        wrong=state.wrong + wrong,
        log_bets=[repr(value) for value in bets],
        pods=_remembered(runs, present),
    )


def _from_here(
    metric: AccuracyMetric, known: Iterable[PodCounts], samples: list[Sample], present: set[str]
) -> list[PodCounts]:
    """Return the runs of counting for a test that begins with these readings, pods that could not be read marked."""
    unread = sorted(present - {sample.pod_uid for sample in samples})
    marks = [PodCounts(uid=uid, started=_UNREAD, right=0, wrong=0) for uid in unread]
    return _remembered([*_furthest(metric, known, samples), *marks], present)


def _caught_up(metric: AccuracyMetric, known: Iterable[PodCounts], samples: list[Sample]) -> list[PodCounts]:
    """Return what is known, with the first readings of pods that could not be read when the test began."""
    read = {sample.pod_uid for sample in samples}
    late = {run.uid for run in known if run.started == _UNREAD} & read
    rest = [run for run in known if run.started != _UNREAD or run.uid not in late]
    return _furthest(metric, rest, [sample for sample in samples if sample.pod_uid in late])


def _furthest(metric: AccuracyMetric, known: Iterable[PodCounts], samples: Iterable[Sample]) -> list[PodCounts]:
    """Return of each run of counting the furthest reading, in the order in which they were first read.

    A reading that is behind another one of its run, in the labels for or in those against, is an older one.
    """
    runs = {(run.uid, run.started): run for run in known}
    for sample in samples:
        right, wrong = right_and_wrong(metric, sample)
        reading = PodCounts(uid=sample.pod_uid, started=sample.started, right=right, wrong=wrong)
        last = runs.setdefault((reading.uid, reading.started), reading)
        if right >= last.right and wrong >= last.wrong:
            runs[reading.uid, reading.started] = reading
    return list(runs.values())


def _remembered(runs: list[PodCounts], present: set[str]) -> list[PodCounts]:
    """Return the last few runs of each pod that is there, and the last few of pods that are not.

    Should there be too many, the last run of each pod that is there is what is kept.
    """
    later: Counter[str] = Counter()
    absent: list[PodCounts] = []
    earlier: list[PodCounts] = []
    last: list[PodCounts] = []
    for run in reversed(runs):
        if run.uid not in present:
            absent.append(run)
        elif later[run.uid] < RUNS_KEPT:
            (earlier if later[run.uid] else last).append(run)
        later[run.uid] += 1
    kept = [*last, *earlier, *absent[:ABSENT_PODS_KEPT]][:PODS_KEPT]
    return kept[::-1]


def _evidence_of(level: Level, state: EvidenceState) -> Evidence:
    return Evidence(
        level=share_of(level.metric, level.value),
        labels=float(state.right + state.wrong),
        log_bets=tuple(float(value) for value in state.log_bets),
    )


def _assess(accuracy: Accuracy, level: Level | None, state: EvidenceState | None, *, latched: bool) -> Judged:
    """Return the verdict that a state allows; once Degraded, a revision stays so."""
    if level is None or state is None:
        return Judged(accuracy.metric, Verdict.INCONCLUSIVE, level, state)
    judged = Judged(accuracy.metric, Verdict.INCONCLUSIVE, level, state, _evidence_of(level, state).log_e)
    enough = judged.labels >= accuracy.minimum_labels
    if latched or (enough and judged.log_e >= level.proof):
        return replace(judged, verdict=Verdict.DEGRADED)
    if enough and judged.estimate is not None and judged.estimate >= level.value:
        return replace(judged, verdict=Verdict.HEALTHY)
    return judged
