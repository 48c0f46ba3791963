"""Builds the one executable that holds every component, once for each state of its sources."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from tests.cluster.console import Progress, step
from tests.cluster.errors import ClusterError
from tests.cluster.paths import SOURCES, cache
from tests.cluster.state import locked

if TYPE_CHECKING:
    from pathlib import Path

PAUSE = "pause"
CLUSTER = "cluster"
PACKAGES = 2800
"""How many Go packages the cluster is made of (`go list -deps . | wc -l`), to tell how far a build has come."""


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
    if not shutil.which("go"):
        raise ClusterError("Go is not on the PATH. Install Go 1.24 or later; the cluster is built with it.")
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / ".lock"):
        for name, package in ((PAUSE, "./pause"), (CLUSTER, ".")):
            if not (directory / name).exists():
                with step(f"build {name} (the first build of Kubernetes takes 5 to 10 minutes)"):
                    _compile(directory / name, package)
    return directory


def _compile(target: Path, package: str) -> None:
    """Compile without C, so that one executable runs anywhere, the pause image's empty file system included."""
    version = kubernetes_version()
    flags = f"-s -w -X k8s.io/component-base/version.gitVersion={version}"
    flags += f" -X k8s.io/client-go/pkg/version.gitVersion={version}"
    unfinished = target.with_suffix(".new")
    command = ["go", "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", str(unfinished), package]
    environment = {**os.environ, "CGO_ENABLED": "0"}
    progress, compiled, said = Progress(), 0, []
    # With -v the compiler names each package that it compiles; what else it says is trouble, or a download.
    with subprocess.Popen(command, cwd=SOURCES, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            said.append(line)
            compiled += not line.startswith(("go: ", "#"))
            progress.tell(f"{compiled} of about {PACKAGES} packages compiled")
    if process.returncode != 0:
        raise ClusterError(f"go build of {SOURCES / package} failed:\n{''.join(said[-40:])}")
    unfinished.replace(target)
