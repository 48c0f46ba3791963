"""Reads what is counted elsewhere when Prometheus asks. What is not defined yet is left out, not NaN and not 0."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from model_server.contract import FeedbackRejection, Metric
from model_server.feedback import UNITS, Cell, PairOutcome, quality
from model_server.label_options import Counted, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from prometheus_client.metrics_core import Metric as Family

    from model_server.book import Book
    from model_server.busy import Busy
    from model_server.feedback import Tally
    from model_server.label_options import LabelOptions

_OUTCOMES: Final[Mapping[str, bool]] = {"correct": True, "wrong": False}
_FOUR_CELLS: Final = {Cell(actual, predicted): 0 for actual in (0, 1) for predicted in (0, 1)}


class BookCollector(Collector):
    """Predictions and labels."""

    def __init__(
        self, book: Book, rejected: Counter[FeedbackRejection], pod_uid: str, names: Sequence[str] | None
    ) -> None:
        self._book = book
        self._rejected = rejected
        self._pod_uid = pod_uid
        self._names = tuple(names or ())
        self._no_class = "none"
        while self._no_class in self._names:
            self._no_class = f"({self._no_class})"
        self.classes: int | None = len(self._names) or None
        """How many the model tells apart, if that is known."""

    def collect(self) -> Iterator[Family]:
        """Read the book."""
        tally = self._book.tally
        yield from self._qualities(tally)
        labels = CounterMetricFamily(Metric.LABELS, "Labels that were counted.", labels=("outcome",))
        labels.add_metric(("correct",), tally.correct)
        labels.add_metric(("wrong",), tally.wrong)
        yield labels
        yield self._confusion(tally)
        pairs = CounterMetricFamily(
            Metric.PAIRS, "Labels of two revisions' predictions of one instance.", labels=("candidate", "outcome")
        )
        for name in dict.fromkeys(name for name, _ in tally.pairs):
            for outcome in PairOutcome:
                pairs.add_metric((name, outcome), tally.pairs[name, outcome])
        if pairs.samples:
            yield pairs
        made, with_id, _ = self._book.predictions
        yield CounterMetricFamily(Metric.PREDICTIONS, "Instances that were answered.", made)
        yield CounterMetricFamily(Metric.IDS, "Instances whose answer had an id.", with_id)
        rejected = CounterMetricFamily(Metric.FEEDBACK_REJECTED, "Labels that were not counted.", labels=("reason",))
        for reason in FeedbackRejection:
            rejected.add_metric((reason,), self._rejected[reason])
        yield rejected
        yield InfoMetricFamily(
            Metric.COUNTING_INFO.removesuffix("_info"),
            "Which pod, and which run of counting, the labels and predictions belong to.",
            {"pod_uid": self._pod_uid, "started": self._book.started},
        )

    @staticmethod
    def _qualities(tally: Tally) -> Iterator[Family]:
        measures = quality(tally)
        for name, text, value in (
            (Metric.ACCURACY, "Share of the labelled predictions that were right.", measures.accuracy),
            (Metric.PRECISION, "Share of true ones in what was predicted as class 1.", measures.precision),
            (Metric.RECALL, "Share of class 1 that was predicted as such.", measures.recall),
            (Metric.F1, "Harmonic mean of precision and recall.", measures.f1),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, text, value)

    def _confusion(self, tally: Tally) -> Family:
        family = CounterMetricFamily(
            Metric.CONFUSION, "Labels that were counted, by class.", labels=("actual", "predicted")
        )
        counts: Counter[tuple[str, str]] = Counter()  # By name, so that no line is there twice, whatever the names are.
        for cell, count in {**(_FOUR_CELLS if self.classes == 2 else {}), **tally.by_cell}.items():
            counts[self._name(cell.actual), self._name(cell.predicted)] += count
        for names, count in counts.items():
            family.add_metric(names, count)
        return family

    def _name(self, number: int | None) -> str:
        if number is None:
            return self._no_class
        return self._names[number] if number < len(self._names) else str(number)


class OptionsCollector(Collector):
    """What labels tell besides, where it was asked for."""

    def __init__(self, book: Book, options: LabelOptions) -> None:
        self._book = book
        self._options = options

    def collect(self) -> Iterator[Family]:
        """Read the book."""
        tally, options = self._book.tally, self._options
        if options.maturity:
            yield GaugeMetricFamily(
                Metric.LABELS_WAITING, "Labels whose predictions are too young for them to count.", self._book.waiting
            )
        if options.audit_fraction:
            yield from self._audits(tally)
        if options.top:
            best = CounterMetricFamily(
                Metric.TOP_K_LABELS, "Labels by whether they are one of the best classes.", labels=("k", "outcome")
            )
            for outcome, is_right in _OUTCOMES.items():
                best.add_metric((str(options.top), outcome), tally.among_best[is_right])
            yield best
        if options.slice_field is not None:
            slices = CounterMetricFamily(
                Metric.SLICE_LABELS, "Labels by a field of the request.", labels=("slice", "outcome")
            )
            for name in sorted({name for name, _ in tally.by_slice}):
                for outcome, is_right in _OUTCOMES.items():
                    slices.add_metric((name, outcome), tally.by_slice[name, is_right])
            yield slices
        if options.task is Task.REGRESSION:
            yield from self._errors(tally)

    def _audits(self, tally: Tally) -> Iterator[Family]:
        audited = self._book.predictions.audited
        yield CounterMetricFamily(Metric.AUDITED_PREDICTIONS, "Instances that were picked at random.", audited)
        labels = CounterMetricFamily(Metric.AUDITED_LABELS, "Labels of these.", labels=("outcome",))
        for outcome, is_right in _OUTCOMES.items():
            labels.add_metric((outcome,), tally.audited[is_right])
        yield labels
        if self._options.counted is Counted.AUDITED:
            yield CounterMetricFamily(Metric.UNJUDGED_LABELS, "Labels that count for nothing.", tally.unjudged)

    def _errors(self, tally: Tally) -> Iterator[Family]:
        errors, unit = tally.errors, self._options.tolerance / UNITS
        for name, text, total in (
            (Metric.ABSOLUTE_ERROR, "Difference of label and prediction.", errors.absolute * unit),
            (Metric.SQUARED_ERROR, "Square of the difference of label and prediction.", errors.squared * unit**2),
            (Metric.SCORE, "1 less the absolute error in tolerances, at least 0.", errors.scores / UNITS),
        ):
            yield SummaryMetricFamily(name, text, count_value=errors.count, sum_value=total)


class Threads(Protocol):
    """What calls the model."""

    busy: Busy
    threads: int

    @property
    def waiting(self) -> int:
        """Requests that wait for a thread."""


class BatcherCollector(Collector):
    """The threads that answer. Nothing until there is a model."""

    def __init__(self) -> None:
        self._watched: tuple[Threads, float] | None = None

    def watch(self, batcher: Threads, load_seconds: float) -> None:
        """Tell of these threads from now on."""
        self._watched = batcher, load_seconds

    def unwatch(self) -> None:
        """Tell nothing any more: the threads have ended."""
        self._watched = None

    def collect(self) -> Iterator[Family]:
        """Look at the threads."""
        if self._watched is None:
            return
        batcher, load_seconds = self._watched
        yield CounterMetricFamily(
            Metric.BUSY_SECONDS,
            "Seconds that threads spent in the model, putting requests together and taking them apart.",
            batcher.busy.seconds,
            unit="seconds",
        )
        yield GaugeMetricFamily(Metric.THREADS, "Threads that answer predictions.", batcher.threads)
        yield GaugeMetricFamily(Metric.WAITING, "Requests that wait for a thread.", batcher.waiting)
        yield GaugeMetricFamily(
            Metric.LOAD_SECONDS,
            "What loading and warming up the model took.",
            load_seconds,
            unit="seconds",
        )
