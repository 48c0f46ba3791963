"""Talks to a cluster's containerd, through its own command-line client."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from typing import IO, TYPE_CHECKING

from tests.cluster import processes
from tests.cluster.errors import ClusterError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.state import Cluster

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'


def runtime_answers(cluster: Cluster) -> bool:
    """Whether containerd works."""
    done = subprocess.run(_ctr(cluster, "version"), capture_output=True, env=_environment(cluster), check=False)
    return done.returncode == 0


def image_digest(cluster: Cluster, name: str) -> str:
    """Digest of the manifest that the name stands for in this cluster; empty if it has no such image."""
    for line in _run(cluster, "images", "ls", f"name=={name}").splitlines()[1:]:
        return next((field for field in line.split() if field.startswith("sha256:")), "")
    return ""


def has_image(cluster: Cluster, name: str) -> bool:
    """Whether pods can be started from this image."""
    return bool(image_digest(cluster, name))


def import_layout(cluster: Cluster, name: str, layout: Path, digest: str) -> None:
    """Give an image of an OCI layout to the cluster.

    containerd reads archives, so one is streamed to it, without the blobs that it has: a change of some files in a
    gigabyte of image takes a second, and no archive is ever written to the disk.
    """
    manifest_path = _blob(layout, digest)
    manifest = json.loads(manifest_path.read_bytes())
    present = set(_run(cluster, "content", "ls", "-q").split())
    wanted = [digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
    descriptor = {
        "mediaType": MANIFEST_TYPE,
        "digest": digest,
        "size": manifest_path.stat().st_size,
        "annotations": {"io.containerd.image.name": name},
    }
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [descriptor]}
    command = _ctr(cluster, "images", "import", "--snapshotter", "overlayfs", "-")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=_environment(cluster)
    ) as process:
        assert process.stdin  # as asked for
        assert process.stdout
        try:
            with tarfile.open(fileobj=process.stdin, mode="w|", bufsize=1 << 20) as archive:
                _add(archive, "oci-layout", io.BytesIO(LAYOUT), len(LAYOUT))
                content = json.dumps(index).encode()
                _add(archive, "index.json", io.BytesIO(content), len(content))
                for blob in dict.fromkeys(wanted):
                    if blob not in present:
                        path = _blob(layout, blob)
                        with path.open("rb") as file:
                            _add(archive, f"blobs/sha256/{path.name}", file, path.stat().st_size)
            process.stdin.close()
        except BrokenPipeError:
            pass  # its output says why it stopped reading
        output = process.stdout.read().decode(errors="replace")
    if process.returncode != 0:
        raise ClusterError(f"containerd did not take the image {name}: {output.strip()}")


def import_archive(cluster: Cluster, archive: Path) -> None:
    """Give the images of an archive (`docker save`, `buildah push oci-archive:`) to the cluster."""
    with archive.open("rb") as file:
        done = subprocess.run(
            _ctr(cluster, "images", "import", "-"),
            stdin=file,
            capture_output=True,
            env=_environment(cluster),
            check=False,
        )
    if done.returncode != 0:
        raise ClusterError(f"containerd did not take {archive}: {done.stderr.decode(errors='replace').strip()}")


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], size: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    archive.addfile(entry, content)


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / digest.replace(":", "/")


def _ctr(cluster: Cluster, *arguments: str) -> list[str]:
    return [*processes.inside(cluster), "ctr", "--namespace", "k8s.io", *arguments]


def _environment(cluster: Cluster) -> dict[str, str]:
    return processes.environment(cluster.paths, "ctr")


def _run(cluster: Cluster, *arguments: str) -> str:
    command = _ctr(cluster, *arguments)
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(cluster), check=False)
    if done.returncode != 0:
        raise ClusterError(f"`ctr {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout
