"""Builds the one executable that holds every component, once for each state of its sources."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from tests.cluster import golang
from tests.cluster.console import step
from tests.cluster.errors import ClusterError
from tests.cluster.paths import SOURCES, cache
from tests.cluster.state import locked

if TYPE_CHECKING:
    from pathlib import Path

PAUSE = "pause"
CLUSTER = "cluster"
PACKAGES = 2800


def sources() -> list[Path]:
    """Every file the executables are built from."""
    return sorted([*SOURCES.rglob("*.go"), SOURCES / "go.mod", SOURCES / "go.sum"])


def output() -> Path:
    """Where the executables for the present sources lie or will lie."""
    digest = hashlib.sha256()
    for file in sources():
        digest.update(f"{file.relative_to(SOURCES)}\0".encode() + file.read_bytes() + b"\0")
    return cache() / "cluster" / digest.hexdigest()[:16]


def kubernetes_version() -> str:
    """The version of Kubernetes, as go.mod has it."""
    found = re.search(r"^\s+k8s\.io/kubernetes (v\S+)", (SOURCES / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise ClusterError(f"{SOURCES / 'go.mod'} requires no k8s.io/kubernetes; restore that line.")
    return found[1]


def build() -> Path:
    """Build what is missing; return the directory of the executables."""
    directory = output()
    if (directory / CLUSTER).exists() and (directory / PAUSE).exists():
        return directory
    golang.check()
    version = kubernetes_version()
    flags = (
        f"-X k8s.io/component-base/version.gitVersion={version} -X k8s.io/client-go/pkg/version.gitVersion={version}"
    )
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / ".lock"):
        for name, package in ((PAUSE, "./pause"), (CLUSTER, ".")):
            if not (directory / name).exists():
                with step(f"build {name} (the first build of Kubernetes takes 5 to 10 minutes)"):
                    golang.compile_program(golang.Program(SOURCES, package, flags, PACKAGES), directory / name)
    return directory
