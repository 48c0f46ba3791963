"""The operator's own metrics, for Prometheus: METRICS.md lists them."""

from __future__ import annotations

import functools
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
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

from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.queue import Queue
from modeldeployment_operator.adapters.series import MODEL, families
from modeldeployment_operator.api.spec import LabelSource
from modeldeployment_operator.api.verdict import Outcome
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.fleet import Model
from modeldeployment_operator.core.kinds import MODEL_DEPLOYMENT, OPTIONAL, WATCHED
from modeldeployment_operator.core.observation import Key

_PREFIX: Final = "modeldeployment"
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Of requests, reconciles and delays, in seconds: a request ends after ten."""
_SEEN: Final = (MODEL_DEPLOYMENT, *WATCHED, *OPTIONAL)
"""Kinds of which the cache knows the objects."""


class Result(StrEnum):
    """How a reconcile ended."""

    SUCCESS = "success"
    CONFLICT = "conflict"
    """Somebody else was faster: that is no fault, and tried again at once."""
    ERROR = "error"
    """The API server or a pod did not do as asked; tried again."""
    INTERNAL = "internal"
    """The operator itself is at fault; tried again."""


class Telemetry:
    """One registry, passed in: no global state.

    What is known of each model is not set here: it is read when Prometheus asks, so that it is always what the status
    says, and goes when the model goes.

    Attributes:
        reconciles: reconciles by result.
        reconcile_seconds: durations of reconciles.
        sample_failures: readings of labels that failed, by source: a LabelSource.
        prometheus_query_seconds: durations of queries for labels.
        api_requests: requests to the API server by verb, resource and code, `error` if no answer came.
        api_request_seconds: their durations, by verb.
        watch_restarts: watches that had to begin anew, by resource: the plural of a kind.
        loop_lag_seconds: how late the event loops are, by their name.

    """

    def __init__(self, registry: CollectorRegistry) -> None:
        # They would double the series, to tell what process_start_time_seconds tells.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # The client has not annotated it.
        self.registry = registry
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self.reconciles = _counter(registry, "reconciles", "Reconciles that ended.", ("result",))
        for result in Result:
            self.reconciles.labels(result)
        self.reconcile_seconds = _histogram(registry, "reconcile_duration", "Duration of a reconcile.")
        self.sample_failures = _counter(registry, "sample_failures", "Readings of labels that failed.", ("source",))
        for source in LabelSource:
            self.sample_failures.labels(source)
        self.prometheus_query_seconds = _histogram(
            registry, "prometheus_query_duration", "Duration of a query of Prometheus for labels."
        )
        self.api_requests = _counter(
            registry, "api_requests", "Requests to the API server.", ("verb", "resource", "code")
        )
        self.api_request_seconds = _histogram(
            registry, "api_request_duration", "Duration of a request to the API server.", ("verb",)
        )
        self.watch_restarts = _counter(registry, "watch_restarts", "Watches that had to begin anew.", ("resource",))
        for kind in _SEEN:
            self.watch_restarts.labels(kind.plural)
        self.loop_lag_seconds = _histogram(registry, "event_loop_lag", "How late an event loop is.", ("loop",))
        self._rollbacks: Tally[Key] = Tally()
        self._promotions: Tally[Key] = Tally()
        self._decisions: Tally[tuple[Key, Outcome]] = Tally()

    def follow(self, queue: Queue, cache: Cache, leads: Callable[[], bool], workers: int) -> None:
        """Tell of these as they are whenever Prometheus asks. What waits while another replica leads is no backlog."""
        _gauge(
            self.registry,
            "operator_leader",
            "1 for the replica that acts, 0 for one that stands by.",
            lambda: float(leads()),
        )
        waiting = "ModelDeployments that wait for a worker."
        _gauge(self.registry, "queue_length", waiting, lambda: len(queue) if leads() else 0)
        oldest = "For how long the ModelDeployment that waits longest has waited."
        _gauge(self.registry, "queue_oldest_seconds", oldest, lambda: queue.oldest if leads() else 0)
        _gauge(self.registry, "workers", "Reconciles that can run at a time.", lambda: workers)
        _gauge(self.registry, "workers_busy", "Reconciles that run.", lambda: queue.working)
        slowest = "For how long the reconcile that runs longest has run."
        _gauge(self.registry, "reconcile_longest_running_seconds", slowest, lambda: queue.slowest[1])
        objects = Gauge(f"{_PREFIX}_cache_objects", "Objects that are known.", ("resource",), registry=self.registry)
        for kind in _SEEN:
            objects.labels(kind.plural).set_function(functools.partial(cache.size, kind))

    def count(self, key: Key, decision: Decision, outcome: Outcome | None = None) -> None:
        """Take note that the traffic was given to another revision, or a candidate taken back; once for each time."""
        tally = self._promotions if decision.rejection is None else self._rollbacks
        tally[key] += 1
        if outcome is not None:
            self._decisions[key, outcome] += 1

    def forget(self, key: Key) -> None:
        """Begin anew, should there be a ModelDeployment of this name again."""
        self._rollbacks.pop(key, None)
        self._promotions.pop(key, None)
        for outcome in Outcome:
            self._decisions.pop((key, outcome), None)

    def exposition(self, models: Iterable[Model], accept: str) -> tuple[bytes, str]:
        """Return all metrics in the format that a header `Accept` asks for, and the type of their content."""
        encode, content_type = choose_encoder(accept)
        return encode(_All(self.registry, [*families(models), *self._switches(models)])), content_type

    def _switches(self, models: Iterable[Model]) -> Iterator[Metric]:
        """Yield the counters of switches, 0 at first: an increase from nothing at all would go unseen."""
        yield _tallied("modeldeployment_rollbacks", "Revisions that were taken back.", self._rollbacks, models)
        yield _tallied("modeldeployment_promotions", "Revisions that took the traffic.", self._promotions, models)
        recorded = CounterMetricFamily(
            "modeldeployment_decisions", "Decisions that were recorded as ModelVerdicts.", labels=(*MODEL, "outcome")
        )
        for model in models:
            for outcome in Outcome:
                key = (model.key.namespace, model.key.name, outcome.value)
                recorded.add_metric(key, self._decisions[model.key, outcome])
        yield recorded


class _All(Collector):
    """What the registry has, and what was made for this once."""

    def __init__(self, registry: CollectorRegistry, metrics: list[Metric]) -> None:
        self._registry = registry
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._registry.collect()
        yield from self._metrics


def _counter(registry: CollectorRegistry, what: str, help_text: str, labels: tuple[str, ...] = ()) -> Counter:
    return Counter(f"{_PREFIX}_{what}", help_text, labels, registry=registry)


def _gauge(registry: CollectorRegistry, what: str, help_text: str, source: Callable[[], float]) -> None:
    Gauge(f"{_PREFIX}_{what}", help_text, registry=registry).set_function(source)


def _histogram(registry: CollectorRegistry, what: str, help_text: str, labels: tuple[str, ...] = ()) -> Histogram:
    return Histogram(f"{_PREFIX}_{what}_seconds", help_text, labels, buckets=_BUCKETS, registry=registry)


def _tallied(name: str, help_text: str, tally: Tally[Key], models: Iterable[Model]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=MODEL)
    for model in models:
        family.add_metric((model.key.namespace, model.key.name), tally[model.key])
    return family
