"""How many labels it takes until a difference of a given size is seen, half of the time.

The test itself is run from its present state, on labels that come exactly as often as expected, until its evidence
suffices. Chance is added to that: the logarithm of the evidence is about a random walk with drift, whose first passage
of a height B at drift g and variance v a label has an inverse Gaussian distribution with mean B/g and shape B²/v; its
median is what is told. The figures are within a quarter of simulated ones (`make bench-judgement`).

Source: R. S. Chhikara, J. L. Folks, The inverse Gaussian distribution, 1989.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from modeldeployment_operator.core.evidence.comparison import Comparison, Labels
from modeldeployment_operator.core.evidence.level import Evidence
from modeldeployment_operator.core.evidence.paired import Paired
from modeldeployment_operator.core.evidence.scores import Scores

MOST: Final = 1e7
"""Labels after which it is said that a difference is never seen."""
_GROWTH: Final = 0.05
"""Each step is that much of all labels before it."""
_NARROW: Final = 50.0
"""From that shape on the median is 1 − 1/(2·shape) of the mean, to a thousandth."""


class _Test(Protocol):
    @property
    def log_e(self) -> float: ...


_T = TypeVar("_T", bound=_Test)


def labels_until_drop(evidence: Evidence, quality: float, alpha: float) -> float:
    """Return after how many more labels of such a quality a level is proven to be missed (mirrored: exceeded).

    The median; math.inf if that takes more than ten million, or is never proven.
    """

    def advance(test: Evidence, labels: float) -> Evidence:
        return test.observe(quality * labels, (1.0 - quality) * labels)

    def variance(test: Evidence) -> float:
        swing = test.observe(1.0, 0.0).log_e - test.observe(0.0, 1.0).log_e
        return quality * (1.0 - quality) * swing * swing

    return _median(evidence, advance, variance, alpha)


def labels_until_lower_mean(scores: Scores, mean: float, deviation: float, alpha: float) -> float:
    """Return after how many more labels with scores of such a mean and deviation a level is proven to be missed.

    Mirrored, exceeded. The median; math.inf if that takes more than ten million, or is never proven.
    """
    deviation = min(deviation, math.sqrt(mean * (1.0 - mean)))

    def advance(test: Scores, labels: float) -> Scores:
        return test.observe(labels, labels * mean, labels * (mean * mean + deviation * deviation))

    def variance(test: Scores) -> float:
        ends = [min(max(mean + sign * deviation, 0.0), 1.0) for sign in (-1, 1)]
        low, high = (test.observe(1.0, end, end * end).log_e for end in ends)
        return ((high - low) * deviation / (ends[1] - ends[0])) ** 2 if deviation else 0.0

    return _median(scores, advance, variance, alpha)


def labels_until_worse_than_stable(
    comparison: Comparison, candidate: float, stable: float, share: float, alpha: float
) -> float:
    """Return after how many more labels of both, of such qualities, the proof is there.

    Args:
        comparison: the evidence so far.
        candidate: quality of the candidate.
        stable: quality of the stable revision.
        share: share of the labels that are of the candidate, in (0, 1).
        alpha: chance of error.

    Returns:
        The median; math.inf if that takes more than ten million, or is never proven.

    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"the candidate's share of the labels must lie strictly between 0 and 1, not {share!r}")

    def mixed(labels: float) -> tuple[Labels, Labels]:
        of_candidate, of_stable = share * labels, (1.0 - share) * labels
        return (
            Labels(candidate * of_candidate, (1.0 - candidate) * of_candidate),
            Labels(stable * of_stable, (1.0 - stable) * of_stable),
        )

    def advance(test: Comparison, labels: float) -> Comparison:
        return test.observe(*mixed(labels))

    def variance(test: Comparison) -> float:
        per_label = (
            (share * candidate * (1.0 - candidate), Labels(1.0, 0.0), Labels(0.0, 1.0), True),
            ((1.0 - share) * stable * (1.0 - stable), Labels(1.0, 0.0), Labels(0.0, 1.0), False),
        )
        block_c, block_s = mixed(1.0 / min(share, 1.0 - share))
        total = 0.0
        for weight, right, wrong, of_candidate in per_label:
            ends = [
                test.observe(block_c + one, block_s) if of_candidate else test.observe(block_c, block_s + one)
                for one in (right, wrong)
            ]
            total += weight * (ends[0].log_e - ends[1].log_e) ** 2
        return total

    return _median(comparison, advance, variance, alpha)


def pairs_until_proof(paired: Paired, won: float, lost: float, alpha: float) -> float:
    """Return after how many more pairs the proof is there, if such shares of them are won and lost.

    The median; math.inf if that takes more than ten million, or is never proven.
    """
    tied = 1.0 - won - lost

    def advance(test: Paired, pairs: float) -> Paired:
        return test.observe(won * pairs, lost * pairs, tied * pairs)

    def variance(test: Paired) -> float:
        now = test.log_e
        changes = [test.observe(*one).log_e - now for one in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))]
        mean = sum(share * change for share, change in zip((won, lost, tied), changes, strict=True))
        squares = sum(share * change**2 for share, change in zip((won, lost, tied), changes, strict=True))
        return squares - mean * mean

    return _median(paired, advance, variance, alpha)


def _median(start: _T, advance: Callable[[_T, float], _T], variance: Callable[[_T], float], alpha: float) -> float:
    """Return the median of the labels until the evidence is ln(1/alpha)."""
    proof, labels, before, test = -math.log(alpha), 0.0, 0.0, start
    reached, last = start.log_e, start.log_e
    while reached < proof:
        if labels > MOST:
            return math.inf
        before, last = labels, reached
        labels += max(1.0, labels * _GROWTH)
        test = advance(test, labels - before)
        reached = test.log_e
    if not labels:
        return 0.0
    drift = (reached - last) / (labels - before)
    mean = before + (proof - last) / drift
    spread = variance(test)
    return mean * _median_of_inverse_gaussian(mean * drift * drift / spread) if spread > 0 else mean


def _median_of_inverse_gaussian(shape: float) -> float:
    """Return the median of the distribution with mean 1."""
    if shape > _NARROW:
        return 1.0 - 0.5 / shape
    low, high = 0.0, 1.0  # It is skewed to the right: the median is less than the mean.
    for _ in range(40):
        x = (low + high) / 2
        root = math.sqrt(shape / x)
        below = _normal(root * (x - 1.0)) + math.exp(2.0 * shape) * _normal(-root * (x + 1.0))
        low, high = (x, high) if below < 0.5 else (low, x)
    return high


def _normal(x: float) -> float:
    """Return the probability that a standard normal variable is below x."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))
