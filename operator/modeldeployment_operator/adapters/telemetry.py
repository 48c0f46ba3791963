"""The operator's own metrics, for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from modeldeployment_operator.api.status import Verdict
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Key, Observation

_OBJECT: Final = ("namespace", "name")


class Telemetry:
    """One registry, passed in: no global state."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.reconcile_seconds = Histogram(
            "modeldeployment_reconcile_duration_seconds",
            "Duration of a reconcile.",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            registry=registry,
        )
        self.reconcile_errors = Counter(
            "modeldeployment_reconcile_errors", "Reconciles that failed and are tried again.", registry=registry
        )
        self.queue_length = Gauge(
            "modeldeployment_queue_length", "ModelDeployments that wait for a worker.", registry=registry
        )
        self._rollbacks = Counter(
            "modeldeployment_rollbacks", "Revisions that were taken back.", _OBJECT, registry=registry
        )
        self._degraded = Gauge(
            "modeldeployment_degraded", "Whether the revision that serves is proven worse.", _OBJECT, registry=registry
        )
        self._evidence = Gauge(
            "modeldeployment_evidence_ratio",
            "Evidence that the revision that serves is degraded, as a share of proof.",
            _OBJECT,
            registry=registry,
        )

    def observe(self, observation: Observation, judged: Mapping[str, Judged], decision: Decision) -> None:
        """Take note of a reconcile."""
        labels = (observation.key.namespace, observation.key.name)
        rollbacks = self._rollbacks.labels(*labels)
        if decision.rejection is not None:
            rollbacks.inc()
        serving = judged.get(decision.serving or "")
        self._degraded.labels(*labels).set(serving is not None and serving.verdict is Verdict.DEGRADED)
        proof = serving.log_e / serving.level.proof if serving and serving.level else 0.0
        self._evidence.labels(*labels).set(max(0.0, proof))

    def forget(self, key: Key) -> None:
        """Drop the series of a ModelDeployment that is gone."""
        for metric in (self._rollbacks, self._degraded, self._evidence):
            metric.remove_by_labels(dict(zip(_OBJECT, (key.namespace, key.name), strict=True)))
