"""What each criterion's labels have come to: their tests, how they go on, and how they are written into the status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from modeldeployment_operator.api.spec import AccuracyMetric
from modeldeployment_operator.api.status import CriterionKind, CriterionState, EvidenceState, PodCounts
from modeldeployment_operator.core.criteria import Criterion, Plan, Stream
from modeldeployment_operator.core.evidence import Combined, Comparison, Evidence, Labels, Paired, Part, combine
from modeldeployment_operator.core.intervals import anytime_interval
from modeldeployment_operator.core.metrics import share_of, value_of

FRESH_BETS: Final = Evidence.start(0.5).log_bets
"""At the start, the capital of the bets does not depend on the level."""
NO_LABELS: Final = Labels()
_LENGTHS: Final = {
    CriterionKind.CONCURRENT: len(Comparison.start(0.0).numbers),
    CriterionKind.PAIRED: len(Paired.start(0.0).numbers),
}
_LEAST_BLOCK: Final = 10
"""Labels of both sides at least that are compared at once."""


@dataclass(frozen=True)
class Beside:
    """What was new of the revision that serves, for a candidate that is compared with it.

    Attributes:
        revision: its name.
        since: when the step of the rollout began.
        known: its labels before the comparison.
        labels: its labels since what is remembered.
        pairs: how the candidate did on copies of its requests: won, lost and tied, since what is remembered.
        copying: what is to be remembered of its pods for that.

    """

    revision: str
    since: str
    known: Labels = NO_LABELS
    labels: Labels = NO_LABELS
    pairs: tuple[int, int, int] = (0, 0, 0)
    copying: Sequence[PodCounts] = ()


@dataclass(frozen=True)
class Finding:
    """What is known by one criterion.

    Attributes:
        criterion: what is demanded.
        right: labels for the model; pairs that it won if it is judged by pairs.
        wrong: labels against it; pairs that it lost.
        tied: pairs that it neither won nor lost.
        log_e: natural logarithm of the evidence.
        stable: share of its labels that speak for the revision that serves, as far as a comparison has come.

    """

    criterion: Criterion
    right: int = 0
    wrong: int = 0
    tied: int = 0
    log_e: float = 0.0
    stable: float | None = None

    @property
    def name(self) -> str:
        """Tells it from the others."""
        return f"{self.criterion.kind}: {self.criterion.stream}"

    @property
    def labels(self) -> int:
        """Labels, or pairs, that were judged."""
        return self.right + self.wrong + self.tied

    @property
    def estimate(self) -> float | None:
        """Value of the metric; None without a label, and of pairs."""
        if not self.labels or self.criterion.kind is CriterionKind.PAIRED:
            return None
        return value_of(self.criterion.stream.metric, self.right / self.labels)

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return the ends of an interval of the metric that holds at all times at once, at this chance of error.

        Of a slice it holds for all slices at once.
        """
        share = alpha if self.criterion.stream.slice is None else alpha * self.criterion.weight
        low, high = anytime_interval(self.right, self.wrong, share)
        metric = self.criterion.stream.metric
        return value_of(metric, low), value_of(metric, high)

    @property
    def is_good(self) -> bool:
        """Whether what was seen so far is as it should be; so it is where nothing was."""
        value = self.criterion.value
        if not self.labels or value is None:
            return True
        if self.criterion.kind is CriterionKind.PAIRED:
            return (self.wrong - self.right) / self.labels <= value
        if self.criterion.kind is CriterionKind.CONCURRENT:
            return self.stable is None or self.right / self.labels >= self.stable - value
        return self.estimate is not None and self.estimate >= value

    @property
    def shown(self) -> float | None:
        """What the metric of a revision should come to that is compared with another one, as far as is known."""
        if self.stable is None or self.criterion.value is None:
            return None
        return value_of(self.criterion.stream.metric, max(0.0, self.stable - self.criterion.value))


def combined(findings: Iterable[Finding]) -> Combined:
    """Return the evidence of all criteria together."""
    return combine(Part(one.name, one.criterion.weight, one.log_e) for one in findings)


def findings_of(plan: Plan, state: EvidenceState) -> tuple[Finding, ...]:
    """Return what a state of this plan says."""
    first = Finding(plan.first, state.right, state.wrong, log_e=_log_e(plan.first, state.log_bets))
    own = first.right / first.labels if first.labels else None
    return (first, *(_finding(criterion, one, own) for criterion, one in zip(plan.others, state.further, strict=True)))


def begun(plan: Plan, pods: list[PodCounts] | None = None) -> EvidenceState:
    """Return the state before the first label."""
    first = plan.first
    return EvidenceState(
        kind=first.kind,
        metric=first.stream.metric.value,
        query=plan.query,
        positive_class=plan.positive,
        level=first.text,
        weight=first.share,
        log_bets=_fresh(first),
        pods=pods or [],
        further=[_begun(one) for one in plan.others],
    )


def is_of(plan: Plan, state: EvidenceState) -> bool:
    """Return whether a state is one of this plan; a baseline may have become known since, or be another one."""
    first = plan.first
    told = (state.kind, state.metric, state.query, state.positive_class, state.weight)
    same = told == (first.kind, first.stream.metric.value, plan.query, plan.positive, first.share)
    others = [(one.kind, one.metric, one.slice, one.weight) for one in state.further] == [
        (one.kind, one.stream.metric.value, one.stream.slice, one.share) for one in plan.others
    ]
    fixed = [(plan.first, state.level), *zip(plan.others, (one.level for one in state.further), strict=False)]
    return same and others and all(one.kind is CriterionKind.BASELINE or one.text == level for one, level in fixed)


def with_baseline(plan: Plan, state: EvidenceState) -> EvidenceState:
    """Return a state in which the test against a baseline begins that has become known, or is another one."""
    if state.level != plan.first.text:
        anew = begun(plan)
        changed = {"level": anew.level, "log_bets": anew.log_bets, "right": 0, "wrong": 0}
        state = state.model_copy(update=changed)
    pairs = zip(plan.others, state.further, strict=True)
    return state.model_copy(
        update={"further": [one if one.level == wanted.text else _begun(wanted) for wanted, one in pairs]}
    )


def after(
    plan: Plan, state: EvidenceState, new: Mapping[Stream, tuple[int, int]], beside: Beside | None
) -> EvidenceState:
    """Return the state after so many more labels by streams; without `beside`, comparisons stay as they are."""
    right, wrong = new[plan.first.stream]
    further = [_further(criterion, one, new, beside) for criterion, one in zip(plan.others, state.further, strict=True)]
    changed = {
        "right": state.right + right,
        "wrong": state.wrong + wrong,
        "log_bets": _bets_after(plan.first, state.log_bets, right, wrong),
        "further": further,
    }
    if beside is not None:
        changed["copying"] = list(beside.copying)
    return state.model_copy(update=changed)


def plan_in(state: EvidenceState, alpha: float) -> Plan:
    """Return what was demanded when a state was written, as far as its numbers go."""
    first = Criterion(
        state.kind,
        Stream.of_metric(AccuracyMetric(state.metric), state.positive_class),
        None if state.level is None else float(state.level),
        float(state.weight),
    )
    others = [
        Criterion(
            one.kind,
            replace(Stream.of_metric(AccuracyMetric(one.metric), state.positive_class), slice=one.slice),
            None if one.level is None else float(one.level),
            float(one.weight),
        )
        for one in state.further
    ]
    return Plan(alpha, (first, *others), state.query, state.positive_class)


def bets_against(state: EvidenceState, level: float) -> tuple[float, ...] | None:
    """Return the bets of the test of the first labels against this level; None if there is none."""
    text = f"{level:.6f}"
    if state.level == text:
        return tuple(map(float, state.log_bets))
    for one in state.further:
        if (one.kind, one.level, one.metric, one.slice) == (CriterionKind.BASELINE, text, state.metric, None):
            return tuple(map(float, one.numbers))
    return None


def is_readable(state: EvidenceState) -> bool:
    """Return whether a state is not that of tests with other numbers of bets."""
    tests = [(state.kind, state.log_bets), *((one.kind, one.numbers) for one in state.further)]
    return all(len(numbers) in {0, _LENGTHS.get(kind, len(FRESH_BETS))} for kind, numbers in tests)


def _further(
    criterion: Criterion, state: CriterionState, new: Mapping[Stream, tuple[int, int]], beside: Beside | None
) -> CriterionState:
    if criterion.is_level:
        right, wrong = new[criterion.stream]
        numbers = _bets_after(criterion, state.numbers, right, wrong)
        return state.model_copy(update={"right": state.right + right, "wrong": state.wrong + wrong, "numbers": numbers})
    if beside is None:
        return state
    if criterion.kind is CriterionKind.PAIRED:
        return _paired_after(criterion, state, beside)
    return _compared(criterion, state, Labels(*map(float, new[criterion.stream])), beside)


def _compared(criterion: Criterion, state: CriterionState, candidate: Labels, beside: Beside) -> CriterionState:
    """Return a comparison with these labels, as a block of their own or to wait for others.

    What waits belongs to one step of the rollout: compared together with labels of another share of the requests, it
    would make a candidate look worse that gets the harder ones. With another revision that serves, only what was bet
    is kept.
    """
    assert criterion.value is not None  # noqa: S101 - the margin, which the spec says.
    if state.against != beside.revision:
        state = state.model_copy(update={"right": 0, "wrong": 0, "other_right": 0, "other_wrong": 0})
    comparison = _comparison(criterion.value, state, beside)
    mine, other = comparison.candidate + candidate, comparison.stable + beside.labels
    changed: dict[str, object] = {"against": beside.revision, "since": beside.since}
    if min(mine.number, other.number) < _LEAST_BLOCK:
        comparison = comparison.holding(mine, other)
    else:
        comparison = comparison.observe(candidate, beside.labels)
        changed |= {
            "right": state.right + round(mine.right),
            "wrong": state.wrong + round(mine.wrong),
            "other_right": state.other_right + round(other.right),
            "other_wrong": state.other_wrong + round(other.wrong),
        }
    return state.model_copy(update={**changed, "numbers": [repr(number) for number in comparison.numbers]})


def _comparison(margin: float, state: CriterionState, beside: Beside) -> Comparison:
    if not state.numbers:
        return Comparison.start(margin, beside.known)
    comparison = Comparison.resume(margin, [float(number) for number in state.numbers])
    if state.against != beside.revision:
        return replace(Comparison.start(margin, beside.known), capital=comparison.capital)
    return comparison if state.since == beside.since else comparison.holding(NO_LABELS, NO_LABELS)


def _paired_after(criterion: Criterion, state: CriterionState, beside: Beside) -> CriterionState:
    assert criterion.value is not None  # noqa: S101 - the margin, which the spec says.
    if state.against != beside.revision:
        state = state.model_copy(update={"right": 0, "wrong": 0, "tied": 0})
    won, lost, tied = beside.pairs
    before = [float(number) for number in state.numbers]
    paired = Paired.resume(criterion.value, before) if before else Paired.start(criterion.value)
    return state.model_copy(
        update={
            "against": beside.revision,
            "right": state.right + won,
            "wrong": state.wrong + lost,
            "tied": state.tied + tied,
            "numbers": [repr(number) for number in paired.observe(won, lost, tied).numbers],
        }
    )


def _finding(criterion: Criterion, state: CriterionState, own: float | None) -> Finding:
    """Return what a further criterion says of a revision with such a share of labels that speak for it."""
    numbers = [float(number) for number in state.numbers]
    found = Finding(criterion, state.right, state.wrong, state.tied)
    if criterion.is_level:
        return replace(found, log_e=_log_e(criterion, state.numbers))
    if criterion.value is None or not numbers:
        return found
    if criterion.kind is CriterionKind.PAIRED:
        better = (state.right - state.wrong) / found.labels if found.labels else 0.0
        stable = None if own is None else own - better
        return replace(found, log_e=Paired.resume(criterion.value, numbers).log_e, stable=stable)
    others = state.other_right + state.other_wrong
    stable = state.other_right / others if others else None
    return replace(found, log_e=Comparison.resume(criterion.value, numbers).log_e, stable=stable)


def _begun(criterion: Criterion) -> CriterionState:
    stream = criterion.stream
    return CriterionState(
        kind=criterion.kind,
        metric=stream.metric.value,
        slice=stream.slice,
        level=criterion.text,
        weight=criterion.share,
        numbers=_fresh(criterion) if criterion.is_level else [],
    )


def _fresh(criterion: Criterion) -> list[str]:
    return [] if criterion.value is None else [repr(value) for value in FRESH_BETS]


def _bets_after(criterion: Criterion, bets: Sequence[str], right: int, wrong: int) -> list[str]:
    if criterion.value is None or not bets:
        return list(bets)
    return [repr(value) for value in _evidence(criterion, bets).observe(right, wrong).log_bets]


def _log_e(criterion: Criterion, bets: Sequence[str]) -> float:
    return _evidence(criterion, bets).log_e if criterion.value is not None and bets else 0.0


def _evidence(criterion: Criterion, bets: Sequence[str]) -> Evidence:
    assert criterion.value is not None  # noqa: S101 - the callers have looked.
    level = share_of(criterion.stream.metric, criterion.value)
    return Evidence(level, labels=0.0, log_bets=tuple(float(value) for value in bets))
