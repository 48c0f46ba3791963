"""The statistics, against exact enumeration, simulation and reference implementations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modeldeployment_operator.core.evidence import Evidence
from modeldeployment_operator.core.evidence.odds import BETS
from modeldeployment_operator.core.intervals import anytime_interval, clopper_pearson_lower
from scipy import stats

BUSY = settings(deadline=None)
"""Busy machines are slow, and that is no fault."""

LEVELS = st.floats(0.02, 0.98)
COUNTS = st.integers(0, 500)


def by_definition(level: float, steps: list[tuple[int, int]]) -> float:
    """ln M straight from the formulas, in plain arithmetic."""
    q = [1 / (1 + math.exp(-(math.log(level / (1 - level)) - 0.16 * (5 / 3) ** k))) for k in range(BETS)]
    capital, reserve, suspicion, suspected = [0.75 / BETS] * BETS, 0.25, 0.0, 0
    for right, wrong in steps:
        factors = [(q[k] / level) ** right * ((1 - q[k]) / (1 - level)) ** wrong for k in range(BETS)]
        capital = [bet * factor for bet, factor in zip(capital, factors, strict=True)]
        suspicion = max(0.0, suspicion + math.log(factors[2]))
        if suspicion >= 2:
            suspected += right + wrong
            kept = 0.25 * (1 + suspected / 1000) ** -0.5
            capital = [bet + (reserve - kept) / BETS for bet in capital]
            reserve = kept
    return math.log(sum(capital) + reserve)


@BUSY
@given(LEVELS, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8))
def test_it_is_the_formula(level: float, steps: list[tuple[int, int]]) -> None:
    evidence = Evidence.start(level)
    for right, wrong in steps:
        evidence = evidence.observe(right, wrong)
    assert evidence.log_e == pytest.approx(by_definition(level, steps), rel=1e-9, abs=1e-9)


@BUSY
@given(LEVELS)
def test_it_starts_at_one(level: float) -> None:
    assert Evidence.start(level).log_e == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_a_level_outside_the_open_unit_interval_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        Evidence.start(level)


@pytest.mark.parametrize("counts", [(-1, 0), (0, -1), (math.inf, 0), (math.nan, 0)])
def test_impossible_counts_are_refused(counts: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="not negative"):
        Evidence.start(0.9).observe(*counts)


@BUSY
@given(LEVELS, COUNTS, COUNTS)
def test_the_same_sample_again_changes_nothing(level: float, right: int, wrong: int) -> None:
    evidence = Evidence.start(level).observe(right, wrong)
    assert evidence.observe(0, 0) == evidence


@BUSY
@given(
    LEVELS, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6), st.floats(0, 1), st.integers(1, 12)
)
def test_no_step_gains_on_average(level: float, past: list[tuple[int, int]], better: float, labels: int) -> None:
    """From any state, over all outcomes of a sample of any size: E[M after] <= M before, at the level and above it."""
    for mirrored in (False, True):
        before = Evidence.start(level, mirrored=mirrored)
        for right, wrong in past:
            before = before.observe(right, wrong)
        p = level * (1 - better) if mirrored else level + better * (1 - level)
        ratio = sum(
            stats.binom.pmf(right, labels, p) * math.exp(before.observe(right, labels - right).log_e - before.log_e)
            for right in range(labels + 1)
        )
        assert ratio <= 1 + 1e-12


@BUSY
@given(LEVELS, st.floats(0.001, 1), st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0, 1))
def test_no_step_gains_on_average_with_scores(level: float, spread: float, past: list[float], better: float) -> None:
    """Scores of two values whose mean is the level or above."""
    low, high = level * (1 - spread), level + (1 - level) * spread
    chance = (level - low) / (high - low)
    chance += better * (1 - chance)
    before = Evidence.start(level)
    for score in past:
        before = before.observe_scores(score * 20, 20)
    ratio = sum(
        p * math.exp(before.observe_scores(score, 1).log_e - before.log_e)
        for p, score in ((chance, high), (1 - chance, low))
    )
    assert ratio <= 1 + 1e-12


@pytest.mark.parametrize(("total", "labels"), [(2.1, 2), (-0.1, 2), (1, 0), (math.nan, 2)])
def test_impossible_scores_are_refused(total: float, labels: float) -> None:
    with pytest.raises(ValueError, match=r"sum of .* scores"):
        Evidence.start(0.9).observe_scores(total, labels)


@BUSY
@given(LEVELS, COUNTS, COUNTS)
def test_the_mirror_is_the_test_of_the_share_that_is_wrong(level: float, right: int, wrong: int) -> None:
    mirrored = Evidence.start(level, mirrored=True).observe(right, wrong)
    assert mirrored.log_e == Evidence.start(1 - level).observe(wrong, right).log_e


@BUSY
@given(LEVELS, COUNTS, COUNTS, st.integers(1, 50))
def test_what_speaks_against_it_never_speaks_for_it(level: float, right: int, wrong: int, more: int) -> None:
    """Of two samples of the same size, the one with more wrong labels is more evidence."""
    evidence = Evidence.start(level).observe(3, 3)
    assert evidence.observe(right, wrong + more).log_e >= evidence.observe(right + more, wrong).log_e
    mirrored = Evidence.start(level, mirrored=True).observe(3, 3)
    assert mirrored.observe(right, wrong + more).log_e <= mirrored.observe(right + more, wrong).log_e


@BUSY
@given(LEVELS, st.lists(st.tuples(st.integers(0, 10**13), st.integers(0, 10**13)), max_size=5), st.booleans())
def test_extreme_counts_leave_numbers(level: float, steps: list[tuple[int, int]], mirrored: bool) -> None:
    evidence = Evidence.start(level, mirrored=mirrored)
    for right, wrong in steps:
        evidence = evidence.observe(right, wrong)
        assert all(math.isfinite(number) for number in (*evidence.log_bets, evidence.log_e))


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.97])
@pytest.mark.parametrize("true", [0.0, 0.01])
def test_it_is_a_supermartingale(level: float, true: float) -> None:
    """Exactly, over every sequence of 10 labels: E[M] <= 1 at the level and above it."""
    p = level + true

    def expected(evidence: Evidence, left: int) -> float:
        now = math.exp(evidence.log_e)
        if not left:
            return now
        return p * expected(evidence.observe(1, 0), left - 1) + (1 - p) * expected(evidence.observe(0, 1), left - 1)

    assert expected(Evidence.start(level), 10) <= 1 + 1e-12


def test_one_big_step_is_never_above_what_is_known_by_small_ones_on_average() -> None:
    """A sample that was missed and read later as one step is as valid: E over all outcomes stays below 1."""
    n, p = 40, 0.9
    total = sum(
        stats.binom.pmf(right, n, p) * math.exp(Evidence.start(0.9).observe(right, n - right).log_e)
        for right in range(n + 1)
    )
    assert total <= 1 + 1e-12


def log_e_of_paths(level: float, right: np.ndarray, step: int) -> np.ndarray:
    """ln M after every step for many runs at once. right: (runs, steps) labels right of `step`. -> (runs, steps)."""
    runs, steps = right.shape
    q = 1 / (1 + np.exp(-(math.log(level / (1 - level)) - 0.16 * (5 / 3) ** np.arange(BETS))))
    gain, loss = np.log(q / level), np.log((1 - q) / (1 - level))
    bets = np.full((runs, BETS), 0.75 / BETS)
    reserve, suspicion, suspected = np.full(runs, 0.25), np.zeros(runs), np.zeros(runs)
    result = np.empty((runs, steps))
    for i in range(steps):
        factors = right[:, i : i + 1] * gain + (step - right[:, i : i + 1]) * loss
        suspicion = np.maximum(0.0, suspicion + factors[:, 2])
        suspected += step * (suspicion >= 2)
        kept = 0.25 * (1 + suspected / 1000) ** -0.5
        bets = bets * np.exp(factors) + ((reserve - kept) / BETS)[:, None]
        reserve = kept
        result[:, i] = np.log(bets.sum(axis=1) + reserve)
    return result


def test_the_simulation_below_runs_the_same_test() -> None:
    right = np.array([[9, 10, 7, 8]])
    paths = log_e_of_paths(0.9, right, 10)
    evidence = Evidence.start(0.9)
    for i, count in enumerate(right[0]):
        evidence = evidence.observe(int(count), 10 - int(count))
        assert paths[0, i] == pytest.approx(evidence.log_e)


@pytest.mark.parametrize(("true", "at_most"), [(0.90, 0.0222), (0.92, 0.004)])
def test_false_rollbacks_over_a_life(true: float, at_most: float) -> None:
    """600 good revisions, 10,000 labels each, looked at every 10 labels: at most alpha = 0.01 are ever condemned.

    The bound at the level itself leaves three standard errors of 600 runs.
    """
    rng = np.random.default_rng(20260101)
    right = rng.binomial(10, true, size=(600, 1000))
    condemned = (log_e_of_paths(0.9, right, 10).max(axis=1) >= math.log(100)).mean()
    assert condemned <= at_most


@pytest.mark.parametrize(("true", "median", "late"), [(0.80, 200, 360), (0.70, 60, 110), (0.50, 25, 40)])
def test_a_bad_revision_is_found_soon(true: float, median: int, late: int) -> None:
    """Labels until the verdict, median and 95th percentile of 500 bad revisions."""
    rng = np.random.default_rng(7)
    paths = log_e_of_paths(0.9, rng.binomial(10, true, size=(500, 100)), 10)
    assert (paths.max(axis=1) >= math.log(100)).all()
    first = (np.argmax(paths >= math.log(100), axis=1) + 1) * 10
    assert np.median(first) <= median
    assert np.quantile(first, 0.95) <= late


def test_a_late_decline_is_found() -> None:
    """Good for 20,000 labels, then 0.8: still found within a thousand more, where tests without spending never do."""
    evidence = Evidence.start(0.9)
    for _ in range(2000):
        evidence = evidence.observe(9.3, 0.7)
    labels = 0
    while evidence.log_e < math.log(100):
        evidence, labels = evidence.observe(8, 2), labels + 10
        assert labels <= 1000


@BUSY
@given(COUNTS, COUNTS, st.sampled_from([0.001, 0.01, 0.1]))
def test_the_interval_holds_the_estimate(right: int, wrong: int, alpha: float) -> None:
    low, high = anytime_interval(right, wrong, alpha)
    assert 0.0 <= low <= high <= 1.0
    if right + wrong:
        assert low <= right / (right + wrong) <= high


def test_the_interval_ends_where_its_definition_says() -> None:
    from scipy.special import betaln

    low, high = anytime_interval(90, 10, 0.01)
    for p in (low, high):
        log_ratio = betaln(90.5, 10.5) - betaln(0.5, 0.5) - (90 * math.log(p) + 10 * math.log(1 - p))
        assert log_ratio == pytest.approx(math.log(100), abs=1e-6)


def test_the_interval_covers_at_all_times_at_once() -> None:
    """300 runs of 2,000 labels: the true value leaves the interval at any of the looks in at most alpha of them."""
    rng = np.random.default_rng(3)
    right = rng.binomial(20, 0.9, size=(300, 100)).cumsum(axis=1)
    missed = 0
    for run in right:
        ends = [anytime_interval(int(s), 20 * (i + 1) - int(s), 0.05) for i, s in enumerate(run) if i % 10 == 0]
        missed += not all(low <= 0.9 <= high for low, high in ends)
    assert missed / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


@BUSY
@given(st.integers(1, 3000), st.floats(0, 1), st.sampled_from([0.001, 0.005, 0.05]))
def test_clopper_pearson_is_scipys(labels: int, share: float, alpha: float) -> None:
    right = round(labels * share)
    expected = stats.beta.ppf(alpha, right, labels - right + 1) if right else 0.0
    assert clopper_pearson_lower(right, labels, alpha) == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_clopper_pearson_at_a_million_labels() -> None:
    assert clopper_pearson_lower(930_000, 1_000_000, 0.005) == pytest.approx(
        stats.beta.ppf(0.005, 930_000, 70_001), rel=1e-9
    )


def test_clopper_pearson_refuses_more_right_labels_than_labels() -> None:
    with pytest.raises(ValueError, match="5 right labels of 4"):
        clopper_pearson_lower(5, 4, 0.05)
