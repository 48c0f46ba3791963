"""Scoring of labels, and the memory of which predictions have one."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_server.classes import class_count, predicted_classes
from model_server.contract import FeedbackRejection
from model_server.errors import LabelRejected, NotAClassifier
from model_server.feedback import MAX_ERROR, Cell, Outcome, Quality, Score, Tally, quality, read_label, score
from model_server.ledger import Ledger
from model_server.tensors import Signature, TensorSpec

NAMES = ["bad", "good"]


@pytest.mark.parametrize(
    ("predicted", "label", "classes", "outcome"),
    [
        (1, 1, 2, Outcome.TRUE_POSITIVE),
        (1, 0, 2, Outcome.FALSE_POSITIVE),
        (0, 0, 2, Outcome.TRUE_NEGATIVE),
        (0, 1, 2, Outcome.FALSE_NEGATIVE),
        (None, 1, 2, Outcome.FALSE_NEGATIVE),
        (None, 0, 2, Outcome.FALSE_POSITIVE),
        (2, 2, 3, Outcome.CORRECT),
        (1, 2, 3, Outcome.WRONG),
        (None, 2, 3, Outcome.WRONG),
    ],
)
def test_score(predicted: int | None, label: int, classes: int, outcome: Outcome) -> None:
    assert score(predicted, label, classes) == (outcome, (label, predicted))


def test_a_matrix_of_many_classes_is_not_counted() -> None:
    assert score(3, 3, 20) == (Outcome.CORRECT, Cell(3, 3))
    assert score(3, 3, 21) == (Outcome.CORRECT, None)


@pytest.mark.parametrize(("label", "read"), [("good", 1), (0, 0), (1.0, 1), (True, 1), (False, 0)])
def test_labels_are_names_or_numbers(label: object, read: int) -> None:
    assert read_label(label, 2, NAMES) == read


@pytest.mark.parametrize("label", ["ugly", 2, -1, 7.0])
def test_a_label_of_no_class_is_unknown(label: object) -> None:
    with pytest.raises(LabelRejected, match="send a number from 0 to 1, or one of bad, good") as caught:
        read_label(label, 2, NAMES)
    assert caught.value.reason is FeedbackRejection.UNKNOWN_CLASS


@pytest.mark.parametrize("label", [None, 0.5, [1], {}])
def test_a_label_of_another_form_is_malformed(label: object) -> None:
    with pytest.raises(LabelRejected) as caught:
        read_label(label, 2, None)
    assert caught.value.reason is FeedbackRejection.MALFORMED


def test_true_is_no_class_among_three() -> None:
    with pytest.raises(LabelRejected, match="this model has 3"):
        read_label(True, 3, None)


CELLS = st.builds(Cell, st.integers(0, 19), st.none() | st.integers(0, 19))


SCORES = st.builds(
    Score,
    st.sampled_from(Outcome),
    st.none() | CELLS,
    st.none() | st.booleans(),
    st.none() | st.integers(0, MAX_ERROR),
    st.none() | st.sampled_from(["other", "好", "a b"]),
    st.booleans(),
)


@settings(deadline=None)  # Busy machines are slow, and that is no fault.
@given(st.lists(SCORES), st.integers(0, 20))
def test_a_tally_survives_json_and_being_put_together(scores: list[Score], cut: int) -> None:
    tally, first, rest = Tally(), Tally(), Tally()
    for number, one in enumerate(scores):
        tally.add(one)
        (first if number < cut else rest).add(one)
    first.merge(rest)
    assert first == tally == Tally.from_json(json.loads(json.dumps(tally.to_json())))
    assert tally.correct + tally.wrong == tally.size == len(scores)
    assert tally.by_cell.total() == sum(one.cell is not None for one in scores)
    assert tally.among_best.total() == sum(one.among_best is not None for one in scores)
    assert tally.errors.count == sum(one.error is not None for one in scores)


def test_quality() -> None:
    cells = {Outcome.TRUE_POSITIVE: 6, Outcome.FALSE_POSITIVE: 2, Outcome.FALSE_NEGATIVE: 4, Outcome.TRUE_NEGATIVE: 8}
    assert quality(Tally(Counter(cells))) == Quality(accuracy=14 / 20, precision=6 / 8, recall=6 / 10, f1=12 / 18)


def test_quality_without_labels_is_not_defined() -> None:
    assert quality(Tally()) == Quality(None, None, None, None)


def test_precision_is_not_defined_for_many_classes() -> None:
    assert quality(Tally(Counter({Outcome.CORRECT: 3, Outcome.WRONG: 1}))) == Quality(0.75, None, None, None)


@pytest.mark.parametrize(
    ("output", "count", "classes"),
    [
        ([0.2, 0.5, 0.9], 2, [0, 1, 1]),
        ([[0.2], [np.nan]], 2, [0, None]),
        ([[0.1, 0.9, 0.0], [np.nan, 1, 2]], 3, [1, None]),
        ([[0.25, 0.75, 0.01]], 3, [1]),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_classes_of_outputs(output: list[object], count: int, classes: list[int | None], named: bool) -> None:
    found = predicted_classes({"output_0": np.array(output, np.float32)}, named=named)
    assert found is not None
    assert (found.count, list(found.predicted)) == (count, classes)


@pytest.mark.parametrize("rows", [[[-3.0, 5.0]], [[0.2, 0.2]], [[0.5, 0.5], [3, 4]], [[-0.5, 1.5]]])
def test_the_largest_number_is_a_class_if_the_user_says_so(rows: list[list[float]]) -> None:
    outputs = {"output_0": np.array(rows, np.float32)}
    assert predicted_classes(outputs, named=True) is not None
    with pytest.raises(NotAClassifier, match=r"spec\.model\.labels"):
        predicted_classes(outputs, named=False)


@pytest.mark.parametrize("output", [[1.5], [0.5, -0.1]])
def test_a_number_outside_0_to_1_is_no_score(output: list[float]) -> None:
    with pytest.raises(NotAClassifier, match="outside"):
        predicted_classes({"output_0": np.array(output)}, named=True)


@pytest.mark.parametrize("output", [np.array([1]), np.zeros((2, 3, 4)), np.array([]), np.array(0.5)])
def test_outputs_that_are_no_classes(output: np.typing.NDArray[np.generic]) -> None:
    assert predicted_classes({"output_0": output}, named=True) is None
    assert predicted_classes({"a": np.array([0.5]), "b": np.array([0.5])}, named=True) is None


@pytest.mark.parametrize(
    ("shape", "dtype", "count"),
    [((None, 1), "DT_FLOAT", 2), ((None,), "DT_FLOAT", 2), ((None, 7), "DT_FLOAT", 7), ((None, 1), "DT_INT32", None)],
)
def test_class_count(shape: tuple[int | None, ...], dtype: str, count: int | None) -> None:
    assert class_count(Signature({}, {"output_0": TensorSpec("output_0", dtype, shape)})) == count


def ids(count: int) -> list[bytes]:
    return [number.to_bytes(16) for number in range(count)]


def test_a_second_label_is_a_duplicate() -> None:
    ledger = Ledger()
    (one, other) = ids(2)
    ledger.add(one, 1000, 1000)
    with pytest.raises(LabelRejected, match="first one stands") as caught:
        ledger.check(one, 1000, 2000)
    assert caught.value.reason is FeedbackRejection.DUPLICATE
    ledger.check(other, 1000, 2000)


def test_an_old_prediction_is_expired() -> None:
    with pytest.raises(LabelRejected) as caught:
        Ledger(horizon=100).check(b"", 1000, 1101)
    assert caught.value.reason is FeedbackRejection.EXPIRED


@settings(deadline=None)  # Busy machines are slow, and that is no fault.
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5_000)), max_size=60))
def test_no_label_counts_twice_whatever_is_forgotten(events: list[tuple[int, int]]) -> None:
    ledger = Ledger(horizon=1_000, capacity=5)
    accepted: set[tuple[int, int]] = set()
    for now, (number, issued) in enumerate(events, start=5_000):
        digest = number.to_bytes(16)
        try:
            ledger.check(digest, issued, now)
        except LabelRejected:
            continue
        assert (number, issued) not in accepted
        accepted.add((number, issued))
        ledger.add(digest, issued, now)
        assert len(ledger) <= 5
