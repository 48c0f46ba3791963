"""Several criteria on one revision."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modeldeployment_operator.core.evidence import Part, combine, even_weights, slice_weights, weakest

LOGS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8)


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=8), st.floats(0.01, 0.99) | st.just(1.0))
def test_it_is_the_average_with_the_rest_idle(logs: list[float], used: float) -> None:
    weight = used / len(logs)
    combined = combine(Part(str(i), weight, log_e) for i, log_e in enumerate(logs))
    average = math.fsum([*(weight * math.exp(log_e) for log_e in logs), 1 - used])
    assert combined.log_e == pytest.approx(math.log(average), rel=1e-9, abs=1e-9)


@given(LOGS)
def test_it_is_never_slower_than_bonferroni_and_never_above_the_greatest(logs: list[float]) -> None:
    parts = [Part(str(i), 1 / len(logs), log_e) for i, log_e in enumerate(logs)]
    combined = combine(parts)
    assert max(logs) - math.log(len(logs)) - 1e-9 <= combined.log_e <= max(logs) + 1e-9
    if combined.proven(0.01):
        assert combined.log_e >= math.log(100) - 1e-9


def test_it_names_what_carries_it_and_what_is_proven_alone() -> None:
    combined = combine([Part("accuracy", 0.5, 1.0), Part("recall", 0.25, 9.0), Part("stable", 0.25, 2.0)])
    assert combined.carrier == "recall"
    assert combined.proven(0.01) == ("recall",)
    assert [part.name for part in combined.parts] == ["recall", "stable", "accuracy"]


def test_several_may_carry_it_together() -> None:
    combined = combine(Part(name, weight, math.log(101)) for name, weight in even_weights(["a", "b", "c"]).items())
    assert combined.log_e >= math.log(100)
    assert combined.proven(0.01) == ()


def test_a_place_that_is_idle_is_worth_one() -> None:
    assert combine([Part("a", 0.1, 0.0)]).log_e == pytest.approx(0.0)
    assert combine([Part("a", 0.1, -1e9)]).log_e == pytest.approx(math.log(0.9))


@pytest.mark.parametrize("weights", [[0.6, 0.5], [1.01]])
def test_weights_beyond_one_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="must not sum to more than 1"):
        combine(Part(str(i), weight, 0.0) for i, weight in enumerate(weights))


def test_nothing_cannot_be_combined() -> None:
    with pytest.raises(ValueError, match="no criterion"):
        combine([])


@pytest.mark.parametrize("weight", [0.0, -0.1, math.nan])
def test_a_weight_has_to_be_positive(weight: float) -> None:
    with pytest.raises(ValueError, match="weight of criterion a"):
        Part("a", weight, 0.0)


@given(st.floats(0.01, 1), st.integers(0, 40), st.floats(0.1, 0.9))
def test_slices_share_what_their_criterion_has(weight: float, places: int, whole: float) -> None:
    of_all, of_each = slice_weights(weight, places, whole)
    assert of_all + places * of_each == pytest.approx(weight)
    assert of_all == pytest.approx(weight * whole if places else weight)


def test_a_promotion_waits_for_the_weakest() -> None:
    assert weakest([Part("a", 0.9, 3.0), Part("b", 0.1, 2.0)]).name == "b"
