"""What a model's labels say, beyond what is judged."""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.models import units

from manifests.dashboards.panels import NO_DATA, NONE, AnyPanel, Query, Text, graph, matrix
from manifests.dashboards.queries import REVISIONS, as_predicted, last, mean, quantile, rate, same_class, share, total
from manifests.dashboards.states import BAD, GOOD, WARNING

CORRECT: Final = 'outcome="correct"'
CLASSES: Final = f"{NONE}no labels yet, or a model of more than 20 classes"
CELLS: Final = total("model_confusion_total", "revision, actual, predicted", REVISIONS)
NAME: Final = "{{revision}}"


def quality() -> list[AnyPanel]:
    """Return accuracy, precision, recall and F1."""
    actual_sum = total("model_confusion_total", "revision, actual", REVISIONS)
    right = f"sum by (revision, predicted) ({same_class(CELLS, actual_sum)})"
    predicted = total("model_confusion_total", "revision, predicted", REVISIONS)
    actual = f"sum by (revision, predicted) ({as_predicted(actual_sum)})"
    by_class = "{{revision}} {{predicted}}"
    return [
        graph(
            Text(
                "Accuracy",
                "Share of all labelled predictions of a revision that were right. Normal: level. The labels of each "
                "revision are counted from its start, so it moves slowly; see the next panel for the last ones.",
            ),
            units.PercentUnit,
            [
                Query(
                    share(
                        total("model_labels_total", "revision", REVISIONS, CORRECT),
                        total("model_labels_total", "revision", REVISIONS),
                    ),
                    NAME,
                )
            ],
            span=12,
            minimum=None,
            maximum=1,
        ),
        graph(
            Text(
                "Accuracy of the last 15 minutes",
                "Share of the labels that came within 15 minutes that say right. It jumps when there are few; "
                "judgement does not look at it. Normal: around the accuracy of all labels. A lasting drop: the world "
                "has changed.",
                f"{NONE}no labels within 15 minutes",
            ),
            units.PercentUnit,
            [Query(share(_increase(CORRECT), _increase()), NAME)],
            span=12,
            minimum=None,
            maximum=1,
        ),
        graph(
            Text(
                "Precision of each class",
                "Of what was predicted as the class, the share that was. Normal: level. If it falls, others are "
                "mistaken for it: see the columns of the confusion matrix.",
                CLASSES,
            ),
            units.PercentUnit,
            [Query(share(right, predicted), by_class)],
            minimum=None,
            maximum=1,
        ),
        graph(
            Text(
                "Recall of each class",
                "Of what was the class, the share that was predicted so. Normal: level. If it falls, the class is "
                "missed: see the rows of the confusion matrix.",
                CLASSES,
            ),
            units.PercentUnit,
            [Query(share(right, actual), by_class)],
            minimum=None,
            maximum=1,
        ),
        graph(
            Text(
                "F1 of each class",
                "Harmonic mean of precision and recall. Normal: level.",
                CLASSES,
            ),
            units.PercentUnit,
            [Query(share(f"(2 * {right})", f"({predicted} + {actual})"), by_class)],
            minimum=None,
            maximum=1,
        ),
    ]


def parts() -> list[AnyPanel]:
    """Return what is counted besides where the spec asks for it: slices, the best classes, errors of numbers."""
    return [
        graph(
            Text(
                "Accuracy of each slice",
                "Share of the labels that say right, of each part of the requests (spec.feedback.slices). Normal: "
                "alike. One that is lower than the others is a part of the world that the model knows less of.",
                f"{NONE}the spec names no slices, or no label has come",
            ),
            units.PercentUnit,
            [
                Query(
                    share(
                        total("model_slice_labels_total", "revision, slice", REVISIONS, CORRECT),
                        total("model_slice_labels_total", "revision, slice", REVISIONS),
                    ),
                    "{{revision}} {{slice}}",
                )
            ],
            minimum=None,
            maximum=1,
        ),
        graph(
            Text(
                "Labels among the best classes",
                "Share of the labels that are one of the k classes with the highest scores. Normal: level, and above "
                "the accuracy.",
                f"{NONE}the spec names no top k, or no label has come",
            ),
            units.PercentUnit,
            [
                Query(
                    share(
                        total("model_top_k_labels_total", "revision, k", REVISIONS, CORRECT),
                        total("model_top_k_labels_total", "revision, k", REVISIONS),
                    ),
                    "{{revision}} k = {{k}}",
                )
            ],
            minimum=None,
            maximum=1,
        ),
        graph(
            Text(
                "Errors of predicted numbers",
                "Mean absolute error, and root of the mean squared error, of the labels that came lately. Normal: "
                "level. If the second rises alone, a few predictions are far off.",
                f"{NONE}the model predicts classes, or no labels in this time",
            ),
            units.Short,
            [
                Query(mean("model_absolute_error", "revision", REVISIONS), "{{revision}} MAE"),
                Query(f"sqrt({mean('model_squared_error', 'revision', REVISIONS)})", "{{revision}} RMSE"),
            ],
        ),
    ]


def confusion() -> list[AnyPanel]:
    """Return the confusion matrix, as counts and as shares."""
    return [
        matrix(
            Text(
                "Confusion of $revision",
                "Labels by the class that was (rows) and the class that was predicted (columns). Normal: the diagonal "
                "holds nearly all.",
                CLASSES,
            ),
            units.Short,
            Query(last("model_confusion_total", "actual, predicted", REVISIONS)),
            rows="actual",
            columns="predicted",
        ),
        matrix(
            Text(
                "Confusion of $revision, as shares of each actual class",
                "The same, with each row divided by its sum: the diagonal is the recall. Good for classes of unlike "
                "size.",
                CLASSES,
            ),
            units.PercentUnit,
            Query(
                f"{last('model_confusion_total', 'actual, predicted', REVISIONS)} / on (actual) group_left () "
                f"{last('model_confusion_total', 'actual', REVISIONS)}"
            ),
            rows="actual",
            columns="predicted",
            maximum=1,
        ),
    ]


def labels() -> list[AnyPanel]:
    """Return how labels come in."""
    return [
        graph(
            Text(
                "Labels a second",
                "Labels that were counted, by outcome. Normal: in proportion to the traffic. Without labels nothing "
                "can be judged.",
            ),
            units.CountsPerSecond,
            [Query(rate("model_labels_total", "outcome", REVISIONS), "{{outcome}}")],
            span=6,
            stacked=True,
            colours={"correct": GOOD, "wrong": BAD},
        ),
        graph(
            Text(
                "Predictions that have a label",
                "Labels in all, as a share of the predictions in all. Normal: what your process of labelling can do, "
                "and level.",
            ),
            units.PercentUnit,
            [
                Query(
                    share(
                        total("model_labels_total", "revision", REVISIONS),
                        total("model_predictions_total", "revision", REVISIONS),
                    ),
                    NAME,
                )
            ],
            span=6,
            maximum=1,
        ),
        graph(
            Text(
                "Delay of labels",
                "From a prediction to its label: median, 90th and 99th percentile. Normal: level. A degraded model is "
                "noticed no sooner than its labels come.",
                f"{NONE}no labels in this time",
            ),
            units.Seconds,
            [Query(quantile(q, "model_label_delay_seconds", "", REVISIONS), name) for name, q in PERCENTILES.items()],
            span=6,
        ),
        graph(
            Text(
                "Refused labels",
                "Labels that were not counted, by reason. Normal: next to none. forged: ids of another key or "
                "installation; foreign: sent to another model; duplicate: sent twice; unknown_class: not a class of "
                "the model; expired: too late; unavailable: its pod could not be reached, send it again.",
                NO_DATA,
            ),
            units.CountsPerSecond,
            [Query(rate("model_feedback_rejected_total", "reason", REVISIONS), "{{reason}}")],
            span=6,
            colours={"forged": BAD, "unavailable": WARNING},
        ),
        graph(
            Text(
                "Labels that do not count yet",
                "Labels whose predictions are younger than spec.feedback.maturity. Normal: the labels of that time.",
                f"{NONE}the spec names no maturity",
            ),
            units.Short,
            [Query(total("model_labels_waiting", "revision", REVISIONS), NAME)],
            span=12,
        ),
        graph(
            Text(
                "Audits that have a label",
                "Labels of predictions that were picked at random, as a share of those. Normal: near 100 %, once "
                "people have looked at them.",
                f"{NONE}the spec asks for no audits",
            ),
            units.PercentUnit,
            [
                Query(
                    share(
                        total("model_audited_labels_total", "revision", REVISIONS),
                        total("model_audited_predictions_total", "revision", REVISIONS),
                    ),
                    NAME,
                )
            ],
            span=12,
            maximum=1,
        ),
    ]


PERCENTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def _increase(*matchers: str) -> str:
    return f"sum by (revision) (increase(model_labels_total{{{', '.join((REVISIONS, *matchers))}}}[15m]))"
