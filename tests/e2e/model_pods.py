"""The pods of one ModelDeployment, each by itself: asked for what it counted, stopped and let go on."""

from __future__ import annotations

import base64
import json
import subprocess
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.cluster import processes
from tests.e2e.clients import Client

if TYPE_CHECKING:
    from tests.cluster import Cluster
    from tests.e2e.deployments import ModelDeployment

ADMIN_PORT = 8502
SERVER = "server"


@dataclass(frozen=True)
class ModelPod:
    """One pod that runs."""

    cluster: Cluster
    model: str
    name: str
    revision: str
    address: str
    container: str
    token: str
    """Of the admin port."""

    @property
    def client(self) -> Client:
        """What asks this pod and no other."""
        return Client(self.address, self.model)

    def counts(self) -> dict[str, Any]:
        """Return what the operator reads of it."""
        headers = {"Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"http://{self.address}:{ADMIN_PORT}/counts", headers=headers)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=10) as response:
            counts: dict[str, Any] = json.load(response)
        return counts

    def freeze(self) -> None:
        """Stop its process where it is: connections are taken by the kernel, and nobody answers."""
        self._signal("SIGSTOP")

    def thaw(self) -> None:
        """Let it go on. One that is gone by then, as the kubelet puts an end to the silent, is left alone."""
        self._signal("SIGCONT", check=False)

    def _signal(self, name: str, *, check: bool = True) -> None:
        words = ["ctr", "--namespace", "k8s.io", "tasks", "kill", "--all", "--signal", name, self.container]
        environment = processes.environment(self.cluster.paths, "ctr")
        subprocess.run([*processes.inside(self.cluster), *words], env=environment, capture_output=True, check=check)


def pods_of(model: ModelDeployment) -> list[ModelPod]:
    """Return the pods of a ModelDeployment that run, by name."""
    secret = json.loads(model.kubectl("get", "secret", f"{model.name}-modelops-keys", "-o", "json"))
    token = base64.b64decode(secret["data"]["admin-token"]).decode()
    found = json.loads(model.kubectl("get", "pods", "--selector", f"modelops.dev/name={model.name}", "-o", "json"))
    return [
        ModelPod(
            model.stage.cluster,
            model.name,
            pod["metadata"]["name"],
            pod["metadata"]["labels"]["modelops.dev/revision"],
            pod["status"]["podIP"],
            _container(pod),
            token,
        )
        for pod in found["items"]
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
    ]


def _container(pod: dict[str, Any]) -> str:
    (status,) = (one for one in pod["status"]["containerStatuses"] if one["name"] == SERVER)
    return str(status["containerID"]).removeprefix("containerd://")
