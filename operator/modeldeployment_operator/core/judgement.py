"""From counts of labels to a verdict on each revision that runs.

What is new in the readings is `counting`, what is demanded `criteria`, how tests go on `trials`, and what they say
`findings`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modeldeployment_operator.api.spec import Accuracy, AccuracyMetric
from modeldeployment_operator.api.status import (
    CriterionKind,
    EvidenceState,
    GaugeState,
    Revision,
    RevisionPhase,
    Verdict,
)
from modeldeployment_operator.core.counting import Reading, advanced, from_here
from modeldeployment_operator.core.criteria import COMPARED, Plan, plan_of, slices_of
from modeldeployment_operator.core.evidence import Labels
from modeldeployment_operator.core.findings import Finding, combined, findings_of, plan_in
from modeldeployment_operator.core.gauge import judge_gauges
from modeldeployment_operator.core.intervals import anytime_interval
from modeldeployment_operator.core.metrics import value_of
from modeldeployment_operator.core.observation import Observation, Sample
from modeldeployment_operator.core.trials import (
    NO_LABELS,
    Beside,
    after,
    begun,
    is_of,
    is_readable,
    with_baseline,
)


@dataclass(frozen=True)
class Level:
    """What a revision is judged against.

    Attributes:
        metric: what is judged.
        value: lowest good value of the metric, in (0, 1).
        alpha: chance of error that is left to all tests of the revision.
        weight: share of the evidence that the test against this level has.

    """

    metric: AccuracyMetric
    value: float
    alpha: float
    weight: float = 1.0

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
    findings: tuple[Finding, ...] = ()
    """What is known by each criterion, the one that speaks most against the revision first."""
    gauge: GaugeState | None = None
    """What a gauge says, where that is judged; nothing is known of labels then."""
    new: Labels = field(default=NO_LABELS, compare=False)
    """Labels since what is remembered."""

    @property
    def known(self) -> Verdict:
        """What the labels said last, whether they can be read now or not."""
        return self.before or self.verdict

    @property
    def is_falling(self) -> bool:
        """Whether it is proven worse, or half of the proof is there."""
        if self.verdict is Verdict.DEGRADED or (self.gauge is not None and self.gauge.below_since is not None):
            return True
        return self.level is not None and self.log_e >= self.level.proof / 2

    @property
    def decided(self) -> Finding | None:
        """What it was proven worse by; None if it was not, or by nothing that is known."""
        return self.findings[0] if self.findings and self.verdict is Verdict.DEGRADED else None

    @property
    def limit(self) -> float | None:
        """Lowest value at which it would be good by what it was proven worse by, or else by what is shown."""
        told = self.decided
        limit = None if told is None else told.criterion.value if told.criterion.is_level else told.shown
        return limit if limit is not None or self.level is None else self.level.value

    @property
    def subject(self) -> Finding | None:
        """What it was proven worse by, if that is another metric or a slice: then its numbers are to be told."""
        told = self.decided
        if told is None or not told.criterion.is_level:
            return None
        stream = told.criterion.stream
        return told if (stream.metric, stream.slice) != (self.metric, None) else None

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
    if accuracy.query is not None and accuracy.query.gauge is not None:
        known = [*observation.status.revisions, *_first(observation)]
        gauged = judge_gauges(observation, accuracy.query, accuracy.minimum or 0.0, known)
        return {
            name: Judged(accuracy.metric, one.verdict, before=one.before, gauge=one.state)
            for name, one in gauged.items()
        }
    judged: dict[str, Judged] = {}
    # What is new of the one that serves is what a candidate is compared with.
    revisions = [*observation.status.revisions, *_first(observation)]
    serving = observation.status.serving_revision
    for revision in sorted(revisions, key=lambda one: one.name != serving):
        found = _judge(observation, accuracy, revision, judged.get(serving or ""))
        if found is not None:
            judged[revision.name] = found
    return judged


def _judge(observation: Observation, accuracy: Accuracy, revision: Revision, serving: Judged | None) -> Judged | None:
    pods = {pod.uid: pod for pod in observation.pods_of(revision.name)}
    asked = any(pod.running for pod in pods.values())
    if not (asked or revision.evidence is not None or revision.phase is RevisionPhase.CANDIDATE):
        return None
    samples = None
    if asked and observation.samples is not None:
        samples = [sample for sample in observation.samples.values() if sample.revision == revision.name]
        if not samples and revision.name not in observation.silent:
            samples = None  # It may be read again at the next look.
    stored = observation.stored.get(revision.name)
    slices = slices_of(stored.template.feedback if stored else observation.spec.feedback)
    plan = plan_of(accuracy, revision.baseline, _comparison(observation, revision), slices)
    beside = _beside(observation, revision, serving)
    present = {*pods, *(sample.pod_uid for sample in samples or ())}
    return judge_revision(accuracy, revision, samples, present, plan, beside)


def _comparison(observation: Observation, revision: Revision) -> CriterionKind | None:
    """Return how a revision is compared with the one that serves; so it stays, once that test has begun."""
    compared = COMPARED.get(observation.spec.rollout.strategy)
    if revision.phase is RevisionPhase.CANDIDATE:
        return compared if observation.status.serving_revision is not None else None
    known = {one.kind for one in revision.evidence.further} if revision.evidence else set()
    return next((kind for kind in COMPARED.values() if kind in known), None)


def _beside(observation: Observation, revision: Revision, serving: Judged | None) -> Beside | None:
    """Return what is new of the one that serves; None unless the revision is on its way to the traffic now."""
    rollout, status = observation.status.rollout, observation.status
    if rollout is None or rollout.revision != revision.name or serving is None or serving.state is None:
        return None
    name = status.serving_revision or ""
    known = next((one.evidence for one in status.revisions if one.name == name), None)
    beside = Beside(name, rollout.since, Labels(known.right, known.wrong) if known else NO_LABELS, serving.new)
    return replace(beside, **_pairs(observation, revision, name)) if rollout.copies else beside


def _pairs(observation: Observation, revision: Revision, serving: str) -> dict[str, Any]:
    """Return how a revision did on copies of requests, and what is to be remembered of who sent them."""
    pods = {pod.uid for pod in observation.pods_of(serving)}
    readings = [
        Reading(uid, sample.started, sample.pairs.get(revision.name, (0, 0, 0)))
        for uid, sample in (observation.samples or {}).items()
        if uid in pods
    ]
    known = revision.evidence
    against = [one.against for one in known.further if one.kind is CriterionKind.PAIRED] if known else []
    copying = known.copying if known and against == [serving] else []
    if not readings:
        return {"copying": copying}
    if not copying:  # What there was before is of another try.
        return {"copying": from_here([], readings, pods)}
    pairs, copying = advanced(copying, readings, pods)
    return {"pairs": pairs, "copying": copying}


def _first(observation: Observation) -> Iterator[Revision]:
    """Yield the first revision of all before the status tells of it: its labels count from the first on.

    One that has the traffic already may have had it before anything was demanded of it, unless the spec is the first.
    """
    name, status = observation.desired.name, observation.status
    is_new = observation.selected is None or observation.generation == 1
    if is_new and not status.revisions and status.serving_revision is None:
        yield Revision(name=name, phase=RevisionPhase.CANDIDATE, model_uri=observation.desired.template.model.uri)


def judge_revision(
    accuracy: Accuracy,
    revision: Revision,
    samples: Iterable[Sample] | None,
    present: set[str],
    plan: Plan | None = None,
    beside: Beside | None = None,
) -> Judged:
    """Return what is known of one revision after these samples; None means that none were to be read, or none yet.

    `present` holds the UIDs of its pods, those that did not answer among them. Without a plan it is judged by its own
    labels alone; without `beside` it is not compared with another one now.
    """
    plan = plan or plan_of(accuracy, revision.baseline)
    samples = None if samples is None else list(samples)
    judged = _judge_samples(accuracy, plan, revision, samples or [], present, beside)
    # What could not be read stays so until it is tried again.
    silent = bool(present) and not samples and (samples is not None or revision.verdict is Verdict.UNAVAILABLE)
    if silent and judged.verdict is not Verdict.DEGRADED:
        return replace(judged, verdict=Verdict.UNAVAILABLE, before=judged.verdict)
    return judged


def _judge_samples(
    accuracy: Accuracy,
    plan: Plan,
    revision: Revision,
    samples: list[Sample],
    present: set[str],
    beside: Beside | None,
) -> Judged:
    known = revision.evidence if revision.evidence and is_readable(revision.evidence) else None
    readings = [_reading(plan, sample) for sample in samples]
    if known is None and revision.serving_since is None:
        known = begun(plan)  # It is watched from its first label on.
    if known is None and samples:
        # It had served before it was to be judged.
        known = begun(plan, from_here([], readings, present))
    if known is not None and not is_of(plan, known):
        return _another_test(accuracy, plan, known, readings, present)
    is_candidate, new = revision.phase is RevisionPhase.CANDIDATE, NO_LABELS
    if known is None:
        return Judged(accuracy.metric, Verdict.INCONCLUSIVE, _level(plan))
    before, known = known, with_baseline(plan, known)
    latched = revision.verdict is Verdict.DEGRADED and revision.evidence is not None and known == before
    if readings or beside is not None:
        streams, pods = plan.counted, known.pods
        numbers: tuple[int, ...] = (0, 0) * len(streams)
        if readings:
            numbers, pods = advanced(known.pods, readings, present)
        counted = dict(zip(streams, zip(numbers[::2], numbers[1::2], strict=True), strict=True))
        known = after(plan, known, counted, beside).model_copy(update={"pods": pods})
        new = Labels(*numbers[:2])
    return replace(_assess(accuracy, plan, known, latched=latched, is_compared=is_candidate), new=new)


def _another_test(
    accuracy: Accuracy, plan: Plan, known: EvidenceState, readings: list[Reading], present: set[str]
) -> Judged:
    """Begin to judge by other criteria.

    What was counted before they were chosen does not count for them; so it begins when the counts can be read, for a
    pod that cannot be read by then with its first reading.
    """
    if not readings:
        return Judged(accuracy.metric, Verdict.INCONCLUSIVE, state=known)
    before = plan_in(known, plan.alpha)
    if (before.counted, before.query) == (plan.counted, plan.query):
        pods = from_here(known.pods, readings, present)
    else:  # What was read then is of other counters.
        pods = from_here([], readings, present | {run.uid for run in known.pods})
    return _assess(accuracy, plan, begun(plan, pods), latched=False)


def _reading(plan: Plan, sample: Sample) -> Reading:
    return Reading(sample.pod_uid, sample.started, tuple(number for one in plan.counted for number in one.of(sample)))


def _level(plan: Plan, compared: Iterable[Finding] = ()) -> Level | None:
    """Return what people are shown that a revision should reach: the most that its first labels should come to."""
    stream = plan.first.stream
    levels = [(one.value, one.weight) for one in plan.criteria if one.is_level and one.stream == stream and one.value]
    levels += [(one.shown, one.criterion.weight) for one in compared if one.shown is not None]
    if not levels:
        return None
    value, weight = max(levels)
    return Level(stream.metric, value, plan.alpha, weight) if 0 < value < 1 else None


def _assess(
    accuracy: Accuracy, plan: Plan, state: EvidenceState, *, latched: bool, is_compared: bool = False
) -> Judged:
    """Return the verdict that a state allows; once Degraded, a revision stays so.

    A comparison that is over is evidence still, and says nothing more of how a revision looks.
    """
    findings = findings_of(plan, state)
    evidence = combined(findings)
    places = {part.name: place for place, part in enumerate(evidence.parts)}
    compared = [one for one in findings if not one.criterion.is_level and is_compared]
    level = _level(plan, compared)
    judged = Judged(
        accuracy.metric,
        Verdict.INCONCLUSIVE,
        level,
        state,
        evidence.log_e,
        findings=tuple(sorted(findings, key=lambda one: places[one.name])),
    )
    enough = judged.labels >= accuracy.minimum_labels
    if latched or (enough and evidence.log_e >= -math.log(plan.alpha)):
        return replace(judged, verdict=Verdict.DEGRADED)
    looked_at = [*compared, *(one for one in findings if one.criterion.is_level)]
    # A comparison has to have said something before anything is good by it.
    known = level is not None or any(one.labels for one in compared)
    if enough and known and all(one.is_good for one in looked_at):
        return replace(judged, verdict=Verdict.HEALTHY)
    return judged
