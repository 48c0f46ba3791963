"""Writes an image that holds one executable and nothing else, with nothing but the standard library."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from typing import TYPE_CHECKING

from tests.cluster.runtime import LAYOUT, MANIFEST_TYPE

if TYPE_CHECKING:
    from pathlib import Path

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_layout(layout: Path, executable: Path, folder: str = "") -> str:
    """Write the image, with the executable in its root or a folder (`bin/`), to an OCI layout; return its digest."""
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    (layout / "oci-layout").write_bytes(LAYOUT)
    program = folder + executable.name
    layer = _layer(executable, program)
    config = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": [f"/{program}"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _write(blobs, "application/vnd.oci.image.config.v1+json", json.dumps(config).encode()),
        "layers": [_write(blobs, "application/vnd.oci.image.layer.v1.tar", layer)],
    }
    return str(_write(blobs, MANIFEST_TYPE, json.dumps(manifest).encode())["digest"])


def _layer(executable: Path, program: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(program)
        entry.size, entry.mode = executable.stat().st_size, 0o755
        with executable.open("rb") as file:
            archive.addfile(entry, file)
    return buffer.getvalue()


def _write(blobs: Path, kind: str, content: bytes) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}
