"""Builds the project's images without an image registry, and gives them to clusters.

Everything is keyed by content: an image whose sources have not changed is neither built nor imported again, and of one
that has changed only the layers that differ are.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from pathlib import Path

from tests.cluster import base_image, buildah, runtime
from tests.cluster.console import say, step
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Layout
from tests.cluster.paths import REPOSITORY
from tests.cluster.requirements import check_images, check_rights
from tests.cluster.state import Cluster, Shape, locked

OPERATOR = "localhost/modeldeployment-operator:dev"
MODEL_SERVER = "localhost/model-server:dev"
DOCKERFILES = {
    OPERATOR: REPOSITORY / "operator" / "Dockerfile",
    MODEL_SERVER: REPOSITORY / "serving_image" / "Dockerfile",
}
NAMES = tuple(DOCKERFILES)


@dataclasses.dataclass(frozen=True)
class Built:
    """An image as it was last built."""

    sources: str
    """Hash of what it was built from."""
    digest: str
    """Digest of its manifest in the layout."""


def layout() -> Layout:
    """Where the images lie when they are built."""
    return Layout(buildah.directory() / "layout")


def build_all() -> None:
    """Build the images whose sources have changed."""
    check_images()
    buildah.directory().mkdir(parents=True, exist_ok=True)
    with locked(buildah.directory() / ".lock"):
        base = base_image.ensure()
        built = {name: _build(name, dockerfile, base) for name, dockerfile in DOCKERFILES.items()}
        if any(built.values()):
            buildah.prune()
            layout().keep_only(record.digest for record in map(_record, NAMES) if record)


def give_all(cluster: Cluster) -> None:
    """Import both images, unless the cluster has them as they are now."""
    for name in NAMES:
        give(cluster, name)


def give(cluster: Cluster, name: str) -> None:
    """Import one of the project's images, unless the cluster has it as it is now."""
    _check_node(cluster)
    built = _record(name)
    if not built:
        raise ClusterError(f"The image {name} has not been built. Build it: `python3 -m tests.cluster images`.")
    if runtime.image_digest(cluster, name) == built.digest:
        say(f"  {name} is in the cluster {cluster.name}")
        return
    with step(f"import {name} into the cluster {cluster.name}"):
        runtime.import_layout(cluster, name, layout().directory, built.digest)


def give_archive(cluster: Cluster, archive: Path) -> None:
    """Import the images of an archive."""
    _check_node(cluster)
    if not archive.is_file():
        raise ClusterError(f"{archive} is neither a file nor one of {', '.join(NAMES)}.")
    with step(f"import {archive} into the cluster {cluster.name}"):
        runtime.import_archive(cluster, archive)


def bill_of_materials(name: str) -> str:
    """Return what one of the project's images is made of, as CycloneDX."""
    return buildah.read(name, "/usr/share/sbom/sbom.cdx.json")


def sources(dockerfile: Path) -> list[Path]:
    """The Dockerfile and every file that it copies from the repository."""
    found = {dockerfile}
    lines = dockerfile.read_text().replace("\\\n", " ").splitlines()
    for words in (shlex.split(line) for line in lines if line.startswith(("COPY ", "ADD "))):
        if any(word.startswith("--from=") for word in words):
            continue
        for source in [word for word in words[1:] if not word.startswith("--")][:-1]:
            for path in REPOSITORY.glob(source.strip("/")):
                found.update(_files(path))
    return sorted(found)


def _files(path: Path) -> list[Path]:
    files = path.rglob("*") if path.is_dir() else [path]
    return [file for file in files if file.is_file() and "__pycache__" not in file.parts]


def _build(name: str, dockerfile: Path, base: str) -> bool:
    """Build one image; False if it is as it should be."""
    if not dockerfile.exists():
        raise ClusterError(f"{dockerfile} does not exist, so {name} cannot be built.")
    digest = hashlib.sha256(base.encode())
    for file in sources(dockerfile):
        digest.update(f"{file.relative_to(REPOSITORY)}\0{file.stat().st_mode}\0".encode() + file.read_bytes() + b"\0")
    key = digest.hexdigest()
    found = _record(name)
    if found and found.sources == key and layout().blob(found.digest).exists():
        say(f"  {name} is built")
        return False
    buildah.build(name, dockerfile, REPOSITORY)
    with step(f"write {name} to {layout().directory}"):
        exported = layout().export(name, _tag(name))
    _record_file(name).write_text(json.dumps(dataclasses.asdict(Built(key, exported))) + "\n")
    return True


def _check_node(cluster: Cluster) -> None:
    if cluster.shape is not Shape.FULL:
        raise ClusterError(
            f"The cluster {cluster.name} is a control plane alone and has no use for images. "
            f"Make one with pods: `python3 -m tests.cluster up --shape full --name {cluster.name}-full`."
        )
    check_rights("Importing an image enters the cluster's namespaces")


def _record(name: str) -> Built | None:
    try:
        return Built(**json.loads(_record_file(name).read_text()))
    except FileNotFoundError:
        return None


def _record_file(name: str) -> Path:
    return buildah.directory() / f"{_tag(name)}.json"


def _tag(name: str) -> str:
    return name.removeprefix("localhost/").replace(":", "-")
