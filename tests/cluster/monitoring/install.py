"""Installs the stack, or what is missing of it. Every step looks at what is there first."""

from __future__ import annotations

import dataclasses
import functools
import time
from typing import TYPE_CHECKING

from tests.cluster import api, requirements
from tests.cluster.console import step
from tests.cluster.errors import ClusterError
from tests.cluster.monitoring import objects, programs
from tests.cluster.state import Cluster, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.cluster.monitoring.programs import Image, Source

SECONDS = 180
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_VERSION = "operator.prometheus.io/version"
_WORKLOADS = f"/apis/apps/v1/namespaces/{objects.NAMESPACE}"


@dataclasses.dataclass(frozen=True)
class Installed:
    """Where the stack is reached. All URLs are without a slash at the end."""

    prometheus: str
    """By the Service's cluster address, from the machine and from pods."""
    alertmanager: str
    prometheus_by_name: str
    """By the Service's name, from pods."""


def install(cluster: Cluster) -> Installed:
    """Install the stack; return when Prometheus and Alertmanager answer. Raises ClusterError."""
    if cluster.shape is not Shape.FULL:
        raise ClusterError(
            f"The cluster {cluster.name} is a control plane alone, and Prometheus runs in pods. "
            f"Make one with pods: `python3 -m tests.cluster up --shape full --name {cluster.name}-full`."
        )
    requirements.check_rights("Importing an image enters the cluster's namespaces")
    images = programs.images()
    for image in images.values():
        programs.give(cluster, image)
    _define(cluster)
    with step("start the Prometheus Operator"):
        _start_operator(cluster, images)
    with step("start Prometheus and Alertmanager"):
        return _start_servers(cluster, images)


def _define(cluster: Cluster) -> None:
    """Bring the kinds to the operator's version."""
    version = programs.OPERATOR.version
    files = {f"{file.stem.partition('_')[2]}.{objects.GROUP}": file for file in programs.definitions()}
    stale = {name: file for name, file in files.items() if _version_of(cluster, name) != version}
    if not stale:
        return
    with step(f"define {len(stale)} kinds of the Prometheus Operator {version}"):
        for name, file in stale.items():
            api.apply(cluster, f"{_DEFINITIONS}/{name}", file.read_bytes())
        for name in stale:
            _wait(cluster, functools.partial(_is_established, cluster, name), f"The kind {name} is not established")


def _version_of(cluster: Cluster, definition: str) -> str:
    found = api.get(cluster, f"{_DEFINITIONS}/{definition}") or {"metadata": {}}
    return str(found["metadata"].get("annotations", {}).get(_VERSION, ""))


def _is_established(cluster: Cluster, definition: str) -> bool:
    """Whether objects of the kind can be made, and are found where the API is looked through."""
    found = api.get(cluster, f"{_DEFINITIONS}/{definition}") or {}
    conditions = {one["type"]: one["status"] for one in found.get("status", {}).get("conditions", [])}
    served = api.get(cluster, f"/apis/{objects.GROUP}/v1") or {"resources": []}
    plural = definition.partition(".")[0]
    versions = [version["name"] for version in found.get("spec", {}).get("versions", [])]
    return conditions.get("Established") == "True" and (
        "v1" not in versions or plural in {resource["name"] for resource in served["resources"]}
    )


def _start_operator(cluster: Cluster, images: Mapping[Source, Image]) -> None:
    for path, wanted in objects.operator(images):
        api.apply(cluster, path, wanted)
    ready = functools.partial(_is_rolled_out, cluster, f"deployments/{objects.OPERATOR_NAME}")
    _wait(cluster, ready, "The Prometheus Operator is not ready")


def _start_servers(cluster: Cluster, images: Mapping[Source, Image]) -> Installed:
    for path, wanted in objects.servers(images):
        api.apply(cluster, path, wanted)
    for name in (f"prometheus-{objects.PROMETHEUS}", f"alertmanager-{objects.ALERTMANAGER}"):
        ready = functools.partial(_is_rolled_out, cluster, f"statefulsets/{name}")
        _wait(cluster, ready, f"The pod {name}-0 is not ready")
    found = _installed(cluster)
    for url in (found.prometheus, found.alertmanager):
        _wait(cluster, functools.partial(api.answers, f"{url}/-/ready"), f"{url} does not answer")
    return found


def _is_rolled_out(cluster: Cluster, workload: str) -> bool:
    found = api.get(cluster, f"{_WORKLOADS}/{workload}")
    if not found:
        return False
    status, wanted = found.get("status", {}), found["spec"]["replicas"]
    counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")}
    return counts == {wanted} and status.get("observedGeneration") == found["metadata"]["generation"]


def _installed(cluster: Cluster) -> Installed:
    prometheus, alertmanager = (
        f"http://{_address(cluster, name)}:{port}"
        for name, port in (
            (objects.PROMETHEUS, objects.PROMETHEUS_PORT),
            (objects.ALERTMANAGER, objects.ALERTMANAGER_PORT),
        )
    )
    by_name = f"http://{objects.PROMETHEUS}.{objects.NAMESPACE}.svc:{objects.PROMETHEUS_PORT}"
    return Installed(prometheus, alertmanager, by_name)


def _address(cluster: Cluster, service: str) -> str:
    found = api.get(cluster, f"/api/v1/namespaces/{objects.NAMESPACE}/services/{service}")
    if not found:
        raise ClusterError(f"There is no Service {service} in {objects.NAMESPACE}; somebody removed it. Try again.")
    return str(found["spec"]["clusterIP"])


def _wait(cluster: Cluster, holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise ClusterError(
                f"{otherwise} after {SECONDS} s.{_trouble(cluster)} See more: `kubectl --namespace "
                f"{objects.NAMESPACE} logs deployment/{objects.OPERATOR_NAME}`."
            )
        time.sleep(0.1)


def _trouble(cluster: Cluster) -> str:
    """What keeps containers from running, in the kubelet's words."""
    pods = (api.get(cluster, f"/api/v1/namespaces/{objects.NAMESPACE}/pods") or {"items": []})["items"]
    said = ""
    for pod in pods:
        status = pod.get("status", {})
        for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
            for state in (container["state"].get("waiting"), container.get("lastState", {}).get("terminated")):
                if state:
                    name = f"{pod['metadata']['name']}/{container['name']}"
                    said += f"\n{name}: {state.get('reason')}: {state.get('message', '')}"
    return said
