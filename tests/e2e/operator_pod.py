"""The operator in its pod: looked at, killed, taken away and brought back."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.cluster import api, processes
from tests.demo.workspace import OPERATOR, OPERATOR_NAMESPACE
from tests.e2e.waiting import wait_until

if TYPE_CHECKING:
    from tests.cluster import Cluster
    from tests.demo.kubectl import Kubectl

_DEPLOYMENT = f"/apis/apps/v1/namespaces/{OPERATOR_NAMESPACE}/deployments/{OPERATOR}"
_LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR_NAMESPACE}/leases/{OPERATOR}-leader"
_PODS = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods?labelSelector=app.kubernetes.io/name%3D{OPERATOR}"
SECONDS = 120


@dataclass(frozen=True)
class OperatorPod:
    """The operator's replicas and their pods, of which there are none at times."""

    cluster: Cluster
    kubectl: Kubectl

    def pods(self) -> list[dict[str, Any]]:
        """Return its pods, also those on their way out."""
        items: list[dict[str, Any]] = (api.get(self.cluster, _PODS) or {})["items"]
        return items

    def leader(self) -> str:
        """Return the name of the pod that acts; empty if none does."""
        return str((api.get(self.cluster, _LEASE) or {"spec": {}})["spec"].get("holderIdentity") or "")

    def is_rolled_out(self) -> bool:
        """Whether the Deployment's pods are ready ones of its latest template."""
        found = api.get(self.cluster, _DEPLOYMENT) or {}
        status = found.get("status", {})
        counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")}
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return seen and counts == {found["spec"]["replicas"]} and len(self.pods()) == found["spec"]["replicas"]

    def wait_ready(self) -> None:
        """Wait until it works, or until it is gone if that is what was asked for."""
        wait_until(self._works, "the operator is as its Deployment says", seconds=SECONDS, explain=self.explain)

    def kill(self) -> str:
        """Send SIGKILL to the process that acts: nothing is finished, nothing is said.

        Return the name of its pod when the process is gone.
        """
        pod = self.leader()
        container = self._container(pod).get("containerID", "").removeprefix("containerd://")
        client = [*processes.inside(self.cluster), "ctr", "--namespace", "k8s.io", "tasks"]
        environment = processes.environment(self.cluster.paths, "ctr")
        subprocess.run([*client, "kill", "--signal", "SIGKILL", container], env=environment, check=True)
        wait_until(
            lambda: (
                self._container(pod).get("containerID", "") != f"containerd://{container}"
                or "running" not in self._container(pod)["state"]
            ),
            "the kubelet has noticed the end of the operator's process",
            seconds=SECONDS,
        )
        return pod

    def remove(self, pod: str) -> None:
        """Take a pod away at once, as when its node is gone."""
        self.kubectl.delete("pod", pod, "--namespace", OPERATOR_NAMESPACE, "--grace-period=0", "--force")

    def come_back(self, pod: str) -> None:
        """Wait until all replicas work again after a kill in a pod.

        The kubelet starts a container again at once, but only the first time: then it waits, longer each time. Its
        pod is replaced instead, as somebody would who does not want to wait.
        """
        if self._container(pod).get("restartCount", 0) > 0:
            self.kubectl.delete("pod", pod, "--namespace", OPERATOR_NAMESPACE, "--grace-period=1")
        self.wait_ready()

    def scale(self, replicas: int) -> None:
        """Take it away (0) or bring replicas of it back, and wait until that is so."""
        words = ("scale", f"deployment/{OPERATOR}", f"--replicas={replicas}", "--namespace", OPERATOR_NAMESPACE)
        self.kubectl.run(*words)
        self.wait_ready()

    def explain(self) -> str:
        """Return what helps to understand why it does not do what it should."""
        words = ("logs", f"deployment/{OPERATOR}", "--namespace", OPERATOR_NAMESPACE, "--tail=30", "--all-pods=true")
        pods = [pod["status"] for pod in self.pods()]
        return f"the operator, led by {self.leader() or 'nobody'}: {pods}\n{self.kubectl.run(*words)}"

    def _works(self) -> bool:
        names = {pod["metadata"]["name"] for pod in self.pods()}
        return self.is_rolled_out() and (not names or self.leader() in names)

    def _container(self, pod: str) -> dict[str, Any]:
        """Return what is known of a pod's container; nothing if there is no such pod."""
        found = [one["status"] for one in self.pods() if one["metadata"]["name"] == pod]
        containers: list[dict[str, Any]] = found[0].get("containerStatuses", [{}]) if found else [{}]
        return containers[0]
