"""The operator's own metrics, for Prometheus: METRICS.md lists them."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from modeldeployment_operator.adapters.series import MODEL, families
from modeldeployment_operator.api.spec import LabelSource
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.fleet import Model
from modeldeployment_operator.core.kinds import MODEL_DEPLOYMENT, OPTIONAL, WATCHED
from modeldeployment_operator.core.observation import Key

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Of requests and reconciles, in seconds: a request ends after ten."""


class Telemetry:
    """One registry, passed in: no global state.

    What is known of each model is not set here: it is read when Prometheus asks, so that it is always what the status
    says, and goes when the model goes.

    Attributes:
        reconcile_seconds: durations of reconciles.
        reconcile_errors: reconciles that failed and are tried again.
        queue_length: ModelDeployments that wait for a worker; set_function gives it its source.
        is_leader: whether this replica acts; set_function gives it its source.
        sample_failures: readings of labels that failed, by source: a LabelSource.
        prometheus_query_seconds: durations of queries for labels.
        api_request_seconds: durations of requests to the API server by method and code, `error` if none came.
        watch_restarts: watches that had to begin anew, by resource: the plural of a kind.

    """

    def __init__(self, registry: CollectorRegistry) -> None:
        # They would double the series, to tell what process_start_time_seconds tells.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # The client has not annotated it.
        self.registry = registry
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self.reconcile_seconds = _histogram(registry, "reconcile", "Duration of a reconcile.")
        self.reconcile_errors = Counter(
            "modeldeployment_reconcile_errors", "Reconciles that failed and are tried again.", registry=registry
        )
        self.queue_length = Gauge(
            "modeldeployment_queue_length", "ModelDeployments that wait for a worker.", registry=registry
        )
        self.is_leader = Gauge(
            "modeldeployment_operator_leader",
            "1 for the replica that acts, 0 for one that stands by.",
            registry=registry,
        )
        self.sample_failures = Counter(
            "modeldeployment_sample_failures", "Readings of labels that failed.", ("source",), registry=registry
        )
        for source in LabelSource:
            self.sample_failures.labels(source)
        self.prometheus_query_seconds = _histogram(
            registry, "prometheus_query", "Duration of a query of Prometheus for labels."
        )
        self.api_request_seconds = _histogram(
            registry, "api_request", "Duration of a request to the API server.", ("method", "code")
        )
        self.watch_restarts = Counter(
            "modeldeployment_watch_restarts", "Watches that had to begin anew.", ("resource",), registry=registry
        )
        for kind in (MODEL_DEPLOYMENT, *WATCHED, *OPTIONAL):
            self.watch_restarts.labels(kind.plural)
        self._rollbacks: Tally[Key] = Tally()
        self._promotions: Tally[Key] = Tally()

    def count(self, key: Key, decision: Decision) -> None:
        """Take note that the traffic was given to another revision; once for each time."""
        tally = self._promotions if decision.rejection is None else self._rollbacks
        tally[key] += 1

    def forget(self, key: Key) -> None:
        """Begin anew, should there be a ModelDeployment of this name again."""
        self._rollbacks.pop(key, None)
        self._promotions.pop(key, None)

    def exposition(self, models: Iterable[Model], accept: str) -> tuple[bytes, str]:
        """Return all metrics in the format that a header `Accept` asks for, and the type of their content."""
        encode, content_type = choose_encoder(accept)
        return encode(_All(self.registry, [*families(models), *self._switches(models)])), content_type

    def _switches(self, models: Iterable[Model]) -> Iterator[Metric]:
        """Yield the counters of switches, 0 at first: an increase from nothing at all would go unseen."""
        yield _tallied("modeldeployment_rollbacks", "Revisions that were taken back.", self._rollbacks, models)
        yield _tallied("modeldeployment_promotions", "Revisions that took the traffic.", self._promotions, models)


class _All(Collector):
    """What the registry has, and what was made for this once."""

    def __init__(self, registry: CollectorRegistry, metrics: list[Metric]) -> None:
        self._registry = registry
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        yield from self._metrics


def _histogram(registry: CollectorRegistry, what: str, help_text: str, labels: tuple[str, ...] = ()) -> Histogram:
    name = f"modeldeployment_{what}_duration_seconds"
    return Histogram(name, help_text, labels, buckets=_BUCKETS, registry=registry)


def _tallied(name: str, help_text: str, tally: Tally[Key], models: Iterable[Model]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=MODEL)
    for model in models:
        family.add_metric((model.key.namespace, model.key.name), tally[model.key])
    return family
