"""Compiles the programs of the stack into images, and finds the kinds that it brings along.

Debian's Prometheus would not do: it is built without the discovery of Kubernetes' pods.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

from tests.cluster import golang, runtime, scratch_image
from tests.cluster.console import say, step
from tests.cluster.errors import ClusterError
from tests.cluster.paths import cache
from tests.cluster.state import Cluster, locked

SOURCES = Path(__file__).resolve().parent
_OPERATOR_MODULE = "github.com/prometheus-operator/prometheus-operator"


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a program comes from."""

    name: str
    folder: str
    """Beside this file, with the go.mod that fixes every version."""
    module: str
    package: str
    """Folder of the program in the module."""
    packages: int
    """About how many Go packages it is made of."""

    @property
    def directory(self) -> Path:
        """Where its go.mod lies."""
        return SOURCES / self.folder

    @property
    def version(self) -> str:
        """Its version as the project counts: 3.5.0. (As a Go module, Prometheus 3.5.0 is v0.305.0.)"""
        file = self.directory / "go.mod"
        found = re.search(rf"^\s+{self.module} v(\d+)\.(\d+)\.(\S+)", file.read_text(), re.MULTILINE)
        if not found:
            raise ClusterError(f"{file} requires no {self.module}; restore that line.")
        major, minor, patch = int(found[1]), int(found[2]), found[3]
        return f"{minor // 100}.{minor % 100}.{patch}" if minor >= 100 else f"{major}.{minor}.{patch}"


OPERATOR = Source("prometheus-operator", "operator", _OPERATOR_MODULE, "cmd/operator", 1020)
RELOADER = Source("prometheus-config-reloader", "operator", _OPERATOR_MODULE, "cmd/prometheus-config-reloader", 940)
PROMETHEUS = Source("prometheus", "servers", "github.com/prometheus/prometheus", "cmd/prometheus", 1410)
ALERTMANAGER = Source("alertmanager", "servers", "github.com/prometheus/alertmanager", "cmd/alertmanager", 620)
ALL = (OPERATOR, RELOADER, PROMETHEUS, ALERTMANAGER)


@dataclasses.dataclass(frozen=True)
class Image:
    """An image as the cluster gets it."""

    name: str
    version: str
    digest: str
    layout: Path


def definitions() -> list[Path]:
    """The files of the CustomResourceDefinitions, one each, without building anything."""
    folder = golang.module_directory(OPERATOR.directory, OPERATOR.module) / "example" / "prometheus-operator-crd"
    return sorted(folder.glob("*.yaml"))


def images() -> dict[Source, Image]:
    """Build what is missing of the images."""
    directory = cache() / "monitoring"
    directory.mkdir(parents=True, exist_ok=True)
    with locked(directory / ".lock"):
        return {source: _image(source, directory) for source in ALL}


def give(cluster: Cluster, image: Image) -> None:
    """Import an image, unless the cluster has it."""
    if runtime.image_digest(cluster, image.name) != image.digest:
        with step(f"import {image.name} into the cluster {cluster.name}"):
            runtime.import_layout(cluster, image.name, image.layout, image.digest)


def _image(source: Source, directory: Path) -> Image:
    """Build once for each state of the versions. (The operator wants its reloader in /bin.)"""
    name = f"localhost/{source.name}:{source.version}"
    fixed = b"".join((source.directory / file).read_bytes() for file in ("go.mod", "go.sum"))
    layout = directory / f"{source.name}-{hashlib.sha256(fixed).hexdigest()[:16]}"
    record = layout / "digest"
    if record.exists():
        say(f"  {name} is built")
    else:
        layout.mkdir(exist_ok=True)
        executable = layout / source.name
        flags = f"-X github.com/prometheus/common/version.Version={source.version}"
        program = golang.Program(source.directory, f"{source.module}/{source.package}", flags, source.packages)
        with step(f"build {name} (the first build takes 1 to 4 minutes)"):
            golang.compile_program(program, executable)
            digest = scratch_image.write_layout(layout, executable, "bin/")
        executable.unlink()
        record.write_text(digest)
    return Image(name, source.version, record.read_text(), layout)
