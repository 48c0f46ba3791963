"""Reads what is counted elsewhere when Prometheus asks. What is not defined yet is left out, not NaN and not 0."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from model_server.contract import FeedbackRejection, Metric
from model_server.feedback import Cell, quality

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from prometheus_client.metrics_core import Metric as Family

    from model_server.book import Book
    from model_server.dataplane.batcher import Batcher
    from model_server.feedback import Tally

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
        yield CounterMetricFamily(Metric.PREDICTIONS, "Instances that were answered.", self._book.predictions)
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


class BatcherCollector(Collector):
    """The threads that answer. Nothing until there is a model."""

    def __init__(self) -> None:
        self._watched: tuple[Batcher, float] | None = None

    def watch(self, batcher: Batcher, load_seconds: float) -> None:
        """Tell of these threads from now on."""
        self._watched = batcher, load_seconds

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
