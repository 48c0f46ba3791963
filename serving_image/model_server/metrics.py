"""Prometheus metrics. What the operator judges by comes from the same book as `/counts`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Gauge, Histogram, disable_created_metrics
from prometheus_client import Counter as PrometheusCounter
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from model_server.collectors import BatcherCollector, BookCollector, OptionsCollector
from model_server.contract import FeedbackRejection, Metric
from model_server.fetch_metrics import FetchCollector
from model_server.label_options import LabelOptions, Task
from model_server.passing import Copied, Forwarded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prometheus_client.metrics_core import Metric as Family

    from model_server.book import Book
    from model_server.collectors import Threads
    from model_server.fetch_metrics import FetchReport
    from model_server.rotation import Passing
    from model_server.traces import Trace

REQUEST_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
DELAY_SECONDS: Final = (
    *(1, 5, 15),
    *(_MINUTE, 5 * _MINUTE, 15 * _MINUTE),
    *(_HOUR, 4 * _HOUR, 12 * _HOUR),
    *(_DAY, 3 * _DAY, 7 * _DAY, 14 * _DAY, 30 * _DAY),
)
"""Up to the age at which a label counts no more."""
_NO_OPTIONS: Final = LabelOptions()
BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096, 16384)


class Metrics:
    """The metrics of one version of a model. None of their labels tells which: these are labels of the target.

    Where one server has several, `Several` puts `model` and `version` onto the lines of each.
    """

    def __init__(
        self, book: Book, pod_uid: str, names: Sequence[str] | None, options: LabelOptions = _NO_OPTIONS
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # Theirs has no annotations.
        self.rejected: Counter[FeedbackRejection] = Counter()
        self._registry = CollectorRegistry(auto_describe=False)
        self._has_classes = options.task is Task.CLASSIFICATION
        self._book = BookCollector(book, self.rejected, pod_uid, names)
        self._batcher = BatcherCollector()
        self._registry.register(self._book)
        self._registry.register(OptionsCollector(book, options))
        self._registry.register(self._batcher)
        self._seconds = Histogram(
            Metric.REQUEST_SECONDS,
            "Time from the request line to the answer.",
            ("method", "code"),
            unit="seconds",
            buckets=REQUEST_SECONDS,
            registry=self._registry,
        )
        self._of_kind: dict[tuple[str, int], Histogram] = {}
        """Kept here, because to look it up in theirs takes longer than to count."""
        self._label_delay = Histogram(
            Metric.LABEL_DELAY,
            "Time from a prediction to its label.",
            unit="seconds",
            buckets=DELAY_SECONDS,
            registry=self._registry,
        )
        self._batch_size = Histogram(
            Metric.BATCH_SIZE, "Instances in one call of the model.", buckets=BATCH_SIZES, registry=self._registry
        )
        self._forwarded = PrometheusCounter(
            Metric.FORWARDED, "Requests that were passed on.", ("outcome",), registry=self._registry
        )
        self._copied = PrometheusCounter(Metric.COPIED, "Copies of requests.", ("outcome",), registry=self._registry)
        self._agreed = PrometheusCounter(
            Metric.AGREEMENT,
            "Instances that two revisions have predicted, by whether they predicted the same.",
            ("candidate", "outcome"),
            registry=self._registry,
        )

    def collect(self) -> Iterator[Family]:
        """Read all of them."""
        yield from self._registry.collect()

    def tell_of_fetching(self, report: FetchReport | None) -> None:
        """Tell what the init container has left, if it has."""
        self._registry.register(FetchCollector(report))

    def tell_of_frontends(self, count: Callable[[], int]) -> None:
        """Tell how many processes speak the protocols beside this one; `count` is asked whenever somebody looks."""
        gauge = Gauge(
            Metric.FRONTENDS, "Processes that answer requests beside the one with the model.", registry=self._registry
        )
        gauge.set_function(count)

    def watch(self, batcher: Threads, load_seconds: float, classes: int | None) -> None:
        """Tell of a model that is loaded now. `classes`: how many it tells apart, if that is known."""
        self._batcher.watch(batcher, load_seconds)
        if self._has_classes:
            self._book.classes = classes or self._book.classes

    def unwatch(self) -> None:
        """Tell no more of a model that is unloaded."""
        self._batcher.unwatch()

    def observe_request(self, method: str, code: int, seconds: float, trace: Trace) -> None:
        """Note one answered request, with its trace as an example of such ones if it can be looked up."""
        self.note_request(method, code, seconds, trace.id if trace.is_sampled else None)

    def note_request(self, method: str, code: int, seconds: float, trace_id: str | None) -> None:
        """Note one answered request; `trace_id` of a trace that can be looked up."""
        histogram = self._of_kind.get((method, code))
        if histogram is None:
            histogram = self._of_kind[method, code] = self._seconds.labels(method, str(code))
        histogram.observe(seconds, {"trace_id": trace_id} if trace_id else None)

    def observe_batch(self, instances: int) -> None:
        """Note one call of the model."""
        self._batch_size.observe(instances)

    def observe_label(self, delay: float) -> None:
        """Note a label that was counted, so many seconds after its prediction."""
        self._label_delay.observe(delay)

    def tell_of_passing(self, passing: Passing) -> None:
        """Tell of what comes of passing requests or copies on, from the first time on that this pod is to do so."""
        if passing.to is not None:
            for copied in Copied if passing.copy else ():
                self._copied.labels(copied)
            for forwarded in () if passing.copy else Forwarded:
                self._forwarded.labels(forwarded)

    def count_forwarded(self, outcome: Forwarded) -> None:
        """Count a request that was passed on."""
        self._forwarded.labels(outcome).inc()

    def count_copied(self, outcome: Copied, number: int) -> None:
        """Count copies of requests."""
        self._copied.labels(outcome).inc(number)

    def count_agreement(self, revision: str, *, same: int, different: int) -> None:
        """Count instances of which another revision has predicted the same, or something else."""
        self._agreed.labels(revision, "same").inc(same)
        self._agreed.labels(revision, "different").inc(different)

    def expose(self, accept: str) -> tuple[bytes, str]:
        """Write them and those of the process in a format that the reader accepts; with its content type."""
        return _expose(self.collect, accept)


class Several:
    """The metrics of all versions of all models of a server, and of what belongs to none of them."""

    def __init__(self, common: Metrics | None = None) -> None:
        self._common = common
        self._parts: dict[tuple[str, str], Metrics] = {}

    def add(self, model: str, version: int, metrics: Metrics) -> None:
        """Tell of this version from now on."""
        self._parts[model, str(version)] = metrics

    def remove(self, model: str, version: int) -> None:
        """Tell of it no more."""
        self._parts.pop((model, str(version)), None)

    def collect(self) -> Iterator[Family]:
        """Read all of them: each metric once, with the lines of all versions. What belongs to none has empty labels."""
        families: dict[str, Family] = {}
        parts = {("", ""): self._common, **self._parts} if self._common is not None else self._parts
        for (model, version), metrics in parts.items():
            which = {"model": model, "version": version}
            for family in metrics.collect() if metrics is not None else ():
                samples = [sample._replace(labels={**which, **sample.labels}) for sample in family.samples]
                known = families.setdefault(family.name, family)
                known.samples = samples if known is family else [*known.samples, *samples]
        yield from families.values()

    def expose(self, accept: str) -> tuple[bytes, str]:
        """Write them and those of the process in a format that the reader accepts; with its content type."""
        return _expose(self.collect, accept)


class _Page(CollectorRegistry):
    """What is read when somebody looks."""

    def __init__(self, collect: Callable[[], Iterator[Family]]) -> None:
        super().__init__(auto_describe=False)
        self._collect = collect
        ProcessCollector(registry=self)
        GCCollector(registry=self)

    def collect(self) -> Iterator[Family]:
        yield from self._collect()
        yield from super().collect()


def _expose(collect: Callable[[], Iterator[Family]], accept: str) -> tuple[bytes, str]:
    try:
        encode, content_type = choose_encoder(accept)
    except TypeError:  # It compares what stands for a version, whatever that is.
        encode, content_type = choose_encoder("")
    return encode(_Page(collect)), content_type
