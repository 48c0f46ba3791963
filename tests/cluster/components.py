"""The command line of every component. Pure: a cluster in, arguments out."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from tests.cluster.network import plan
from tests.cluster.state import Shape

if TYPE_CHECKING:
    from tests.cluster.state import Cluster

PORTS_OF_FULL = {
    "apiserver": 6443,
    "etcd": 2379,
    "etcd-peer": 2380,
    "kube-controller-manager": 10257,
    "kube-scheduler": 10259,
    "kubelet": 10250,
    "kube-proxy": 10256,
    "coredns": 8181,
}
"""The customary ports: a full cluster has an address of its own. A control plane alone takes free ones of 127.0.0.1."""
PORTS_OF_CONTROL_PLANE = [name for name in PORTS_OF_FULL if name not in {"kubelet", "kube-proxy", "coredns"}]

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
"""In the cluster's own /run."""


@dataclasses.dataclass(frozen=True)
class Component:
    """One process and the sign that it works."""

    name: str
    command: list[str]
    health: str = ""
    """URL that answers 200 once it works; empty if there is another sign."""


def etcd(cluster: Cluster) -> Component:
    """The store. Its traffic is unencrypted and stays on the loopback interface, the cluster's own for the full shape.

    Without fsync it starts and writes several times faster. That risks the data only if the machine loses power.
    """
    client = f"http://127.0.0.1:{cluster.ports['etcd']}"
    peer = f"http://127.0.0.1:{cluster.ports['etcd-peer']}"
    arguments = {
        "name": "default",
        "data-dir": cluster.paths.data / "etcd",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "log-level": "warn",
        "unsafe-no-fsync": "true",
        # One member elects itself after this many milliseconds; the default is a second.
        "heartbeat-interval": 10,
        "election-timeout": 100,
    }
    # The API server is not ready before etcd is, and needs no other sign.
    return Component("etcd", _command(cluster, "etcd", arguments))


def apiserver(cluster: Cluster) -> Component:
    """The API server, with the authorization that a production cluster has."""
    pki = cluster.paths.pki
    audit: dict[str, object] = {}
    if cluster.audit:
        audit = {
            "audit-log-path": cluster.paths.audit_log,
            "audit-policy-file": cluster.paths.config / "audit.json",
            "audit-log-maxsize": 10_000,  # Megabytes: who counts requests wants them in one file.
        }
    arguments = {
        "bind-address": cluster.address,
        "advertise-address": cluster.address,
        "secure-port": cluster.ports["apiserver"],
        "etcd-servers": f"http://127.0.0.1:{cluster.ports['etcd']}",
        "service-cluster-ip-range": cluster.services,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "client-ca-file": pki / "ca.crt",
        "tls-cert-file": pki / "apiserver.crt",
        "tls-private-key-file": pki / "apiserver.key",
        "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
        "service-account-key-file": pki / "service-accounts.key",
        "service-account-signing-key-file": pki / "service-accounts.key",
        "kubelet-certificate-authority": pki / "ca.crt",
        "kubelet-client-certificate": pki / "apiserver-kubelet.crt",
        "kubelet-client-key": pki / "apiserver-kubelet.key",
        # `kubectl logs` and `exec` must not need the node's name to be resolvable.
        "kubelet-preferred-address-types": "InternalIP",
        **audit,
    }
    if cluster.shape is Shape.CONTROL_PLANE:
        # The Service `kubernetes` may not point to a loopback address, and there is no pod that would use it.
        arguments["endpoint-reconciler-type"] = "none"
    return Component("kube-apiserver", _command(cluster, "kube-apiserver", arguments), f"{cluster.server}/readyz")


def controller_manager(cluster: Cluster) -> Component:
    """All default controllers, garbage collection and the root CA's ConfigMap among them."""
    pki = cluster.paths.pki
    arguments = {
        **_client(cluster, "kube-controller-manager"),
        "root-ca-file": pki / "ca.crt",
        "service-account-private-key-file": pki / "service-accounts.key",
        "use-service-account-credentials": "true",
        "cluster-signing-cert-file": pki / "ca.crt",
        "cluster-signing-key-file": pki / "ca.key",
        "concurrent-deployment-syncs": 20,
        "concurrent-replicaset-syncs": 20,
    }
    return _with_health(cluster, "kube-controller-manager", arguments)


def scheduler(cluster: Cluster) -> Component:
    """The scheduler."""
    return _with_health(cluster, "kube-scheduler", _client(cluster, "kube-scheduler"))


def containerd(cluster: Cluster) -> Component:
    """Debian's containerd; `ctr version` tells when it works."""
    return Component("containerd", ["containerd", "--config", str(cluster.paths.config / "containerd.toml")])


def kubelet(cluster: Cluster) -> Component:
    """The node's agent; the node's condition Ready tells when it works."""
    arguments = {
        "config": cluster.paths.config / "kubelet.json",
        "kubeconfig": cluster.paths.config / "kubelet.kubeconfig",
        "hostname-override": cluster.name,
        "node-ip": cluster.address,
    }
    return Component("kubelet", _command(cluster, "kubelet", arguments))


def proxy(cluster: Cluster) -> Component:
    """Turns Services' cluster addresses into pods' addresses, in the cluster's own network namespace."""
    arguments = {"config": cluster.paths.config / "kube-proxy.json", "hostname-override": cluster.name}
    health = f"http://{cluster.address}:{cluster.ports['kube-proxy']}/healthz"
    return Component("kube-proxy", _command(cluster, "kube-proxy", arguments), health)


def coredns(cluster: Cluster) -> Component:
    """DNS for Services; a process on the node rather than a pod, as its image could not be pulled."""
    command = [cluster.executable, "coredns", "-conf", str(cluster.paths.config / "Corefile")]
    return Component("coredns", command, f"http://{cluster.address}:{cluster.ports['coredns']}/ready")


def names(shape: Shape) -> list[str]:
    """The components of a shape in the order of their start."""
    control_plane = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    if shape is Shape.CONTROL_PLANE:
        return control_plane
    return ["containerd", *control_plane, "kubelet", "kube-proxy", "coredns"]


def host_names(cluster: Cluster) -> list[str]:
    """Every name and address under which clients reach the API server."""
    within = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    first_service = str(plan("10.0.0.0/16", cluster.services).kubernetes)
    return [cluster.address, "127.0.0.1", "localhost", first_service, *within]


def _client(cluster: Cluster, name: str) -> dict[str, object]:
    """What controller manager and scheduler share. There is one of each, so no leader has to be elected."""
    kubeconfig = cluster.paths.config / f"{name}.kubeconfig"
    return {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "authentication-skip-lookup": "true",
        "leader-elect": "false",
        "bind-address": cluster.address,
        "secure-port": cluster.ports[name],
        # The defaults (20 and 30 requests a second) would be most of what a test of many objects measures.
        "kube-api-qps": 2000,
        "kube-api-burst": 4000,
    }


def _with_health(cluster: Cluster, name: str, arguments: dict[str, object]) -> Component:
    return Component(
        name, _command(cluster, name, arguments), f"https://{cluster.address}:{cluster.ports[name]}/healthz"
    )


def _command(cluster: Cluster, program: str, arguments: dict[str, object]) -> list[str]:
    return [cluster.executable, program, *(f"--{name}={value}" for name, value in arguments.items())]
