"""Gets models from where a URI points: one module a kind, and one way for all of them to bring bytes here.

A kind finds the files, with what is known of their sizes and hashes; `download` gets them. The library that a kind
needs is imported when it is asked for.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from model_server.contract import Env
from model_server.digest import ALGORITHM, digest_of_files
from model_server.sources.download import Downloads
from model_server.sources.limits import Budget, amount
from model_server.sources.parts import bad_uri, check_digest, failed, last_name
from model_server.unpack import unpack_layer
from model_server.wording import shown_uri

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.cache import Cache
    from model_server.sources.finding import Found
    from model_server.sources.progress import Progress
    from model_server.sources.registry import Artifact

KINDS: Final = (
    *("pvc://CLAIM/PATH", "configmap://NAME/KEY", "http(s)://HOST/FILE", "s3://BUCKET/KEY", "gs://BUCKET/KEY"),
    *("az://CONTAINER/PATH", "oci://REGISTRY/REPOSITORY[:TAG|@sha256:…]", "hf://ORG/REPO[@REVISION][/PATH]"),
)
_LAYERS: Final = ".layers"
_IMAGE_FOLDER: Final = "models"
"""Where images of models have them, as KServe has it."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to get, and within which limits."""

    uri: str
    digest: str | None
    """`sha256:…` that it must have; None: whatever is there."""
    folder: Path
    """Empty; it is brought here."""
    source_dir: Path
    """Where claims and ConfigMaps are mounted."""
    max_bytes: int
    seconds: float
    cache: Cache | None
    progress: Progress


@dataclass(frozen=True, slots=True)
class Got:
    """What came."""

    path: Path
    """A file or a folder."""
    digest: str
    """`sha256:…`: of a registry's artifact the manifest's, else as `model_server.digest` has it."""


async def get(order: Order) -> Got:
    """Get a model. Its digest is not compared, but with a registry. Raises `StartError`, OSError."""
    known = order.digest or _pinned(order.uri)
    try:
        async with asyncio.timeout(order.seconds), order.progress.told(shown_uri(order.uri)), AsyncExitStack() as stack:
            if order.cache is not None and known is not None:
                await stack.enter_async_context(order.cache.locked(_hex(known)))
            return await (_get_artifact if order.uri.startswith("oci://") else _get)(order, stack)
    except TimeoutError as error:
        progress = order.progress
        of_all = f" of {amount(progress.expected)}" if progress.expected else ""
        raise failed(
            f"{shown_uri(order.uri)} did not come within {order.seconds:g} s ({Env.FETCH_SECONDS}): "
            f"{amount(progress.done)}{of_all} did"
        ) from error


async def _get(order: Order, stack: AsyncExitStack) -> Got:
    target = order.folder / last_name(urlsplit(order.uri).path)
    budget = Budget(order.max_bytes, order.folder)
    if order.cache is not None and order.digest is not None:
        size = await asyncio.to_thread(order.cache.restore, _hex(order.digest), target)
        if size is not None:
            order.progress.cached += size
            return Got(target, order.digest)
    found = await _find(order, stack)
    folder = order.folder if found.is_file else target
    digests = await Downloads(folder, budget, order.progress, order.cache).save(found.parts, shown_uri(order.uri))
    if found.is_file:
        ((name, one),) = digests.items()
        got = Got(folder / name, f"{ALGORITHM}:{one}")
    else:
        got = Got(folder, digest_of_files(digests))
    if order.cache is not None and got.digest == order.digest:
        if found.is_file:
            await asyncio.to_thread(order.cache.keep_file, _hex(got.digest), got.path)
        else:
            await asyncio.to_thread(order.cache.keep_folder, _hex(got.digest), got.path, digests)
    return got


async def _find(order: Order, stack: AsyncExitStack) -> Found:
    """Ask the kind of source. Each is imported here, because its library takes time and memory."""
    scheme = urlsplit(order.uri).scheme
    if scheme in {"http", "https"}:
        from model_server.sources import web

        return await web.find(order.uri, stack)
    if scheme in {"s3", "gs", "az"}:
        from model_server.sources import buckets

        return await buckets.find(order.uri)
    if scheme == "hf":
        from model_server.sources import hub

        return await hub.find(order.uri, stack)
    if scheme in {"pvc", "configmap"}:
        from model_server.sources import mounted

        find = mounted.find_in_claim if scheme == "pvc" else mounted.find_in_configmap
        return await asyncio.to_thread(find, order.uri, order.source_dir)
    raise bad_uri(f"{shown_uri(order.uri)} is none of {', '.join(KINDS)}")


async def _get_artifact(order: Order, stack: AsyncExitStack) -> Got:
    """Get a registry's artifact. What is unpacked was verified by the manifest; and that by the digest, if known."""
    from model_server.sources import client, registry

    connection = await stack.enter_async_context(client.Client())
    artifact = await registry.find(order.uri, connection, order.digest, order.cache)
    check_digest(order.uri, artifact.digest, order.digest)
    budget = Budget(order.max_bytes, order.folder)
    target, packed = order.folder / "model", order.folder / _LAYERS
    files = [layer.part for layer in artifact.layers if not layer.tar]
    archives = [layer.part for layer in artifact.layers if layer.tar]
    await Downloads(target, budget, order.progress, order.cache).save(files, order.uri)
    await Downloads(packed, budget, order.progress, order.cache).save(archives, order.uri)
    for archive in archives:
        below = _IMAGE_FOLDER if artifact.is_image else ""
        await asyncio.to_thread(unpack_layer, packed / archive.name, target, below, order.max_bytes)
    if archives:
        await asyncio.to_thread(shutil.rmtree, packed)
    return Got(_only_file(artifact, target), artifact.digest)


def _only_file(artifact: Artifact, target: Path) -> Path:
    """Return the file of an artifact that is nothing but a file, or else the folder."""
    if len(artifact.layers) == 1 and not artifact.layers[0].tar:
        return target / artifact.layers[0].part.name
    if artifact.is_image and not any(target.iterdir()):
        raise failed(f"the image has nothing below /{_IMAGE_FOLDER}: it holds no model, or elsewhere")
    return target


def _pinned(uri: str) -> str | None:
    """Return the digest that a URI names itself."""
    digest = uri.rpartition("@")[2] if uri.startswith("oci://") else ""
    return digest if digest.startswith(f"{ALGORITHM}:") else None


def _hex(digest: str) -> str:
    return digest.partition(":")[2]
