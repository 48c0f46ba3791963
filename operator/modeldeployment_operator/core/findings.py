"""What is known of a revision by each criterion, from the states of their tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from modeldeployment_operator.api.spec import AccuracyMetric
from modeldeployment_operator.api.status import CriterionKind, CriterionState, EvidenceState
from modeldeployment_operator.core.criteria import Criterion, Plan, Stream
from modeldeployment_operator.core.evidence import Combined, Comparison, Evidence, Paired, Part, combine
from modeldeployment_operator.core.intervals import anytime_interval
from modeldeployment_operator.core.metrics import share_of, value_of


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


def _log_e(criterion: Criterion, bets: Sequence[str]) -> float:
    return evidence_of(criterion, bets).log_e if criterion.value is not None and bets else 0.0


def evidence_of(criterion: Criterion, bets: Sequence[str]) -> Evidence:
    """Return the test against a level that is known, with these bets."""
    assert criterion.value is not None  # noqa: S101 - the callers have looked.
    level = share_of(criterion.stream.metric, criterion.value)
    return Evidence(level, labels=0.0, log_bets=tuple(float(value) for value in bets))
