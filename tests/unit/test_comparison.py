"""Test B: the comparison of a candidate with the stable revision on requests of their own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modeldeployment_operator.core.evidence import Comparison, Labels
from modeldeployment_operator.core.evidence.comparison import closest
from scipy import optimize

BUSY = settings(deadline=None)
"""Busy machines are slow, and that is no fault."""

MARGINS = st.sampled_from([0.0, 0.001, 0.02, 0.1, 0.5, 0.9])
QUALITIES = st.floats(0.0, 1.0)
FEW = st.integers(0, 40)
BLOCKS = st.lists(st.tuples(FEW, FEW, FEW, FEW), max_size=4)
NOTHING = Labels()


def after(test: Comparison, blocks: list[tuple[int, int, int, int]]) -> Comparison:
    for right_c, wrong_c, right_s, wrong_s in blocks:
        test = test.observe(Labels(right_c, wrong_c), Labels(right_s, wrong_s))
    return test


def binomial(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def mean_of_ratio(before: Comparison, n_c: int, n_s: int, p_c: float, p_s: float) -> float:
    """E[M after a block of n_c and n_s labels] / M before, over all of its outcomes."""
    return sum(
        binomial(n_c, c, p_c)
        * binomial(n_s, s, p_s)
        * math.exp(before.observe(Labels(c, n_c - c), Labels(s, n_s - s)).log_e - before.log_e)
        for c in range(n_c + 1)
        for s in range(n_s + 1)
    )


@BUSY
@given(MARGINS, BLOCKS, QUALITIES, QUALITIES, st.integers(1, 6), st.integers(1, 6))
def test_no_block_gains_on_average(
    margin: float, past: list[tuple[int, int, int, int]], p_s: float, better: float, n_c: int, n_s: int
) -> None:
    """From any state, over all outcomes: E[M after] <= M before, if the candidate is as good as it should be."""
    for mirrored in (False, True):
        before = after(Comparison.start(margin, Labels(9, 1), mirrored=mirrored), past)
        before = Comparison(margin, before.capital, before.known, mirrored=mirrored)  # Nothing waits.
        if mirrored:
            if p_s < margin:
                continue  # It cannot be worse by the margin.
            p_c = (p_s - margin) * (1.0 - better)
        else:
            edge = max(0.0, p_s - margin)
            p_c = edge + better * (1.0 - edge)
        assert mean_of_ratio(before, n_c, n_s, p_c, p_s) <= 1 + 1e-12


def test_a_quality_that_changes_within_a_block_gains_nothing_either() -> None:
    """Of two labels each, the first and the second of other qualities, with means as the null hypothesis says."""
    before = Comparison.start(0.05, Labels(90, 10))
    first, second = (0.95, 0.65), (0.99, 0.71)  # (candidate, stable): means 0.80 and 0.85
    candidate, stable = (first[0], second[0] - 0.34), (first[1] + 0.3, second[1] + 0.04)
    assert sum(candidate) == pytest.approx(sum(stable) - 2 * 0.05)
    total = 0.0
    for c1, c2, s1, s2 in np.ndindex(2, 2, 2, 2):
        chance = math.prod(p if x else 1 - p for p, x in zip((*candidate, *stable), (c1, c2, s1, s2), strict=True))
        total += chance * math.exp(before.observe(Labels(c1 + c2, 2 - c1 - c2), Labels(s1 + s2, 2 - s1 - s2)).log_e)
    assert total <= 1 + 1e-12


@BUSY
@given(st.floats(1e-3, 1), st.floats(1e-3, 1 - 1e-3), st.floats(0, 0.9), st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_closest_point_is_the_closest(part: float, r: float, gap: float, n: int, m: int) -> None:
    """Beside scipy's minimum of the divergence."""
    q = part * (0.999 - gap)  # As a quality below one that is below 1.

    def divergence(p: float) -> float:
        s = p + gap
        return n * (q * math.log(q / p) + (1 - q) * math.log((1 - q) / (1 - p))) + m * (
            r * math.log(r / s) + (1 - r) * math.log((1 - r) / (1 - s))
        )

    found, above = closest((n, q), (m, r), gap)
    low, high = sorted((q, max(r - gap, 1e-12)))
    assert above == found + gap
    assert min(low, r - gap) <= found <= max(q, r - gap)
    if low < high:
        best = optimize.minimize_scalar(divergence, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).fun
        assert divergence(found) <= best * (1 + 1e-9) + 1e-9


@BUSY
@given(BLOCKS, MARGINS)
def test_it_is_stored_and_resumed(past: list[tuple[int, int, int, int]], margin: float) -> None:
    for mirrored in (False, True):
        test = after(Comparison.start(margin, Labels(5, 5), mirrored=mirrored), past)
        stored = [repr(number) for number in test.numbers]
        assert len(stored) == 16
        assert Comparison.resume(margin, [float(text) for text in stored], mirrored=mirrored) == test


def test_what_was_stored_of_another_test_is_refused() -> None:
    with pytest.raises(ValueError, match="16 numbers, not 10"):
        Comparison.resume(0.02, [0.0] * 10)


@pytest.mark.parametrize("margin", [-0.1, 1.0, math.nan])
def test_a_margin_that_cannot_be_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin must be at least 0 and less than 1"):
        Comparison.start(margin)


@pytest.mark.parametrize("counts", [(-1, 0), (0, math.inf), (math.nan, 0)])
def test_impossible_counts_are_refused(counts: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="not negative"):
        Labels(*counts)


@BUSY
@given(st.lists(st.tuples(FEW, FEW), min_size=1, max_size=5), st.integers(1, 40), FEW)
def test_labels_of_one_side_wait_and_count_once(candidate: list[tuple[int, int]], right: int, wrong: int) -> None:
    """In parts or at once, the same block comes of them, when the other side has a label."""
    test = start = Comparison.start(0.02, Labels(90, 10))
    for one in candidate:
        test = test.observe(Labels(*one), NOTHING)
        assert test.log_e == start.log_e
    whole = Labels(sum(r for r, _ in candidate), sum(w for _, w in candidate))
    assert test.candidate == whole
    parts = test.observe(NOTHING, Labels(right, wrong))
    assert parts == start.observe(whole, Labels(right, wrong))
    if whole.number:
        assert parts.candidate == parts.stable == NOTHING


@BUSY
@given(BLOCKS, FEW, FEW, st.integers(1, 40), st.integers(1, 40))
def test_what_speaks_against_the_candidate_never_speaks_for_it(
    past: list[tuple[int, int, int, int]], right: int, wrong: int, more: int, stable: int
) -> None:
    test = after(Comparison.start(0.02), past)
    worse = test.observe(Labels(right, wrong + more), Labels(stable, 3))
    better = test.observe(Labels(right + more, wrong), Labels(stable, 3))
    assert worse.log_e >= better.log_e


EXTREME = st.one_of(st.just(0), st.just(1), st.integers(0, 10**12))


@BUSY
@given(MARGINS, st.lists(st.tuples(EXTREME, EXTREME, EXTREME, EXTREME), max_size=5), EXTREME, EXTREME, st.booleans())
def test_extreme_counts_leave_numbers(
    margin: float, blocks: list[tuple[int, int, int, int]], right: int, wrong: int, mirrored: bool
) -> None:
    """All right, all wrong, none, a million million: nothing overflows, divides by zero, or is not a number."""
    test = after(Comparison.start(margin, Labels(right, wrong), mirrored=mirrored), blocks)
    assert all(math.isfinite(number) for number in (*test.numbers, test.log_e))


@pytest.mark.parametrize("known", [Labels(0, 1000), Labels(20, 980)])
def test_there_is_nothing_to_bet_on_when_the_stable_revision_is_hardly_ever_right(known: Labels) -> None:
    """A candidate cannot be worse by 0.1 than one that is right in 2 of 100: there is no evidence, and no error."""
    test = Comparison.start(0.1, known).observe(Labels(0, 50), Labels(1, 49))
    assert test.log_e == pytest.approx(0.0, abs=1e-12)


def run(candidate: float, stable: float, margin: float, seed: int, *, mirrored: bool = False, most: int = 500) -> int:
    """Return the candidate's labels until the proof, 10 of each a look."""
    rng = np.random.default_rng(seed)
    test = Comparison.start(margin, Labels(1000 * stable, 1000 * (1 - stable)), mirrored=mirrored)
    for look in range(1, most):
        c, s = int(rng.binomial(10, candidate)), int(rng.binomial(10, stable))
        test = test.observe(Labels(c, 10 - c), Labels(s, 10 - s))
        if test.log_e >= math.log(100):
            return look * 10
    raise AssertionError("not found")


def test_a_candidate_that_is_worse_is_found() -> None:
    assert np.median([run(0.70, 0.90, 0.02, seed) for seed in range(30)]) <= 160


def test_a_candidate_that_is_as_good_is_proven_not_to_be_worse_by_the_margin() -> None:
    assert np.median([run(0.92, 0.92, 0.10, seed, mirrored=True) for seed in range(30)]) <= 500


def test_harder_requests_do_not_make_a_candidate_worse() -> None:
    """Simpson's paradox: the candidate's share grows from 5 to 50 % while both fall from 0.95 to 0.75.

    Pooled, the candidate's 0.82 would be 0.04 below the stable revision's 0.86: z = 7.
    """
    rng = np.random.default_rng(5)
    highest, right, number = 0.0, np.zeros(2), np.zeros(2)
    test = Comparison.start(0.0, Labels(950, 50))
    for look in range(1000):
        quality, mine = 0.95 - 0.2 * look / 1000, 1 + round(9 * look / 1000)
        c, s = int(rng.binomial(mine, quality)), int(rng.binomial(20 - mine, quality))
        test = test.observe(Labels(c, mine - c), Labels(s, 20 - mine - s))
        highest = max(highest, test.log_e)
        right += (c, s)
        number += (mine, 20 - mine)
    p = right.sum() / number.sum()
    z = (right[1] / number[1] - right[0] / number[0]) / math.sqrt(p * (1 - p) * (1 / number).sum())
    assert z > 5
    assert highest < math.log(100)
