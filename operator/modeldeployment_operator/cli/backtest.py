"""What a policy would have done with recorded counts: the operator's own judgement, reading after reading. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import Final

from modeldeployment_operator.api.spec import Accuracy, AccuracyMetric
from modeldeployment_operator.api.status import Baseline, Revision, RevisionPhase, Verdict
from modeldeployment_operator.cli.counts import Count, Recording
from modeldeployment_operator.core.judgement import Judged, judge_revision
from modeldeployment_operator.core.observation import Sample
from modeldeployment_operator.core.passing import ANSWERS_ITSELF
from modeldeployment_operator.core.text import precise

_GAP: Final = 10
"""So many usual intervals without a reading are a gap."""
_BEGINNING: Final = timedelta(minutes=5)
"""Every pod that there was when a record begins is read within that time."""


@dataclass(frozen=True)
class Mark:
    """When a verdict was reached, and by which labels."""

    time: datetime
    labels: int
    wrong: int
    estimate: float
    lower: float
    upper: float
    log_e: float


@dataclass
class Life:
    """What became of one revision."""

    revision: str
    first: datetime
    last: datetime
    judged: Judged | None = None
    """After the last reading."""
    level: float | None = None
    healthy: Mark | None = None
    """When it was first called Healthy."""
    degraded: Mark | None = None
    back_to: str | None = None
    """The revision that would have taken the traffic back."""
    path: list[tuple[datetime, float]] = field(default_factory=list)
    """Evidence that it is worse, as a share of proof, over time."""

    @property
    def labels(self) -> int:
        """Labels that it had in the end."""
        return self.judged.labels if self.judged else 0

    @property
    def wrong(self) -> int:
        """Those that spoke against it."""
        return self.judged.state.wrong if self.judged and self.judged.state else 0


@dataclass(frozen=True)
class Outcome:
    """What became of all of them, in the order in which they came."""

    accuracy: Accuracy
    recording: Recording
    lives: list[Life]
    gaps: list[tuple[datetime, datetime]]


def backtest(accuracy: Accuracy, recording: Recording, *, from_here: bool) -> Outcome:
    """Judge what was recorded as the operator would have.

    With `from_here` the record begins in the middle of lives: what the first readings of revisions have that were there
    already was counted before, and says nothing of a test that begins then.
    """
    lives: dict[str, Life] = {}
    known: dict[str, Revision] = {}
    pods: dict[str, set[str]] = {}
    for count in recording.counts:
        name = count.revision
        if name not in lives:
            was_there = from_here and count.time <= recording.counts[0].time + _BEGINNING
            before = [] if was_there else list(lives.values())
            lives[name] = Life(name, count.time, count.time)
            known[name] = _begun(accuracy, name, before, since=count.time if was_there else None)
            pods[name] = _pods_at(recording.counts, count) if was_there else set()
        pods[name].add(count.pod)
        judged = judge_revision(accuracy, known[name], [_sample(accuracy.metric, count)], pods[name])
        known[name] = known[name].model_copy(update={"evidence": judged.state, "verdict": judged.verdict})
        _note(lives, lives[name], judged, count.time)
    return Outcome(accuracy, recording, list(lives.values()), gaps(recording.counts))


def gaps(counts: Iterable[Count]) -> list[tuple[datetime, datetime]]:
    """Return between which times nothing was recorded for much longer than usual."""
    times = sorted({count.time for count in counts})
    spans = [((late - early).total_seconds(), early, late) for early, late in pairwise(times)]
    if not spans:
        return []
    usual = max(1.0, median(span for span, _, _ in spans))
    return [(early, late) for span, early, late in spans if span > _GAP * usual]


def _begun(accuracy: Accuracy, name: str, before: list[Life], since: datetime | None) -> Revision:
    """Return a revision as it is when its first labels come."""
    predecessor = next((one for one in reversed(before) if one.degraded is None), None)
    baseline = None
    if predecessor is not None and predecessor.labels:
        right = predecessor.labels - predecessor.wrong
        baseline = Baseline(
            metric=accuracy.metric.value, query=accuracy.counted_by, right=right, wrong=predecessor.wrong
        )
    return Revision(
        name=name,
        phase=RevisionPhase.SERVING,
        model_uri="",
        baseline=baseline,
        serving_since=precise(since) if since else None,
    )


def _pods_at(counts: Iterable[Count], first: Count) -> set[str]:
    """Return the pods that counted when the record begins; each may be read a little later."""
    within = first.time + _BEGINNING
    return {one.pod for one in counts if one.revision == first.revision and one.time <= within}


def _sample(metric: AccuracyMetric, count: Count) -> Sample:
    """Return counts as a pod tells of them, so that the metric makes the same of them."""
    recall = metric is AccuracyMetric.RECALL
    return Sample(
        pod_uid=count.pod,
        revision=count.revision,
        started=count.started,
        correct=count.right,
        wrong=count.wrong,
        true_positive=count.right,
        false_positive=0 if recall else count.wrong,
        false_negative=count.wrong if recall else 0,
        passing=ANSWERS_ITSELF,
    )


def _note(lives: dict[str, Life], life: Life, judged: Judged, time: datetime) -> None:
    """Take note of what was concluded from a reading."""
    life.last, life.judged = time, judged
    if judged.level is None:
        return
    life.level = judged.level.value
    life.path.append((time, max(0.0, judged.log_e / judged.level.proof)))
    if judged.verdict is Verdict.HEALTHY and life.healthy is None:
        life.healthy = _mark(judged, time)
    if judged.verdict is Verdict.DEGRADED and life.degraded is None:
        life.degraded = _mark(judged, time)
        good = [one.revision for one in lives.values() if one is not life and one.degraded is None]
        life.back_to = good[-1] if good and list(lives)[-1] == life.revision else None


def _mark(judged: Judged, time: datetime) -> Mark:
    low, high = judged.interval
    wrong = judged.state.wrong if judged.state else 0
    return Mark(time, judged.labels, wrong, judged.estimate or 0.0, low, high, judged.log_e)
