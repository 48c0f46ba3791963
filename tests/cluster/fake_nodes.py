"""Nodes and pods that exist in the API alone, by kwok: for measurements with thousands of them.

Real API server, controllers and scheduler make the pods; kwok does what kubelets would do, and runs nothing.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.cluster import api, golang, processes
from tests.cluster.console import step
from tests.cluster.errors import ClusterError
from tests.cluster.paths import cache
from tests.cluster.state import locked

if TYPE_CHECKING:
    from tests.cluster.state import Cluster

SOURCES: Final = Path(__file__).resolve().parent / "kwok"
_MODULE: Final = "sigs.k8s.io/kwok"
_PACKAGES: Final = 1000
_ANNOTATION: Final = "kwok.x-k8s.io/node"
_ADDRESSES: Final = "127.64.0.1/10"
"""Of the pods: all of them are this machine's own, so that something may answer there."""


def add(cluster: Cluster, nodes: int) -> None:
    """Start kwok, and give it so many nodes; each takes as many pods as come. Raises ClusterError."""
    command = [
        str(_executable()),
        f"--kubeconfig={cluster.kubeconfig}",
        f"--manage-nodes-with-annotation-selector={_ANNOTATION}=fake",
        f"--cidr={_ADDRESSES}",
        # Without leases the nodes would be taken for lost after this many seconds.
        "--node-lease-duration-seconds=40",
    ]
    processes.ensure(cluster, "kwok", command)
    for number in range(nodes):
        api.apply(cluster, f"/api/v1/nodes/fake-{number}", _node(f"fake-{number}"))


def _executable() -> Path:
    """Build once for each state of the versions."""
    digest = hashlib.sha256(b"".join((SOURCES / file).read_bytes() for file in ("go.mod", "go.sum")))
    directory = cache() / "kwok" / digest.hexdigest()[:16]
    executable = directory / "kwok"
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / ".lock"):
        if not executable.exists():
            with step("build kwok (the first build takes 1 to 4 minutes)"):
                golang.compile_program(golang.Program(SOURCES, f"{_MODULE}/cmd/kwok", "", _PACKAGES), executable)
    return executable


def version() -> str:
    """The version of kwok, as go.mod has it."""
    found = re.search(rf"^\s+{_MODULE} (v\S+)", (SOURCES / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise ClusterError(f"{SOURCES / 'go.mod'} requires no {_MODULE}; restore that line.")
    return found[1]


def _node(name: str) -> dict[str, Any]:
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"}
    metadata = {"name": name, "annotations": {_ANNOTATION: "fake"}, "labels": labels}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
