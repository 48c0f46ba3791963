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
_PODS = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods?labelSelector=app.kubernetes.io/name%3D{OPERATOR}"
SECONDS = 120


@dataclass(frozen=True)
class OperatorPod:
    """One operator and its pod, of which there is none at times."""

    cluster: Cluster
    kubectl: Kubectl

    def pods(self) -> list[dict[str, Any]]:
        """Return its pods, also those on their way out."""
        items: list[dict[str, Any]] = (api.get(self.cluster, _PODS) or {})["items"]
        return items

    def is_rolled_out(self) -> bool:
        """Whether the Deployment's only pod is a ready one of its latest template."""
        found = api.get(self.cluster, _DEPLOYMENT) or {}
        status = found.get("status", {})
        counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")}
        seen = status.get("observedGeneration") == found["metadata"]["generation"]
        return seen and counts == {found["spec"]["replicas"]} and len(self.pods()) == found["spec"]["replicas"]

    def wait_ready(self) -> None:
        """Wait until it works, or until it is gone if that is what was asked for."""
        wait_until(self.is_rolled_out, "the operator is as its Deployment says", seconds=SECONDS, explain=self.explain)

    def kill(self) -> None:
        """Send SIGKILL to its process: nothing is finished, nothing is said. Return when the process is gone."""
        container = self._container()["containerID"].removeprefix("containerd://")
        client = [*processes.inside(self.cluster), "ctr", "--namespace", "k8s.io", "tasks"]
        environment = processes.environment(self.cluster.paths, "ctr")
        subprocess.run([*client, "kill", "--signal", "SIGKILL", container], env=environment, check=True)
        wait_until(
            lambda: (
                self._container().get("containerID", "") != f"containerd://{container}"
                or "running" not in self._container()["state"]
            ),
            "the kubelet has noticed the end of the operator's process",
            seconds=SECONDS,
        )

    def come_back(self) -> None:
        """Wait until it works again after a kill.

        The kubelet starts a container again at once, but only the first time: then it waits, longer each time. Its
        pod is replaced instead, as somebody would who does not want to wait.
        """
        pod = self.pods()[0]
        if self._container()["restartCount"] > 0:
            self.kubectl.delete("pod", pod["metadata"]["name"], "--namespace", OPERATOR_NAMESPACE, "--grace-period=1")
        self.wait_ready()

    def scale(self, replicas: int) -> None:
        """Take it away (0) or bring it back (1), and wait until that is so."""
        words = ("scale", f"deployment/{OPERATOR}", f"--replicas={replicas}", "--namespace", OPERATOR_NAMESPACE)
        self.kubectl.run(*words)
        self.wait_ready()

    def explain(self) -> str:
        """Return what helps to understand why it does not do what it should."""
        words = ("logs", f"deployment/{OPERATOR}", "--namespace", OPERATOR_NAMESPACE, "--tail=30")
        return f"the operator: {[pod['status'] for pod in self.pods()]}\n{self.kubectl.run(*words)}"

    def _container(self) -> dict[str, Any]:
        container: dict[str, Any] = self.pods()[0]["status"]["containerStatuses"][0]
        return container
