"""The capital: what is bet, and what is held back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modeldeployment_operator.core.evidence.capital import RESERVE, Capital

FACTORS = st.lists(st.floats(-30, 30), min_size=12, max_size=12)
MOVES = st.lists(st.tuples(FACTORS, st.floats(1e-6, 1e9)), max_size=6)


def after(moves: list[tuple[list[float], float]]) -> Capital:
    capital = Capital.start(12)
    for factors, labels in moves:
        capital = capital.after(factors, labels, factors[5])
    return capital


def test_it_starts_at_one() -> None:
    assert Capital.start(12).log_total == pytest.approx(0.0, abs=1e-12)


@given(MOVES, FACTORS, st.floats(1e-6, 1e9))
def test_what_is_moved_from_the_reserve_only_changes_hands(
    moves: list[tuple[list[float], float]], factors: list[float], labels: float
) -> None:
    """A step's total is that of the bets times their factors and the reserve before: the whole reason it is valid."""
    before = after(moves)
    grown = math.fsum(math.exp(b + f - 400) for b, f in zip(before.log_bets, factors, strict=True))
    total = 400 + math.log(grown + math.exp(before.log_reserve - 400)) if grown else before.log_reserve
    assert before.after(factors, labels, factors[5]).log_total == pytest.approx(total, rel=1e-9, abs=1e-9)


@given(MOVES)
def test_the_reserve_only_falls_and_is_never_used_up(moves: list[tuple[list[float], float]]) -> None:
    capital = Capital.start(12)
    for factors, labels in moves:
        later = capital.after(factors, labels, factors[5])
        assert -math.inf < later.log_reserve <= capital.log_reserve
        assert (later.log_reserve == capital.log_reserve) or later.suspicion >= 2
        capital = later


def test_the_reserve_falls_with_the_labels_that_were_suspected_in_one_step_or_many() -> None:
    at_once = Capital.start(12).after([3.0] * 12, 600, 3.0)
    in_parts = Capital.start(12)
    for part in range(6):
        in_parts = in_parts.after([0.0] * 12, 100, 3.0 if part == 0 else 0.0)
    expected = math.log(RESERVE * 1.6**-0.5)
    assert at_once.log_reserve == pytest.approx(expected)
    assert in_parts.log_reserve == pytest.approx(expected)


def test_while_all_is_well_nothing_is_spent() -> None:
    capital = Capital.start(12)
    for _ in range(1000):
        capital = capital.after([-0.1] * 12, 10, -0.1)
    assert capital.log_reserve == Capital.start(12).log_reserve
    assert capital.suspicion == 0.0


@given(MOVES)
def test_it_is_stored_and_resumed(moves: list[tuple[list[float], float]]) -> None:
    capital = after(moves)
    assert Capital.of([float(repr(number)) for number in capital.numbers]) == capital
