"""Objects that a cluster with pods needs from the start. Pure: a cluster in, API paths and objects out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.cluster.network import plan

if TYPE_CHECKING:
    from tests.cluster.state import Cluster

_DNS = "kube-dns"
_ROLES = "/apis/rbac.authorization.k8s.io/v1"


def objects(cluster: Cluster) -> list[tuple[str, dict[str, Any]]]:
    """The rights of CoreDNS, and the Service under which pods find it.

    CoreDNS is a process of the node, so its Service has no selector and its endpoint is written by hand.
    """
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"}
    user = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:coredns"}
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    in_system = {"name": _DNS, "namespace": "kube-system"}
    return [
        (
            f"{_ROLES}/clusterroles/system:coredns",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRole",
                "metadata": {"name": "system:coredns"},
                "rules": [
                    _may_read("", ["endpoints", "services", "pods", "namespaces"]),
                    _may_read("discovery.k8s.io", ["endpointslices"]),
                ],
            },
        ),
        (
            f"{_ROLES}/clusterrolebindings/system:coredns",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "system:coredns"},
                "roleRef": role,
                "subjects": [user],
            },
        ),
        (
            f"/api/v1/namespaces/kube-system/services/{_DNS}",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": in_system,
                "spec": {"clusterIP": str(plan(cluster.pods, cluster.services).dns), "ports": ports},
            },
        ),
        (
            f"/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/{_DNS}",
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {**in_system, "labels": {"kubernetes.io/service-name": _DNS}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [cluster.address], "conditions": {"ready": True}}],
                "ports": ports,
            },
        ),
    ]


def _may_read(group: str, resources: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]}
