"""The figures of an evaluation, against SciPy and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from model_server.classes import predicted_classes
from model_trainer import evaluation
from model_trainer.evaluation import Confusion, Estimate, Metrics
from scipy import stats
from sklearn import metrics as reference

LABELS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60)
COUNTS = st.integers(0, 10_000)


@given(LABELS)
def test_values_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = ([pair[i] for pair in pairs] for i in (0, 1))
    assume(any(truth))
    assume(any(predicted))
    got = evaluation.metrics(evaluation.confusion(truth, predicted))
    for estimate, score in (
        (got.accuracy, reference.accuracy_score),
        (got.precision, reference.precision_score),
        (got.recall, reference.recall_score),
        (got.f1, reference.f1_score),
    ):
        assert estimate is not None
        assert math.isclose(estimate.value, score(truth, predicted), abs_tol=1e-12)
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@given(COUNTS, COUNTS)
def test_intervals_are_wilson_s(successes: int, failures: int) -> None:
    assume(successes + failures)
    estimate = evaluation.proportion(successes, successes + failures)
    assert estimate is not None
    low, high = stats.binomtest(successes, successes + failures).proportion_ci(evaluation.CONFIDENCE, method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-9)


def test_f1_takes_its_interval_from_the_proportion_that_it_is_a_function_of() -> None:
    counts = Confusion(true_positive=80, false_positive=15, true_negative=100, false_negative=5)
    f1, share = evaluation.metrics(counts).f1, evaluation.proportion(80, 100)
    assert f1 is not None
    assert share is not None
    assert f1 == Estimate(*(2 * ratio / (1 + ratio) for ratio in (share.value, share.low, share.high)))


def test_nothing_to_divide_by_is_no_figure() -> None:
    only_negatives = evaluation.metrics(evaluation.confusion([0, 0], [0, 0]))
    assert (only_negatives.precision, only_negatives.recall, only_negatives.f1) == (None, None, None)
    assert only_negatives.accuracy is not None
    assert evaluation.metrics(Confusion(0, 0, 0, 0)) == Metrics(None, None, None, None)


def test_confusion_counts_each_cell_and_their_total() -> None:
    counts = evaluation.confusion([1, 1, 1, 0, 0, 0, 0], [1, 0, 0, 1, 1, 1, 0])
    assert counts == Confusion(true_positive=1, false_positive=3, true_negative=1, false_negative=2)
    assert counts.total == 7


def test_labels_of_different_number_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        evaluation.confusion([1, 0], [1])


def test_a_probability_of_one_half_is_class_0_as_for_the_model_server() -> None:
    scores = [0.0, 0.499999, 0.5, 1.0]
    assert evaluation.predicted_labels(scores) == [0, 0, 1, 1]
    served = predicted_classes({"y": np.array(scores)}, named=False)
    assert served is not None
    assert list(served.predicted) == [0, 0, 1, 1]
