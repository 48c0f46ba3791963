"""The ground that all contestants stand on: a control plane of their own, with kwok's nodes."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests import cluster
from tests.benchmarks.fleet import objects
from tests.benchmarks.fleet.audit import Audit
from tests.benchmarks.fleet.client import Client, connected
from tests.cluster import Cluster, Shape, fake_nodes
from tests.support import monitoring_crds

REPOSITORY: Final = Path(__file__).parents[3]
OPERATOR_NAMESPACE: Final = "modelops-system"
ACCOUNT: Final = "modeldeployment-operator"
NODES: Final = 10
_CLUSTER: Final = "bench-fleet"
_LEFT_OUT: Final = {"Deployment", "ConfigMap", "ServiceMonitor", "PrometheusRule", "PodDisruptionBudget"}
"""Of the operator's manifests: it runs as a process here, not in a pod."""


@dataclass(frozen=True)
class Ground:
    """A cluster with nobody in it but its own controllers."""

    cluster: Cluster
    client: Client
    audit: Audit

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator."""
        command = [str(self.cluster.kubectl), f"--kubeconfig={self.cluster.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, cwd=REPOSITORY)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def token(self) -> str:
        """Return a token of the operator's ServiceAccount."""
        return self.kubectl("-n", OPERATOR_NAMESPACE, "create", "token", ACCOUNT, "--duration=6h").strip()


@asynccontextmanager
async def fresh(
    pods: int, stand_in: str = "tests.benchmarks.fleet.pods", name: str = _CLUSTER
) -> AsyncIterator[Ground]:
    """Bring up a control plane of which nobody has used anything, for so many pods, and end it.

    The module `stand_in` answers for the pods.
    """
    await asyncio.to_thread(cluster.down, name)
    local = await asyncio.to_thread(cluster.up, name, Shape.CONTROL_PLANE, audit=True)
    try:
        async with connected(local) as client:
            ground = Ground(local, client, Audit(local.paths.audit_log))
            await asyncio.to_thread(_furnish, ground)
            with _pods(local, pods, stand_in):
                await _until_nodes_are_ready(client)
                await _until_listed(client, objects.MODELS, *objects.CHILDREN)
                yield ground
    finally:
        await asyncio.to_thread(cluster.down, name)


def _furnish(ground: Ground) -> None:
    fake_nodes.add(ground.cluster, NODES)
    kinds = monitoring_crds.manifests("servicemonitors", "prometheusrules")
    built: list[dict[str, Any]] = list(yaml.safe_load_all(ground.kubectl("kustomize", "manifests/default")))
    wanted = [*kinds, *(one for one in built if one["kind"] not in _LEFT_OUT)]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": objects.NAMESPACE}}
    ground.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all([*wanted, namespace]))
    ground.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")


@contextmanager
def _pods(local: Cluster, count: int, stand_in: str) -> Iterator[None]:
    """Have the admin ports of all pods answered."""
    command = [sys.executable, "-m", stand_in, local.name, str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
        try:
            assert process.stdout
            if process.stdout.readline() != b"ready\n":
                raise RuntimeError("the pods' stand-in has ended")
            yield
        finally:
            process.kill()


async def _until_nodes_are_ready(client: Client) -> None:
    ready: set[str] = set()
    async with asyncio.timeout(60):
        events = client.watch("/api/v1/nodes")
        async with contextlib.aclosing(events):
            async for _, node in events:
                conditions = {one["type"]: one["status"] for one in node.get("status", {}).get("conditions", ())}
                if conditions.get("Ready") == "True":
                    ready.add(node["metadata"]["name"])
                if len(ready) == NODES:
                    return


async def _until_listed(client: Client, *paths: str) -> None:
    """Wait until all kinds can be listed: a kind that is established may be unknown for a moment."""
    async with asyncio.timeout(60):
        for path in paths:
            while True:
                try:
                    await client.list(path)
                    break
                except RuntimeError:
                    await asyncio.sleep(0.2)
