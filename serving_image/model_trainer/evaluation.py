"""How well a classifier of two classes does, each figure with the interval that its number of texts allows.

Pure arithmetic on labels; class 1 is the positive one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CONFIDENCE: Final = 0.95
"""Of every interval here, two-sided."""
THRESHOLD: Final = 0.5
"""The least probability of class 1 for which a prediction is class 1, as for the model server."""

_Z: Final = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


@dataclass(frozen=True)
class Estimate:
    """A ratio between 0 and 1 and its interval at CONFIDENCE."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Confusion:
    """Counts of texts by predicted and true class."""

    true_positive: int
    false_positive: int
    true_negative: int
    false_negative: int

    @property
    def total(self) -> int:
        """Number of texts."""
        return self.true_positive + self.false_positive + self.true_negative + self.false_negative


@dataclass(frozen=True)
class Metrics:
    """The figures of one evaluation. None where there is nothing to divide by, as in the precision of no positives."""

    accuracy: Estimate | None
    precision: Estimate | None
    recall: Estimate | None
    f1: Estimate | None


def predicted_labels(probabilities: Iterable[float]) -> list[int]:
    """Turn probabilities of class 1 into class indices."""
    return [int(probability >= THRESHOLD) for probability in probabilities]


def confusion(truth: Sequence[int], predicted: Sequence[int]) -> Confusion:
    """Count true labels against predicted ones.

    Raises:
        ValueError: The two differ in length.

    """
    pairs = list(zip(truth, predicted, strict=True))
    return Confusion(
        true_positive=pairs.count((1, 1)),
        false_positive=pairs.count((0, 1)),
        true_negative=pairs.count((0, 0)),
        false_negative=pairs.count((1, 0)),
    )


def metrics(counts: Confusion) -> Metrics:
    """Derive accuracy, precision, recall and F1 of class 1."""
    hits = counts.true_positive
    return Metrics(
        accuracy=proportion(hits + counts.true_negative, counts.total),
        precision=proportion(hits, hits + counts.false_positive),
        recall=proportion(hits, hits + counts.false_negative),
        f1=_f1(proportion(hits, counts.total - counts.true_negative)),
    )


def proportion(successes: int, trials: int) -> Estimate | None:
    """Estimate a proportion, with Wilson's score interval.

    It holds its confidence near 0 and 1 and for few trials, where value ± z·error leaves [0, 1] or shrinks to a point.
    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    if trials == 0:
        return None
    value = successes / trials
    shrink = 1 + _Z**2 / trials
    centre = (value + _Z**2 / (2 * trials)) / shrink
    margin = _Z / shrink * math.sqrt(value * (1 - value) / trials + _Z**2 / (4 * trials**2))
    # At 0 and 1 the bound equals the value, but for rounding.
    return Estimate(value, low=min(value, max(0.0, centre - margin)), high=max(value, min(1.0, centre + margin)))


def _f1(agreement: Estimate | None) -> Estimate | None:
    """Carry an estimate of J = TP / (TP + FP + FN), which is a proportion, over to F1 = 2J / (1 + J), which is none.

    F1 rises with J, so the bounds map as the value does. Source: K. F. Y. Lam, V. Gopal, J. Qian, "Confidence
    Intervals for the F1 Score: A Comparison of Four Methods" (arXiv:2309.14621), there "Wilson indirect".
    """
    if agreement is None:
        return None
    value, low, high = (2 * ratio / (1 + ratio) for ratio in (agreement.value, agreement.low, agreement.high))
    return Estimate(value, low, high)
