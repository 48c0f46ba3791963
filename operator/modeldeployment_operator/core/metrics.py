"""The four metrics as shares of labels, so that one test judges them all.

Accuracy, precision and recall are shares: of all labels, of those predicted positive, of those truly positive. F1 is
not, but it is at least f exactly when TP/(TP+FP+FN) is at least f/(2−f), which is one.
"""

from __future__ import annotations

from modeldeployment_operator.api.spec import AccuracyMetric
from modeldeployment_operator.core.observation import Sample


def right_and_wrong(metric: AccuracyMetric, sample: Sample) -> tuple[int, int]:
    """Return how many labels speak for the model, and how many against it."""
    match metric:
        case AccuracyMetric.ACCURACY:
            return sample.correct, sample.wrong
        case AccuracyMetric.PRECISION:
            return sample.true_positive, sample.false_positive
        case AccuracyMetric.RECALL:
            return sample.true_positive, sample.false_negative
        case AccuracyMetric.F1:
            return sample.true_positive, sample.false_positive + sample.false_negative


def share_of(metric: AccuracyMetric, value: float) -> float:
    """Return the share of labels that a value of the metric stands for."""
    return value / (2.0 - value) if metric is AccuracyMetric.F1 else value


def value_of(metric: AccuracyMetric, share: float) -> float:
    """Return the value of the metric that a share of labels stands for."""
    return 2.0 * share / (1.0 + share) if metric is AccuracyMetric.F1 else share


def drop_in_share(metric: AccuracyMetric, drop: float) -> float:
    """Return the largest drop of the share of labels that a drop of the metric may stand for, wherever it begins."""
    return share_of(metric, 1.0) - share_of(metric, 1.0 - drop)
