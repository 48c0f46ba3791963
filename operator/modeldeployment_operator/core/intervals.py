"""Intervals of a proportion: one to show, valid at any time, and one for the level of a baseline."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

_STEPS: Final = 60
"""Halvings of a bisection on [0, 1]: exact to the last bits of a double."""


def anytime_interval(right: float, wrong: float, alpha: float) -> tuple[float, float]:
    """Return the ends of an interval of p that holds at all times at once with probability 1 − alpha.

    All p with B(S+½, F+½)/B(½, ½) < p^S·(1−p)^F / alpha, the mixture of likelihood ratios over Jeffreys' prior
    (Robbins 1970). Without labels it is (0, 1).
    """
    if right + wrong == 0:
        return 0.0, 1.0
    mixture = _log_beta(right + 0.5, wrong + 0.5) - _log_beta(0.5, 0.5)

    def inside(p: float) -> bool:
        return _times_log(right, p) + _times_log(wrong, 1.0 - p) - math.log(alpha) > mixture

    mode = right / (right + wrong)
    return _boundary(inside, mode, 0.0), _boundary(inside, mode, 1.0)


def clopper_pearson_lower(right: int, labels: int, alpha: float) -> float:
    """Return the lower end of Clopper and Pearson's exact one-sided interval for right of so many labels.

    The alpha-quantile of Beta(right, labels − right + 1); 0 if none is right (Clopper and Pearson 1934).
    """
    if right <= 0:
        return 0.0
    if right > labels:
        raise ValueError(f"{right} right labels of {labels}")
    return _boundary(lambda p: _beta_cdf(p, right, labels - right + 1) >= alpha, 1.0, 0.0)


def _boundary(inside: Callable[[float], bool], start: float, end: float) -> float:
    """Return where `inside` stops being true on the way from start, where it is true, to end."""
    if inside(end):
        return end
    for _ in range(_STEPS):
        middle = (start + end) / 2
        if inside(middle):
            start = middle
        else:
            end = middle
    return start


def _times_log(count: float, p: float) -> float:
    """Return count·ln(p), with 0·ln(0) = 0."""
    if count == 0:
        return 0.0
    return count * math.log(p) if p > 0 else -math.inf


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b) (DLMF 8.17.22)."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - _log_beta(a, b))
    if x < (a + 1) / (a + b + 2):
        return front * _continued_fraction(x, a, b) / a
    return 1.0 - front * _continued_fraction(1.0 - x, b, a) / b


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Evaluate the continued fraction of I_x(a, b) by Lentz's method; it converges in O(√max(a, b)) steps."""
    tiny = 1e-300
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1), tiny)
    result = d
    for m in range(1, 100_000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away_from_zero(1.0 + numerator * d, tiny)
            c = _away_from_zero(1.0 + numerator / c, tiny)
            result *= c * d
        if abs(c * d - 1.0) < 1e-15:
            return result
    raise ArithmeticError(f"the incomplete beta function did not converge at x={x}, a={a}, b={b}")


def _away_from_zero(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
