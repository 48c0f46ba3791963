"""How a Prometheus Operator learns of the pods, and when Prometheus tells that something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from model_server import contract

from modeldeployment_operator.api import group
from modeldeployment_operator.core import names
from modeldeployment_operator.core.alerts import alerts
from modeldeployment_operator.core.alerts.subject import Alert
from modeldeployment_operator.core.kinds import PROMETHEUS_RULE, SERVICE_MONITOR, Kind
from modeldeployment_operator.core.observation import Key, Observation
from modeldeployment_operator.core.resources.metadata import Manifest, build_object
from modeldeployment_operator.core.text import span


def build_service_monitor(observation: Observation) -> Manifest:
    """Return a ServiceMonitor of all revisions' pods; which model and revision they are, their targets' labels say."""
    settings = observation.spec.monitoring.service_monitor
    monitor = build_object(observation, SERVICE_MONITOR, observation.key.name, labels=settings.labels)
    selector = {names.NAME_LABEL: observation.key.name, names.ROLE_LABEL: names.ROLE_REVISION}
    endpoint: dict[str, Any] = {
        "port": contract.ADMIN_PORT_NAME,
        "path": contract.METRICS_PATH,
        "interval": settings.interval,
        # What a serving image says of its model is not believed: it could count labels for another (decision 0008).
        "honorLabels": False,
        "relabelings": [*_OWN_RELABELINGS, *(settings.relabelings or ())],
    }
    if settings.scrape_timeout:
        endpoint["scrapeTimeout"] = settings.scrape_timeout
    if settings.metric_relabelings:
        endpoint["metricRelabelings"] = settings.metric_relabelings
    return monitor | {"spec": {"selector": {"matchLabels": selector}, "endpoints": [endpoint]}}


def build_prometheus_rule(observation: Observation) -> Manifest:
    """Return a PrometheusRule with the model's alerts."""
    settings = observation.spec.monitoring.prometheus_rule
    rule = build_object(observation, PROMETHEUS_RULE, observation.key.name, labels=settings.labels)
    rules = [_rule(observation.key, alert) for alert in alerts(observation)]
    return rule | {"spec": {"groups": [{"name": f"{group.SINGULAR}.{observation.key.name}", "rules": rules}]}}


BUILDERS: Final[Mapping[Kind, Callable[[Observation], Manifest]]] = {
    SERVICE_MONITOR: build_service_monitor,
    PROMETHEUS_RULE: build_prometheus_rule,
}
"""How each optional kind is built."""


def _pod_label(label: str) -> str:
    """Return under which name Prometheus finds a label of a pod."""
    return "__meta_kubernetes_pod_label_" + label.replace(".", "_").replace("/", "_")


_OWN_RELABELINGS: Final = (
    # A pod that does not run yet has an address already, but until its model is being fetched nothing listens there.
    {"action": "keep", "sourceLabels": ["__meta_kubernetes_pod_phase"], "regex": "Running"},
    {"action": "replace", "sourceLabels": [_pod_label(names.NAME_LABEL)], "targetLabel": "model"},
    {"action": "replace", "sourceLabels": [_pod_label(names.REVISION_LABEL)], "targetLabel": "revision"},
)


def _rule(key: Key, alert: Alert) -> dict[str, Any]:
    lasting = {"for": span(alert.lasting)} if alert.lasting else {}
    return {
        "alert": alert.name,
        "expr": alert.expression,
        **lasting,
        "labels": {"severity": alert.severity.value, "namespace": key.namespace, "model": key.name},
        "annotations": {"summary": alert.summary, "description": alert.description, "runbook": alert.runbook},
    }
