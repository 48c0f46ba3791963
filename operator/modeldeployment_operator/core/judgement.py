"""From counts of labels to a verdict on each revision that runs.

Counts are cumulative, so a reading may be missed, late or repeated: what is judged is the difference to what was last
read from the same pod in the same run of counting. A run that began anew is counted in full; labels lost in between
cost power, never validity.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
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
PODS_KEPT: Final = 2400
"""More than a ModelDeployment of 1000 replicas has while its pods are replaced."""
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
    for revision in observation.status.revisions:
        pods = {pod.uid: pod for pod in observation.pods_of(revision.name)}
        asked = any(pod.running for pod in pods.values())
        if asked or revision.evidence is not None or revision.phase is RevisionPhase.CANDIDATE:
            samples = None
            if asked and observation.samples is not None:
                samples = [sample for uid, sample in observation.samples.items() if uid in pods]
            judged[revision.name] = judge_revision(accuracy, revision, samples, set(pods))
    return judged


def judge_revision(
    accuracy: Accuracy, revision: Revision, samples: Iterable[Sample] | None, present: set[str]
) -> Judged:
    """Return what is known of one revision after these samples; None means that it was not time to read any.

    `present` holds the UIDs of its pods, those that did not answer among them.
    """
    level = level_of(accuracy, revision.baseline)
    known, samples = _readable(revision.evidence), None if samples is None else list(samples)
    if known is None and revision.serving_since is None:
        known = _start(accuracy.metric, level)  # It is watched from its first label on.
    if known is None and samples:
        # It had served before it was to be judged.
        known = _start(accuracy.metric, level, _last_counts(accuracy.metric, samples, (), set()))
    if known is not None and (known.metric, known.level) != (accuracy.metric.value, level.text if level else None):
        return _another_test(accuracy, level, known, samples or [])
    latched = known is not None and revision.verdict is Verdict.DEGRADED
    # Pods that could not be asked stay so until they are asked again.
    unanswered = bool(present) and not samples and (samples is not None or revision.verdict is Verdict.UNAVAILABLE)
    if known is not None and samples:
        known = _observe(accuracy.metric, level, known, samples, present)
    judged = _assess(accuracy, level, known, latched=latched)
    if unanswered and judged.verdict is not Verdict.DEGRADED:
        return replace(judged, verdict=Verdict.UNAVAILABLE)
    return judged


def level_of(accuracy: Accuracy, baseline: Baseline | None) -> Level | None:
    """Return the level for a revision, or None if there is none yet.

    A level that rests on labels of the predecessor is itself an estimate: half of alpha is for its being too high (the
    lower end of Clopper and Pearson's interval), the other half is for the test.
    """
    levels = []
    if accuracy.minimum is not None:
        levels.append(Level(accuracy.metric, accuracy.minimum, accuracy.alpha))
    if accuracy.maximum_drop is not None and baseline is not None and baseline.metric == accuracy.metric.value:
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


def _readable(state: EvidenceState | None) -> EvidenceState | None:
    """Return a state, unless it is of a test with another number of bets."""
    return state if state is None or len(state.log_bets) in {0, len(_FRESH_BETS)} else None


def _another_test(accuracy: Accuracy, level: Level | None, known: EvidenceState, samples: list[Sample]) -> Judged:
    """Begin to judge another metric, or against another level.

    What was counted before its level was chosen does not count for it; so it begins when the counts can be read.
    """
    if not samples:
        return Judged(accuracy.metric, Verdict.INCONCLUSIVE, state=known)
    state = _start(accuracy.metric, level, _last_counts(accuracy.metric, samples, (), set()))
    return _assess(accuracy, level, state, latched=False)


def _start(metric: AccuracyMetric, level: Level | None, pods: list[PodCounts] | None = None) -> EvidenceState:
    return EvidenceState(
        metric=metric.value,
        level=level.text if level else None,
        log_bets=[repr(value) for value in _FRESH_BETS] if level else [],
        pods=pods or [],
    )


def _observe(
    metric: AccuracyMetric, level: Level | None, state: EvidenceState, samples: list[Sample], present: set[str]
) -> EvidenceState:
    """Return the state after what is new in the samples."""
    last = {pod.uid: pod for pod in state.pods}
    right = wrong = 0
    for sample in samples:
        more_right, more_wrong = _increment(metric, last.get(sample.pod_uid), sample)
        right += more_right
        wrong += more_wrong
    bets = _evidence_of(level, state).observe(right, wrong).log_bets if level else ()
    return EvidenceState(
        metric=state.metric,
        level=state.level,
        right=state.right + right,
        wrong=state.wrong + wrong,
        log_bets=[repr(value) for value in bets],
        pods=_last_counts(metric, samples, state.pods, present),
    )


def _increment(metric: AccuracyMetric, last: PodCounts | None, sample: Sample) -> tuple[int, int]:
    """Return the labels that a pod counted since it was last read."""
    right, wrong = right_and_wrong(metric, sample)
    if last is None or last.started != sample.started or right < last.right or wrong < last.wrong:
        return right, wrong
    return right - last.right, wrong - last.wrong


def _last_counts(
    metric: AccuracyMetric, samples: Iterable[Sample], known: Iterable[PodCounts], present: set[str]
) -> list[PodCounts]:
    """Return what was last read from each pod that is there, and from the last few that are not."""
    counts = {pod.uid: pod for pod in known}
    for sample in samples:
        right, wrong = right_and_wrong(metric, sample)
        counts[sample.pod_uid] = PodCounts(uid=sample.pod_uid, started=sample.started, right=right, wrong=wrong)
        present = present | {sample.pod_uid}
    absent = [pod for pod in counts.values() if pod.uid not in present]
    return [*absent[-ABSENT_PODS_KEPT:], *(pod for pod in counts.values() if pod.uid in present)][-PODS_KEPT:]


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
