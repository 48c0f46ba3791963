"""The two intervals against scipy; test_evidence.py holds their coverage."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modeldeployment_operator.core.intervals import _beta_cdf, anytime_interval, clopper_pearson_lower
from scipy import optimize, special, stats

COUNTS = st.integers(0, 5000)


@settings(max_examples=40)
@given(st.floats(0, 1), st.floats(0.5, 5000), st.floats(0.5, 5000))
def test_the_incomplete_beta_function_is_scipys(x: float, a: float, b: float) -> None:
    assert _beta_cdf(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("alpha", [0.2, 0.01, 1e-6])
@pytest.mark.parametrize(("right", "wrong"), [(1, 0), (0, 1), (1, 1), (30, 2), (2, 30), (9_000, 1_000), (3, 1_000_000)])
def test_the_anytime_interval_is_where_scipy_finds_its_ends(right: int, wrong: int, alpha: float) -> None:
    mixture = special.betaln(right + 0.5, wrong + 0.5) - special.betaln(0.5, 0.5)

    def excess(p: float) -> float:
        return float(special.xlogy(right, p) + special.xlog1py(wrong, -p) - math.log(alpha) - mixture)

    mode = right / (right + wrong)
    low = optimize.brentq(excess, 1e-300, mode, xtol=1e-15) if right else 0.0
    high = optimize.brentq(excess, mode, 1 - 1e-16, xtol=1e-15) if wrong else 1.0

    assert anytime_interval(right, wrong, alpha) == pytest.approx((low, high), abs=1e-9)


@settings(max_examples=20)
@given(COUNTS, COUNTS)
def test_the_two_ends_mirror_each_other(right: int, wrong: int) -> None:
    low, high = anytime_interval(right, wrong, 0.01)

    assert anytime_interval(wrong, right, 0.01) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_without_labels_anything_is_possible() -> None:
    assert anytime_interval(0, 0, 0.01) == (0.0, 1.0)
    assert clopper_pearson_lower(0, 0, 0.01) == 0.0


def test_more_labels_and_more_doubt_narrow_the_interval() -> None:
    def width(labels: int, alpha: float) -> float:
        low, high = anytime_interval(0.9 * labels, 0.1 * labels, alpha)
        return high - low

    assert width(100, 0.01) > width(1000, 0.01) > width(10_000, 0.01)
    assert width(100, 0.01) > width(100, 0.1)


@pytest.mark.parametrize("labels", [1, 7, 30, 1000])
def test_all_right_has_a_closed_form(labels: int) -> None:
    """The probability that all are right is p^n."""
    assert clopper_pearson_lower(labels, labels, 0.005) == pytest.approx(0.005 ** (1 / labels))


@settings(max_examples=30)
@given(st.integers(1, 300), st.integers(0, 300), st.sampled_from([0.001, 0.01, 0.1]))
def test_the_exact_interval_is_exact(right: int, wrong: int, alpha: float) -> None:
    """At its end, so many right labels or more have probability alpha."""
    low = clopper_pearson_lower(right, right + wrong, alpha)

    assert stats.binom.sf(right - 1, right + wrong, low) == pytest.approx(alpha, rel=1e-6)
