"""Prometheus metrics. What the operator judges by comes from the same book as `/counts`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from model_server.contract import FeedbackRejection, Metric
from model_server.feedback import quality

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric as Family

    from model_server.book import Book

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""


class Metrics:
    """The metrics of one model server."""

    def __init__(self, model: str, revision: str, book: Book) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # Theirs has no annotations.
        self._values = (model, revision)
        self.rejected: Counter[FeedbackRejection] = Counter()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_BookCollector(self._values, book, self.rejected))
        self._seconds = Histogram(
            Metric.REQUEST_SECONDS,
            "Time from the request line to the answer.",
            ("model", "revision", "method", "code"),
            buckets=BUCKETS,
            registry=self._registry,
        )

    def observe(self, method: str, code: int, seconds: float) -> None:
        """Note one answered request."""
        self._seconds.labels(*self._values, method, str(code)).observe(seconds)

    def expose(self, accept: str) -> tuple[bytes, str]:
        """Write all metrics in a format that the reader accepts; with its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _BookCollector(Collector):
    """Reads the book when Prometheus asks. A measure that is not defined yet is left out, not NaN and not 0."""

    def __init__(self, values: tuple[str, str], book: Book, rejected: Counter[FeedbackRejection]) -> None:
        self._values = values
        self._book = book
        self._rejected = rejected

    def collect(self) -> Iterator[Family]:
        tally = self._book.tally
        measures = quality(tally)
        yield from self._gauge(Metric.ACCURACY, "Share of the labelled predictions that were right.", measures.accuracy)
        yield from self._gauge(
            Metric.PRECISION, "Share of true ones in what was predicted as class 1.", measures.precision
        )
        yield from self._gauge(Metric.RECALL, "Share of class 1 that was predicted as such.", measures.recall)
        yield from self._gauge(Metric.F1, "Harmonic mean of precision and recall.", measures.f1)
        labels = CounterMetricFamily(
            Metric.LABELS, "Labels that were counted.", labels=("model", "revision", "outcome")
        )
        labels.add_metric((*self._values, "correct"), tally.correct)
        labels.add_metric((*self._values, "wrong"), tally.wrong)
        yield labels
        predictions = CounterMetricFamily(
            Metric.PREDICTIONS, "Instances that were answered.", labels=("model", "revision")
        )
        predictions.add_metric(self._values, self._book.predictions)
        yield predictions
        rejected = CounterMetricFamily(
            Metric.FEEDBACK_REJECTED, "Labels that were not counted.", labels=("model", "revision", "reason")
        )
        for reason in FeedbackRejection:
            rejected.add_metric((*self._values, reason), self._rejected[reason])
        yield rejected

    def _gauge(self, name: Metric, text: str, value: float | None) -> Iterator[Family]:
        if value is not None:
            family = GaugeMetricFamily(name, text, labels=("model", "revision"))
            family.add_metric(self._values, value)
            yield family
