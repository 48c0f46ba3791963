"""Test C: pairs of answers to the same requests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modeldeployment_operator.core.evidence import Paired
from modeldeployment_operator.core.evidence.paired import BETS

BUSY = settings(deadline=None)
"""Busy machines are slow, and that is no fault."""

MARGINS = st.floats(0.0, 0.95)
PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 300)), max_size=5)


def after(test: Paired, steps: list[tuple[int, int, int]]) -> Paired:
    for won, lost, tied in steps:
        test = test.observe(won, lost, tied)
    return test


def by_definition(margin: float, steps: list[tuple[int, int, int]]) -> float:
    """ln M straight from the formulas, in plain arithmetic."""
    stakes = [0.95 * 0.6**k / (1 + margin) for k in range(BETS)]
    capital, reserve, suspicion, suspected = [0.75 / BETS] * BETS, 0.25, 0.0, 0
    for won, lost, tied in steps:
        factors = [
            (1 + s * (1 - margin)) ** lost * (1 - s * margin) ** tied * (1 - s * (1 + margin)) ** won for s in stakes
        ]
        capital = [bet * factor for bet, factor in zip(capital, factors, strict=True)]
        suspicion = max(0.0, suspicion + math.log(factors[2]))
        if suspicion >= 2:
            suspected += won + lost + tied
            kept = 0.25 * (1 + suspected / 1000) ** -0.5
            capital = [bet + (reserve - kept) / BETS for bet in capital]
            reserve = kept
    return math.log(sum(capital) + reserve)


@BUSY
@given(st.floats(0.0, 0.2), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 90)), max_size=4))
def test_it_is_the_formula(margin: float, steps: list[tuple[int, int, int]]) -> None:
    assert after(Paired.start(margin), steps).log_e == pytest.approx(by_definition(margin, steps), rel=1e-9, abs=1e-9)


@BUSY
@given(MARGINS, PAIRS, st.floats(0, 1), st.floats(0, 1), st.integers(1, 6))
def test_no_step_gains_on_average(
    margin: float, past: list[tuple[int, int, int]], often: float, better: float, pairs: int
) -> None:
    """From any state, over all outcomes of pairs whose expectation is the margin or less (mirrored: or more)."""
    for mirrored in (False, True):
        lost = margin + (1 - margin) * often / 2
        won = lost - margin
        if mirrored:
            won *= 1 - better
        else:
            lost *= 1 - better
        tied = 1 - won - lost
        before = after(Paired.start(margin, mirrored=mirrored), past)
        ratio = sum(
            math.factorial(pairs)
            / (math.factorial(w) * math.factorial(x) * math.factorial(pairs - w - x))
            * won**w
            * lost**x
            * max(tied, 0.0) ** (pairs - w - x)
            * math.exp(before.observe(w, x, pairs - w - x).log_e - before.log_e)
            for w in range(pairs + 1)
            for x in range(pairs + 1 - w)
        )
        assert ratio <= 1 + 1e-12


@BUSY
@given(MARGINS, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_no_step_gains_on_average_with_scores(margin: float, low: float, high: float, part: float) -> None:
    """Differences of scores of two values with the margin as their mean."""
    below, above = margin - low * (1 + margin), margin + high * (1 - margin)
    chance = (margin - below) / (above - below) if above > below else 0.5
    before = Paired.start(margin).observe(3 * part, 3 * (1 - part), 2)
    ratio = sum(
        p * math.exp(before.observe(max(-y, 0.0), max(y, 0.0), 1 - abs(y)).log_e - before.log_e)
        for p, y in ((chance, above), (1 - chance, below))
    )
    assert ratio <= 1 + 1e-12


@BUSY
@given(MARGINS, st.lists(st.tuples(*[st.integers(0, 10**13)] * 3), max_size=5), st.booleans())
def test_extreme_counts_leave_numbers(margin: float, steps: list[tuple[int, int, int]], mirrored: bool) -> None:
    test = after(Paired.start(margin, mirrored=mirrored), steps)
    assert all(math.isfinite(number) for number in (*test.numbers, test.log_e))


@BUSY
@given(MARGINS, PAIRS, st.integers(0, 20), st.integers(0, 20), st.integers(1, 20))
def test_what_speaks_against_the_candidate_never_speaks_for_it(
    margin: float, past: list[tuple[int, int, int]], won: int, lost: int, more: int
) -> None:
    """A pair lost is at least as much evidence as one tied, and that as one won."""
    test = after(Paired.start(margin), past)
    ends = [test.observe(won, lost + more, 5), test.observe(won, lost, 5 + more), test.observe(won + more, lost, 5)]
    assert ends[0].log_e >= ends[1].log_e >= ends[2].log_e


@BUSY
@given(MARGINS, PAIRS)
def test_it_is_stored_and_resumed(margin: float, past: list[tuple[int, int, int]]) -> None:
    for mirrored in (False, True):
        test = after(Paired.start(margin, mirrored=mirrored), past)
        stored = [repr(number) for number in test.numbers]
        assert Paired.resume(margin, [float(text) for text in stored], mirrored=mirrored) == test


def test_what_was_stored_of_another_test_is_refused() -> None:
    with pytest.raises(ValueError, match="10 numbers, not 16"):
        Paired.resume(0.02, [0.0] * 16)


@pytest.mark.parametrize("margin", [-0.1, 1.0, math.nan])
def test_a_margin_that_cannot_be_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin must be at least 0 and less than 1"):
        Paired.start(margin)


@pytest.mark.parametrize("counts", [(-1, 0, 0), (0, math.inf, 0), (0, 0, math.nan)])
def test_impossible_counts_are_refused(counts: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="not negative"):
        Paired.start(0.02).observe(*counts)


def test_no_pair_changes_nothing() -> None:
    assert Paired.start(0.02).observe(0, 0, 0) == Paired.start(0.02)


def test_ties_alone_prove_that_a_candidate_is_not_worse() -> None:
    assert Paired.start(0.02, mirrored=True).observe(0, 0, 1000).log_e >= math.log(100)
    assert Paired.start(0.02).observe(0, 0, 1000).log_e < 0


def test_a_worse_candidate_is_found_soon() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(50):
        test, pairs = Paired.start(0.02), 0
        while test.log_e < math.log(100):
            won, lost, tied = (int(n) for n in rng.multinomial(10, [0.02, 0.12, 0.86]))
            test, pairs = test.observe(won, lost, tied), pairs + 10
            assert pairs <= 2000
        found.append(pairs)
    assert np.median(found) <= 320
