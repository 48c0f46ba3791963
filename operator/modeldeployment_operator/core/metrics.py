"""The four metrics as shares of labels, so that one test judges them all.

Accuracy, precision and recall are shares: of all labels, of those predicted positive, of those truly positive. F1 is
not, but it is at least f exactly when TP/(TP+FP+FN) is at least f/(2−f), which is one.
"""

from __future__ import annotations

from collections.abc import Mapping

from modeldeployment_operator.api.spec import AccuracyMetric


def right_and_wrong(
    metric: AccuracyMetric, correct: int, wrong: int, true_positive: int, false_positive: int, false_negative: int
) -> tuple[int, int]:
    """Return how many labels speak for the model, and how many against it."""
    match metric:
        case AccuracyMetric.ACCURACY:
            return correct, wrong
        case AccuracyMetric.PRECISION:
            return true_positive, false_positive
        case AccuracyMetric.RECALL:
            return true_positive, false_negative
        case AccuracyMetric.F1:
            return true_positive, false_positive + false_negative


def share_of(metric: AccuracyMetric, value: float) -> float:
    """Return the share of labels that a value of the metric stands for."""
    return value / (2.0 - value) if metric is AccuracyMetric.F1 else value


def value_of(metric: AccuracyMetric, share: float) -> float:
    """Return the value of the metric that a share of labels stands for."""
    return 2.0 * share / (1.0 + share) if metric is AccuracyMetric.F1 else share


def drop_in_share(metric: AccuracyMetric, drop: float) -> float:
    """Return the largest drop of the share of labels that a drop of the metric may stand for, wherever it begins."""
    return share_of(metric, 1.0) - share_of(metric, 1.0 - drop)


def one_against_all(cells: Mapping[tuple[str, str], int], positive: str) -> tuple[int, int, int]:
    """Return true positives, false positives and false negatives of a class, from labels by actual and predicted."""
    missed = {own: number for own, number in cells.items() if own[0] != own[1]}
    return (
        cells.get((positive, positive), 0),
        sum(number for (_, predicted), number in missed.items() if predicted == positive),
        sum(number for (actual, _), number in missed.items() if actual == positive),
    )
