"""The kinds of objects that the operator makes and watches, and where the API serves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from modeldeployment_operator.api import group
from modeldeployment_operator.api.verdict import VERDICT_KIND, VERDICT_PLURAL


@dataclass(frozen=True)
class Kind:
    """A kind of the Kubernetes API."""

    group: str
    version: str
    kind: str
    plural: str

    @property
    def api_version(self) -> str:
        """As an object writes it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of one object, of a namespace's, or of all of the cluster."""
        parts = ["/apis" if self.group else "/api", self.api_version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts += [self.plural, *(part for part in (name, subresource) if part is not None)]
        return "/".join(parts)


MODEL_DEPLOYMENT: Final = Kind(group.GROUP, group.VERSION, group.KIND, group.PLURAL)
MODEL_VERDICT: Final = Kind(group.GROUP, group.VERSION, VERDICT_KIND, VERDICT_PLURAL)
CONTROLLER_REVISION: Final = Kind("apps", "v1", "ControllerRevision", "controllerrevisions")
DEPLOYMENT: Final = Kind("apps", "v1", "Deployment", "deployments")
SERVICE: Final = Kind("", "v1", "Service", "services")
POD: Final = Kind("", "v1", "Pod", "pods")
POD_DISRUPTION_BUDGET: Final = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
AUTOSCALER: Final = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
NETWORK_POLICY: Final = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
SECRET: Final = Kind("", "v1", "Secret", "secrets")
EVENT: Final = Kind("", "v1", "Event", "events")
LEASE: Final = Kind("coordination.k8s.io", "v1", "Lease", "leases")
SERVICE_MONITOR: Final = Kind("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors")
PROMETHEUS_RULE: Final = Kind("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
HTTP_ROUTE: Final = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")

WATCHED: Final = (
    CONTROLLER_REVISION,
    DEPLOYMENT,
    SERVICE,
    POD,
    POD_DISRUPTION_BUDGET,
    AUTOSCALER,
    NETWORK_POLICY,
    MODEL_VERDICT,
)
"""Kinds of children that every cluster has, and records of decisions; a Secret is only written."""
MONITORING: Final = (SERVICE_MONITOR, PROMETHEUS_RULE)
"""Kinds of the Prometheus Operator."""
OPTIONAL: Final = (*MONITORING, HTTP_ROUTE)
"""Kinds of children that come and go with what others install. Serving never depends on them."""

_BY_NAME: Final = {kind.kind: kind for kind in (*WATCHED, *OPTIONAL, SECRET, EVENT, MODEL_DEPLOYMENT)}


def kind_of(manifest: dict[str, Any]) -> Kind:
    """Return the kind of an object that the operator made."""
    return _BY_NAME[manifest["kind"]]
