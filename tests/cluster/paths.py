"""Where things lie on disk: everything is under one cache directory, nothing in the repository."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = Path(__file__).resolve().parent


def cache() -> Path:
    """The directory of everything that is built, downloaded or running."""
    if named := os.environ.get("MODELOPS_CACHE"):
        return Path(named).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "modelops"


@dataclasses.dataclass(frozen=True)
class ClusterPaths:
    """The files of one cluster."""

    name: str

    @property
    def state(self) -> Path:
        """What `down --purge` removes."""
        return cache() / "clusters" / self.name

    @property
    def containerd(self) -> Path:
        """Images as containerd keeps them. They outlive the cluster: importing gigabytes again would take a minute."""
        return cache() / "containerd" / self.name

    @property
    def record(self) -> Path:
        """What this cluster is: written first, so that whatever follows can be cleaned up."""
        return self.state / "cluster.json"

    @property
    def lock(self) -> Path:
        """Held while a cluster is brought up or down. Outside the state, which is removed while it is held."""
        return cache() / "clusters" / f".{self.name}.lock"

    @property
    def pids(self) -> Path:
        """One file a process, written by the process itself before it becomes the component."""
        return self.state / "pids"

    @property
    def logs(self) -> Path:
        """One file a component."""
        return self.state / "logs"

    @property
    def pki(self) -> Path:
        """Certificates and keys."""
        return self.state / "pki"

    @property
    def config(self) -> Path:
        """Configuration files and the components' kubeconfigs."""
        return self.state / "config"

    @property
    def data(self) -> Path:
        """The cluster's objects (etcd) and its pods' volumes (kubelet)."""
        return self.state / "data"

    @property
    def bin(self) -> Path:
        """Holds kubectl."""
        return self.state / "bin"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """Written with `--audit`: one JSON object a line."""
        return self.logs / "audit.jsonl"

    @property
    def key(self) -> str:
        """Eight characters that name this cluster's interface and cgroups: clusters of other caches get others."""
        return hashlib.sha256(str(self.state).encode()).hexdigest()[:8]
