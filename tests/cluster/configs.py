"""The components' configuration files. Pure: a cluster in, text out. (JSON is YAML too.)"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import cgroups
from tests.cluster.components import CONTAINERD_SOCKET
from tests.cluster.network import plan
from tests.cluster.state import Shape

if TYPE_CHECKING:
    from tests.cluster.state import Cluster

PAUSE_IMAGE = "localhost/pause:static"
PLUGIN_DIRECTORIES = ("/usr/lib/cni", "/opt/cni/bin")
"""Where Debian's package and the upstream archive put the network plugins."""


def kubeconfig(cluster: Cluster, user: str) -> str:
    """A kubeconfig with everything inside, so that it can be copied elsewhere."""
    pki = cluster.paths.pki

    def content(file: str) -> str:
        return base64.b64encode((pki / file).read_bytes()).decode()

    context = f"modelops-{cluster.name}"
    server = {"server": cluster.server, "certificate-authority-data": content("ca.crt")}
    credentials = {"client-certificate-data": content(f"{user}.crt"), "client-key-data": content(f"{user}.key")}
    return _json(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": context, "cluster": server}],
            "users": [{"name": user, "user": credentials}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
            "current-context": context,
        }
    )


def audit_policy() -> str:
    """Who did what to which object, without the objects' contents, once for each request."""
    return _json(
        {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata"}],
        }
    )


def kubelet(cluster: Cluster) -> str:
    """A calm kubelet: it evicts nothing and removes no image on a small or full disk, and notices changes quickly."""
    pki, addresses = cluster.paths.pki, plan(cluster.pods, cluster.services)
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": cluster.address,
            "port": cluster.ports["kubelet"],
            "authentication": {"x509": {"clientCAFile": str(pki / "ca.crt")}, "anonymous": {"enabled": False}},
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pki / "kubelet-serving.crt"),
            "tlsPrivateKeyFile": str(pki / "kubelet-serving.key"),
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "clusterDomain": "cluster.local",
            "clusterDNS": [str(addresses.dns)],
            "resolvConf": str(cluster.paths.config / "resolv.conf"),
            "podLogsDir": str(cluster.paths.data / "pod-logs"),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{cgroups.name(cluster.paths.key)}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "evictionHard": {"imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%"},
            "imageGCHighThresholdPercent": 100,
            "serializeImagePulls": False,
            "nodeStatusUpdateFrequency": "2s",
            "syncFrequency": "2s",  # so soon a pod sees a changed ConfigMap or Secret, such as Prometheus's rules
            "shutdownGracePeriod": "0s",
        }
    )


def kube_proxy(cluster: Cluster) -> str:
    """Service addresses by iptables. The upstream default of a second between syncs is kept: tests of how fast a
    rollback takes effect would otherwise flatter it.
    """
    return _json(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": cluster.pods,
            "clientConnection": {"kubeconfig": str(cluster.paths.config / "kube-proxy.kubeconfig")},
            "healthzBindAddress": f"{cluster.address}:{cluster.ports['kube-proxy']}",
            "metricsBindAddress": "127.0.0.1:10249",
            # The limit of connections is the machine's, and cannot be set from the cluster's namespaces.
            "conntrack": {"maxPerCore": 0, "min": 0},
        }
    )


def containerd(cluster: Cluster) -> str:
    """containerd's configuration, in the version that both 1.x and 2.x read."""
    paths = cluster.paths
    plugins = next((place for place in PLUGIN_DIRECTORIES if Path(place, "ptp").exists()), PLUGIN_DIRECTORIES[0])
    return f"""\
version = 2
root = {_toml(paths.containerd)}
state = "/run/containerd"

[grpc]
  address = {_toml(CONTAINERD_SOCKET)}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {_toml(PAUSE_IMAGE)}
  # Without the capability to lower its out-of-memory score, as within a virtual machine of little privilege, a pod's
  # first process would fail to start ("can't get final child's PID from pipe: EOF").
  restrict_oom_score_adj = true
  disable_apparmor = {"false" if Path("/sys/kernel/security/apparmor").exists() else "true"}
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {_toml(plugins)}
    conf_dir = {_toml(paths.config / "cni")}

[plugins."io.containerd.internal.v1.opt"]
  path = {_toml(paths.data / "opt")}
"""


def cni(cluster: Cluster) -> str:
    """Pods hang on cables of their own and the node routes between them.

    With a common bridge instead, an answer from a pod behind a Service to its neighbour would pass the node's address
    translation by, unless the kernel has br_netfilter.
    """
    addresses = plan(cluster.pods, cluster.services)
    address_management = {
        "type": "host-local",
        "ranges": [[{"subnet": str(addresses.pod_range)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": "/run/cni",
    }
    return _json(
        {
            "cniVersion": "0.4.0",
            "name": "pods",
            "plugins": [
                {"type": "ptp", "mtu": 1500, "ipMasq": False, "ipam": address_management},
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }
    )


def corefile(cluster: Cluster) -> str:
    """Names of the cluster only. Any other name is answered "no such name" at once: there is no way out, and a pod
    that asks for a name outside must not wait for a time-out.
    """
    config = cluster.paths.config
    return f"""\
cluster.local in-addr.arpa ip6.arpa {{
    bind {cluster.address}
    errors
    ready {cluster.address}:{cluster.ports["coredns"]}
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {config}/coredns.kubeconfig
        pods insecure
        ttl 5
    }}
    cache 5
}}
. {{
    bind {cluster.address}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def write_configs(cluster: Cluster) -> None:
    """Write every configuration file the cluster's shape needs."""
    paths = cluster.paths
    full = cluster.shape is Shape.FULL
    files = {paths.kubeconfig: kubeconfig(cluster, "admin"), paths.config / "audit.json": audit_policy()}
    for user in ["kube-controller-manager", "kube-scheduler", *(["kubelet", "kube-proxy", "coredns"] if full else [])]:
        files[paths.config / f"{user}.kubeconfig"] = kubeconfig(cluster, user)
    if full:
        files |= {
            paths.config / "kubelet.json": kubelet(cluster),
            paths.config / "kube-proxy.json": kube_proxy(cluster),
            paths.config / "containerd.toml": containerd(cluster),
            paths.config / "Corefile": corefile(cluster),
            paths.config / "resolv.conf": f"nameserver {plan(cluster.pods, cluster.services).dns}\n",
            paths.config / "cni" / "10-pods.conflist": cni(cluster),
        }
    for file, text in files.items():
        _write(file, text)


def _write(file: Path, text: str) -> None:
    """Write a file, unless it is as it should be: kube-proxy ends itself when its configuration is touched."""
    if file.exists() and file.read_text() == text:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)  # kubeconfigs hold keys
    file.write_text(text)


def _toml(value: object) -> str:
    return json.dumps(str(value))  # a JSON string is a TOML basic string


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"
