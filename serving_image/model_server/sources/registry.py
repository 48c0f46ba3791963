"""oci://REGISTRY/REPO[:TAG][@sha256:…]: a model as an artifact, or in the layers of an image.

The manifest's digest is the model's: `spec.model.digest` is compared with it, and everything below it is verified
by it. What becomes of a layer is told by its media type and annotations:

- files with a title (`oras push`) keep it; so do those of ModelPack, whose annotation is a file path
- layers that are tar archives are unpacked: of an image only what is below `/models`, as in KServe's images of models
- anything else is one file
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from model_server.sources.client import check_status
from model_server.sources.finding import ask
from model_server.sources.limits import MAX_FILES
from model_server.sources.parts import SHA256, Checksum, Part, bad_uri, failed
from model_server.sources.registry_auth import RegistryAccess, login_for
from model_server.sources.web_files import part_of
from model_server.unpack import safe_relative

if TYPE_CHECKING:
    import aiohttp

    from model_server.cache import Cache
    from model_server.sources.client import Client

PLAIN_HTTP: Final = "MODEL_OCI_PLAIN_HTTP"
"""Registries, with commas between, that are asked without TLS; those on this machine are anyway."""
_REFERENCE: Final = re.compile(
    r"oci://(?P<registry>[a-zA-Z0-9.-]+(?::[0-9]{1,5})?|\[[0-9a-fA-F:]+\](?::[0-9]{1,5})?)"
    r"/(?P<repository>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_LISTS: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS: Final = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_IMAGE_CONFIGS: Final = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
_TITLE: Final = "org.opencontainers.image.title"
_FILE_PATHS: Final = ("org.cncf.model.filepath", "org.cnai.model.filepath")
_UNPACK: Final = "io.deis.oras.content.unpack"
_MODEL_PACK: Final = "application/vnd.cncf.model."
_TAR: Final = re.compile(r"[./+](tar|tar\+gzip|tar\.gzip|tar\+zstd|tar\.zstd)$")
_HINT: Final = "Does it exist? If it is private: is there a login for it in the Docker configuration of the Secret?"
_MAX_MANIFEST_BYTES: Final = 4 * 2**20
_MAX_DEPTH: Final = 3


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed URI."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def base(self) -> str:
        """The URL of the registry."""
        name = self.registry.rpartition(":")[0] or self.registry
        local = name in {"localhost", "[::1]"} or name.startswith("127.")
        plain = local or self.registry in map(str.strip, os.environ.get(PLAIN_HTTP, "").split(","))
        host = "registry-1.docker.io" if self.registry == "docker.io" else self.registry
        return f"{'http' if plain else 'https'}://{host}"


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob, and what becomes of it."""

    part: Part
    tar: bool
    """Whether it is an archive that is to be unpacked."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a manifest says."""

    digest: str
    """`sha256:…` of what the reference names: an index or a manifest."""
    layers: tuple[Layer, ...]
    is_image: bool
    """Whether its layers are those of a file system, of which `/models` is the model."""


def parse(uri: str) -> Reference:
    """Read a URI. Raises `StartError`."""
    found = _REFERENCE.fullmatch(uri)
    if found is None:
        raise bad_uri(f"{uri} is no oci://REGISTRY/REPOSITORY[:TAG][@sha256:…]")
    repository = found["repository"]
    if found["registry"] == "docker.io" and "/" not in repository:
        repository = f"library/{repository}"
    return Reference(found["registry"], repository, found["tag"], found["digest"])


async def find(uri: str, client: Client, wanted: str | None, cache: Cache | None) -> Artifact:
    """Read the manifest; `wanted` is the digest that it should have, if that is known. Raises `StartError`."""
    reference = parse(uri)
    return await ask(uri, lambda: _Repository(client, uri, reference, cache).find(wanted))


class _Repository:
    """One repository of a registry."""

    def __init__(self, client: Client, uri: str, reference: Reference, cache: Cache | None) -> None:
        self._client = client
        self._cache = cache
        self._uri = uri
        self._reference = reference
        self._base = f"{reference.base}/v2/{reference.repository}"
        login = login_for(reference.registry, reference.repository)
        self._access = RegistryAccess(client, reference.base, reference.repository, login)

    async def find(self, wanted: str | None) -> Artifact:
        """Follow the reference to a manifest with layers."""
        known = self._reference.digest or wanted
        name = self._reference.digest or self._reference.tag or wanted or "latest"
        cached = self._cached(known)
        digest, document = (known, cached) if known and cached else await self._manifest(name, self._reference.digest)
        first = digest
        for _ in range(_MAX_DEPTH):
            if "manifests" not in document:
                break
            digest = _choose(document, self._uri)
            _, document = await self._manifest(digest, digest)
        return self._artifact(first, document)

    async def _manifest(self, name: str, wanted: str | None) -> tuple[str, Any]:
        if wanted and (cached := self._cached(wanted)):
            return wanted, cached
        body = await self._read(f"{self._base}/manifests/{name}")
        digest = f"{SHA256}:{hashlib.sha256(body).hexdigest()}"
        if wanted not in (None, digest):
            raise failed(f"{self._uri}: the registry sent a manifest with the digest {digest} in place of {wanted}")
        document = _document(body)
        if document is None:
            raise failed(f"{self._uri}: the registry's answer is no manifest")
        if self._cache is not None:
            self._cache.keep_bytes(digest.partition(":")[2], body)
        return digest, document

    def _cached(self, digest: str | None) -> Any:
        if self._cache is None or digest is None:
            return None
        body = self._cache.read_bytes(digest.partition(":")[2], _MAX_MANIFEST_BYTES)
        return None if body is None else _document(body)

    async def _read(self, url: str) -> bytes:
        headers = {"Accept": ", ".join((*_MANIFESTS, *_LISTS))}
        for may_renew in (True, False):
            async with self._client.get(url, headers, self._access.header) as response:
                if response.status == 401 and may_renew:
                    await self._access.renew(response.headers.get("WWW-Authenticate", ""))
                    continue
                check_status(response, url, _HINT)
                return await self._body(response)
        raise AssertionError("the second answer ends it")

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _MAX_MANIFEST_BYTES:
                raise failed(f"{self._uri}: the manifest is over {_MAX_MANIFEST_BYTES >> 20} MiB")
        return bytes(body)

    def _artifact(self, digest: str, document: Any) -> Artifact:
        config = document.get("config")
        is_image = isinstance(config, dict) and config.get("mediaType") in _IMAGE_CONFIGS
        listed = document.get("layers")
        if not isinstance(listed, list) or not listed or len(listed) > MAX_FILES:
            raise failed(f"{self._uri}: the manifest has no layers, or too many: it is no model")
        layers = tuple(self._layer(number, one) for number, one in enumerate(listed))
        is_image = is_image and all(layer.tar for layer in layers)
        return Artifact(digest, layers, is_image)

    def _layer(self, number: int, entry: Any) -> Layer:
        size = entry.get("size") if isinstance(entry, dict) else None
        digest = entry.get("digest") if isinstance(entry, dict) else None
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest) or type(size) is not int or size < 0:
            raise failed(f"{self._uri}: layer {number} of the manifest has no size, or no digest of the kind sha256")
        notes = entry.get("annotations") or {}
        titles = [notes.get(key) for key in (*_FILE_PATHS, _TITLE)] if isinstance(notes, dict) else []
        title = next((one for one in titles if isinstance(one, str) and one), None)
        tar = _is_tar(str(entry.get("mediaType")), notes, title)
        name = PurePosixPath(f"layer-{number}") if tar else safe_relative(title or f"model-{number}")
        checksum = Checksum(SHA256, digest.partition(":")[2])
        return Layer(part_of(self._client, f"{self._base}/blobs/{digest}", self._access, name, size, checksum), tar)


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _is_tar(media_type: str, notes: Any, title: str | None) -> bool:
    """Tell whether a layer is to be unpacked. A file that happens to be an archive has a title, and is kept."""
    if title is None or media_type.startswith(_MODEL_PACK):
        return bool(_TAR.search(media_type))
    return bool(notes.get(_UNPACK) == "true")


def _choose(document: Any, uri: str) -> str:
    listed = (
        [one for one in document["manifests"] if isinstance(one, dict)]
        if isinstance(document["manifests"], list)
        else []
    )
    models = [one for one in listed if (one.get("annotations") or {}).get("vnd.docker.reference.type") is None]
    linux = [one for one in models if (one.get("platform") or {}).get("os") == "linux"]
    for one in (*linux, *models):
        if isinstance(one.get("digest"), str) and _DIGEST.fullmatch(one["digest"]):
            return str(one["digest"])
    raise failed(f"{uri}: the index names no manifest")
