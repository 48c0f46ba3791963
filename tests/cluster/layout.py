"""The OCI layout that the project's images share their layers in, on the way from buildah to containerd."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster import buildah

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Layout:
    """A directory with blobs named by their digest."""

    directory: Path

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        return self.directory / "blobs" / digest.replace(":", "/")

    def export(self, name: str, tag: str) -> str:
        """Take an image from buildah; return the digest of its manifest.

        buildah knows a layer by the digest of its uncompressed content, does not find that among the compressed blobs,
        and would compress gigabytes again for a changed line of code. So an empty file stands in for every layer that
        is here; buildah takes it for the layer, and the manifest it writes is then made to name the compressed blob.
        """
        known = {content: blob for content, blob in self._layers().items() if self.blob(blob["digest"]).exists()}
        stand_ins = [self.blob(content) for content in known if not self.blob(content).exists()]
        for file in stand_ins:
            file.touch()
        try:
            manifest = json.loads(self.blob(buildah.push(name, self.directory, tag)).read_bytes())
        finally:
            for file in stand_ins:
                file.unlink(missing_ok=True)
        contents = json.loads(self.blob(manifest["config"]["digest"]).read_bytes())["rootfs"]["diff_ids"]
        for number, content in enumerate(contents):
            blob = known.setdefault(content, manifest["layers"][number])
            manifest["layers"][number] = blob
        self._layers_file.write_text(json.dumps(known, indent=1))
        return self._write(json.dumps(manifest).encode())

    def keep_only(self, manifests: Iterable[str]) -> None:
        """Remove the blobs that no image with one of these manifests needs."""
        needed = set()
        for digest in manifests:
            manifest = json.loads(self.blob(digest).read_bytes())
            needed |= {digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
        for file in (self.directory / "blobs" / "sha256").iterdir():
            if f"sha256:{file.name}" not in needed:
                file.unlink()

    @property
    def _layers_file(self) -> Path:
        return self.directory / "layers.json"

    def _layers(self) -> dict[str, dict[str, Any]]:
        """Descriptor of each layer's blob, by the digest of the layer's uncompressed content."""
        try:
            known: dict[str, dict[str, Any]] = json.loads(self._layers_file.read_text())
        except FileNotFoundError:
            return {}
        return known

    def _write(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blob(digest).write_bytes(content)
        return digest
