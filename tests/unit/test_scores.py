"""Scores with the sums of their squares."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modeldeployment_operator.core.evidence import Evidence, Scores

BUSY = settings(deadline=None)
"""Busy machines are slow, and that is no fault."""

LEVELS = st.floats(0.02, 0.98)
SCORES = st.lists(st.floats(0, 1), max_size=8)


def after(test: Scores, scores: list[float]) -> Scores:
    return test.observe(len(scores), math.fsum(scores), math.fsum(x * x for x in scores))


@BUSY
@given(LEVELS, SCORES, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_no_step_gains_on_average(level: float, past: list[float], low: float, high: float, better: float) -> None:
    """From any state, for scores of two values whose mean is the level or better: all others mix such."""
    for mirrored in (False, True):
        below, above = level * (1 - low), level + (1 - level) * high
        chance = (level - below) / (above - below) if above > below else 0.5
        chance = chance * (1 - better) if mirrored else chance + better * (1 - chance)
        before = after(Scores.start(level, mirrored=mirrored), past)
        ratio = sum(
            p * math.exp(before.observe(1, x, x * x).log_e - before.log_e)
            for p, x in ((chance, above), (1 - chance, below))
        )
        assert ratio <= 1 + 1e-12


@BUSY
@given(LEVELS, st.integers(0, 8), st.integers(0, 8), st.booleans())
def test_no_sample_of_several_gains_on_average(level: float, ones: int, halves: int, mirrored: bool) -> None:
    """Three labels at once, of scores 0, 1/2 and 1."""
    before = after(Scores.start(level, mirrored=mirrored), [1.0] * ones + [0.5] * halves)
    middle = min(level, 1 - level) * 0.7
    law = {0.0: 1 - level - middle / 2, 0.5: middle, 1.0: level - middle / 2}
    assert sum(x * p for x, p in law.items()) == pytest.approx(level)
    total = sum(
        law[a] * law[b] * law[c] * math.exp(after(before, [a, b, c]).log_e - before.log_e)
        for a in law
        for b in law
        for c in law
    )
    assert total <= 1 + 1e-12


@pytest.mark.parametrize(("number", "most"), [(3, 260), (10, 130), (40, 70)])
def test_a_small_shift_of_scores_that_vary_little_is_found_much_sooner(number: int, most: int) -> None:
    """From 0.90 to 0.85, of Beta distributions; test A needs 500."""
    rng, found = np.random.default_rng(3), []
    for _ in range(60):
        test, seen = Scores.start(0.9), 0
        while test.log_e < math.log(100):
            test, seen = after(test, rng.beta(0.85 * number, 0.15 * number, 5).tolist()), seen + 5
            assert seen <= 5000
        found.append(seen)
    assert np.median(found) <= most


def test_scores_that_are_right_or_wrong_are_found_nearly_as_soon_as_by_test_a() -> None:
    """At the price of half of the capital: ln 2 nats."""
    test, plain = Scores.start(0.9), Evidence.start(0.9)
    for _ in range(20):
        test, plain = test.observe(10, 7, 7), plain.observe(7, 3)
    assert plain.log_e - test.log_e <= 0.8


@BUSY
@given(LEVELS, st.lists(st.tuples(st.floats(0, 1e12), st.floats(0, 1), st.floats(0, 1)), max_size=5), st.booleans())
def test_extreme_numbers_leave_numbers(level: float, steps: list[tuple[float, float, float]], mirrored: bool) -> None:
    test = Scores.start(level, mirrored=mirrored)
    for labels, mean, spread in steps:
        squares = labels * (mean * mean + spread * mean * (1 - mean))
        test = test.observe(labels, labels * mean, squares)
        assert all(math.isfinite(number) for number in (*test.numbers, test.log_e))


@BUSY
@given(LEVELS, SCORES)
def test_it_is_stored_and_resumed(level: float, scores: list[float]) -> None:
    test = after(Scores.start(level), scores)
    assert Scores.resume(level, [float(repr(number)) for number in test.numbers]) == test


def test_what_was_stored_of_another_test_is_refused() -> None:
    with pytest.raises(ValueError, match="18 numbers, not 10"):
        Scores.resume(0.9, [0.0] * 10)


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_a_level_that_cannot_be_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        Scores.start(level)


@pytest.mark.parametrize(
    "sums", [(-1, 0, 0), (2, 2.1, 2), (2, 1, 1.1), (2, 1, -0.1), (math.nan, 0, 0), (1, math.nan, 0)]
)
def test_impossible_sums_are_refused(sums: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="cannot have the sum"):
        Scores.start(0.9).observe(*sums)
