"""The tests of all criteria: how they begin, go on with new labels, and are written into the status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from modeldeployment_operator.api.status import CriterionKind, CriterionState, EvidenceState, PodCounts
from modeldeployment_operator.core.criteria import Criterion, Plan, Stream
from modeldeployment_operator.core.evidence import Comparison, Evidence, Labels, Paired
from modeldeployment_operator.core.findings import evidence_of, plan_in

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


def restarted(state: EvidenceState) -> EvidenceState:
    """Return a state without evidence in which everything that was counted so far is known."""
    anew = begun(plan_in(state, alpha=1.0), state.pods)
    further = [
        one.model_copy(update={"against": before.against, "since": before.since})
        for one, before in zip(anew.further, state.further, strict=True)
    ]
    return anew.model_copy(update={"further": further, "copying": state.copying})


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
    return [repr(value) for value in evidence_of(criterion, bets).observe(right, wrong).log_bets]
