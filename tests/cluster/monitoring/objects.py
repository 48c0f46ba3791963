"""The objects of the stack. Pure: images in, API paths and objects out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.cluster.monitoring import programs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.cluster.monitoring.programs import Image, Source

NAMESPACE = "monitoring"
RELEASE = "kube-prometheus-stack"
SELECTED = {"release": RELEASE}
"""Labels by which Prometheus selects ServiceMonitors and PrometheusRules, in all namespaces."""
OPERATOR_NAME = f"{RELEASE}-operator"
PROMETHEUS = f"{RELEASE}-prometheus"
"""Name of the object, its ServiceAccount and its Service."""
PROMETHEUS_PORT = 9090
ALERTMANAGER = f"{RELEASE}-alertmanager"
"""Name of the object and its Service."""
ALERTMANAGER_PORT = 9093
INTERVAL = "1s"
"""Of scrapes that name none, and of rules: a test waits seconds for what takes a minute in a cluster of many nodes."""

GROUP = "monitoring.coreos.com"
_CUSTOM = f"/apis/{GROUP}/v1/namespaces/{NAMESPACE}"
_CORE = f"/api/v1/namespaces/{NAMESPACE}"
_ROLES = "/apis/rbac.authorization.k8s.io/v1"
_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_USER = {"runAsNonRoot": True, "runAsUser": 1000, "runAsGroup": 2000, "fsGroup": 2000}
_ALL = ["*"]
_READ = ["get", "list", "watch"]

Objects = list[tuple[str, dict[str, Any]]]


def operator(images: Mapping[Source, Image]) -> Objects:
    """The Prometheus Operator, with the rights that its own manifests give it."""
    labels = {"app.kubernetes.io/name": programs.OPERATOR.name}
    container = {
        "name": programs.OPERATOR.name,
        "image": images[programs.OPERATOR].name,
        "args": [
            f"--prometheus-config-reloader={images[programs.RELOADER].name}",
            "--config-reloader-cpu-request=0",
            "--kubelet-endpoints=false",
        ],
        "resources": {"requests": {"memory": "64Mi"}},
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
        "securityContext": _RESTRICTED,
    }
    pod = {
        "serviceAccountName": OPERATOR_NAME,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534},
        "containers": [container],
    }
    return [
        (_CORE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        *_rights(OPERATOR_NAME, _OPERATOR_RULES),
        (
            f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{OPERATOR_NAME}",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": OPERATOR_NAME, "namespace": NAMESPACE, "labels": labels},
                "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                },
            },
        ),
    ]


def servers(images: Mapping[Source, Image]) -> Objects:
    """Prometheus and Alertmanager, and the Services that lead to them."""
    return [
        *_rights(PROMETHEUS, _PROMETHEUS_RULES),
        _custom("Prometheus", PROMETHEUS, _prometheus(images[programs.PROMETHEUS])),
        _service(PROMETHEUS, PROMETHEUS_PORT, "prometheus"),
        _custom("Alertmanager", ALERTMANAGER, _alertmanager(images[programs.ALERTMANAGER])),
        _service(ALERTMANAGER, ALERTMANAGER_PORT, "alertmanager"),
    ]


def _prometheus(image: Image) -> dict[str, Any]:
    """As the chart makes it, but for the intervals, the memory, and a probe that does not wait 15 seconds."""
    selector = {"matchLabels": SELECTED}
    return {
        "image": image.name,
        "version": image.version,
        "replicas": 1,
        "serviceAccountName": PROMETHEUS,
        "securityContext": _USER,
        "resources": {"requests": {"memory": "128Mi"}},
        "retention": "1d",
        "scrapeInterval": INTERVAL,
        "evaluationInterval": INTERVAL,
        "enableFeatures": ["exemplar-storage", "native-histograms"],
        "serviceMonitorSelector": selector,
        "serviceMonitorNamespaceSelector": {},
        "podMonitorSelector": selector,
        "podMonitorNamespaceSelector": {},
        "probeSelector": selector,
        "probeNamespaceSelector": {},
        "ruleSelector": selector,
        "ruleNamespaceSelector": {},
        "alerting": {
            "alertmanagers": [
                {
                    "namespace": NAMESPACE,
                    "name": ALERTMANAGER,
                    "port": "http-web",
                    "pathPrefix": "/",
                    "apiVersion": "v2",
                }
            ]
        },
        "containers": [{"name": "prometheus", "startupProbe": {"periodSeconds": 1, "failureThreshold": 900}}],
    }


def _alertmanager(image: Image) -> dict[str, Any]:
    return {
        "image": image.name,
        "version": image.version,
        "replicas": 1,
        "securityContext": _USER,
        "resources": {"requests": {"memory": "32Mi"}},
        "containers": [{"name": "alertmanager", "readinessProbe": {"initialDelaySeconds": 0, "periodSeconds": 1}}],
    }


def _custom(kind: str, name: str, spec: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    plural = {"Prometheus": "prometheuses", "Alertmanager": "alertmanagers"}[kind]
    metadata = {"name": name, "namespace": NAMESPACE, "labels": SELECTED}
    return (
        f"{_CUSTOM}/{plural}/{name}",
        {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, "spec": spec},
    )


def _service(name: str, port: int, kind: str) -> tuple[str, dict[str, Any]]:
    return (
        f"{_CORE}/services/{name}",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "selector": {"app.kubernetes.io/name": kind, "app.kubernetes.io/instance": name},
                "ports": [{"name": "http-web", "port": port, "targetPort": port}],
            },
        },
    )


def _rights(account: str, rules: list[dict[str, Any]]) -> Objects:
    """A ServiceAccount, and what it may do in the whole cluster."""
    group = "rbac.authorization.k8s.io"
    return [
        (
            f"{_CORE}/serviceaccounts/{account}",
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": account, "namespace": NAMESPACE},
            },
        ),
        (
            f"{_ROLES}/clusterroles/{account}",
            {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": account}, "rules": rules},
        ),
        (
            f"{_ROLES}/clusterrolebindings/{account}",
            {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": account},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": account},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
            },
        ),
    ]


def _may(group: str, resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


_OPERATOR_RULES = [
    _may(GROUP, _ALL, _ALL),
    _may("apps", ["statefulsets"], _ALL),
    _may("", ["configmaps", "secrets"], _ALL),
    _may("", ["pods"], ["list", "delete"]),
    _may("", ["services", "services/finalizers", "endpoints"], ["get", "create", "update", "delete"]),
    _may("", ["nodes"], ["list", "watch"]),
    _may("", ["namespaces"], _READ),
    _may("", ["events"], ["patch", "create"]),
    _may("networking.k8s.io", ["ingresses"], _READ),
    _may("storage.k8s.io", ["storageclasses"], ["get"]),
]
_PROMETHEUS_RULES = [
    _may("", ["nodes", "nodes/metrics", "services", "endpoints", "pods"], _READ),
    _may("", ["configmaps"], ["get"]),
    _may("discovery.k8s.io", ["endpointslices"], _READ),
    _may("networking.k8s.io", ["ingresses"], _READ),
    {"nonResourceURLs": ["/metrics", "/metrics/cadvisor"], "verbs": ["get"]},
]
