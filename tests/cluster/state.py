"""What is known of a cluster between one command and the next."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import fcntl
import json
import re
from typing import TYPE_CHECKING

from tests.cluster.console import say
from tests.cluster.errors import ClusterError
from tests.cluster.paths import ClusterPaths, cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


INIT = "init"
"""Name of the namespaces' first process among the recorded ones."""


class Shape(enum.StrEnum):
    """How much of a cluster is run."""

    CONTROL_PLANE = "control-plane"
    """etcd, API server, controller manager, scheduler on 127.0.0.1. Objects, but no pods. Needs no root."""
    FULL = "full"
    """A node besides, with real pods, Services and DNS, in namespaces of its own. Needs root."""


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A cluster's decisions, fixed when it is first brought up and kept through a restart."""

    name: str
    shape: Shape
    executable: str
    address: str
    """Where the API server listens; for the full shape also the node's address."""
    ports: dict[str, int]
    services: str
    """CIDR of the Services' cluster addresses."""
    pods: str
    """CIDR of the pods; empty without pods."""
    host_address: str
    """Where pods reach the machine itself."""
    audit: bool
    ready: bool = False
    """Whether the last start was completed."""
    init: int = 0
    """Process id of the namespaces' first process; 0 while there is none, and for the control-plane shape. It is
    kept in a file of its own, written by the process's parent."""

    @property
    def paths(self) -> ClusterPaths:
        """Where its files lie."""
        return ClusterPaths(self.name)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.paths.kubeconfig

    @property
    def kubectl(self) -> Path:
        """A kubectl of the cluster's own version."""
        return self.paths.bin / "kubectl"

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://{self.address}:{self.ports['apiserver']}"

    def save(self) -> Cluster:
        """Write the record in one step, so that a kill leaves the old one or the new one."""
        record = self.paths.record
        record.parent.mkdir(parents=True, exist_ok=True)
        new = record.with_suffix(".new")
        fields = {name: value for name, value in dataclasses.asdict(self).items() if name != "init"}
        new.write_text(json.dumps(fields, indent=2) + "\n")
        new.replace(record)
        return self


def load(name: str) -> Cluster | None:
    """The cluster's record, or None if it was never brought up or was removed."""
    paths = ClusterPaths(name)
    try:
        fields = json.loads(paths.record.read_text())
    except FileNotFoundError:
        return None
    return Cluster(**{**fields, "shape": Shape(fields["shape"])}, init=recorded_pid(paths, INIT))


def load_all() -> list[Cluster]:
    """Every cluster of this cache, up or not."""
    found = (load(record.parent.name) for record in sorted((cache() / "clusters").glob("*/cluster.json")))
    return [cluster for cluster in found if cluster]


def recorded_pid(paths: ClusterPaths, component: str) -> int:
    """The component's recorded process id, 0 if there is none."""
    try:
        return int((paths.pids / component).read_text())
    except (FileNotFoundError, ValueError):
        return 0


def check_name(name: str) -> str:
    """Names become file, node and cgroup names, so only what suits all of them is accepted."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name):
        raise ClusterError(
            f"{name!r} cannot name a cluster: use at most 40 lower-case letters, digits and inner hyphens."
        )
    return name


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel releases when its holder dies, however it dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  waiting for another command that holds {path}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
