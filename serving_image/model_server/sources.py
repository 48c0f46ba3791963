"""Gets files from where a URI points: s3://BUCKET/KEY, http(s)://HOST/FILE, pvc://CLAIM/PATH."""

from __future__ import annotations

import asyncio
import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import aiohttp
import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.unpack import safe_relative
from model_server.wording import without_secrets

if TYPE_CHECKING:
    from urllib.parse import SplitResult

ATTEMPTS: Final = 4
PARALLEL: Final = 4
"""Files of a folder that are fetched at once."""
_CHUNK_BYTES: Final = 2**20
_CONNECT_SECONDS: Final = 10.0
_SILENCE_SECONDS: Final = 60.0
_INSTANCE_METADATA: Final = "169.254.169.254"
"""Where credentials are looked for last."""
_LOST_AND_FOUND: Final = "lost+found"
"""A folder that file systems make in their root."""


async def get(uri: str, incoming: Path, source_dir: Path) -> Path:
    """Fetch the file or folder of a URI into an empty folder; returns where it is. Raises `StartError`."""
    parts = urlsplit(uri)
    target = incoming / (Path(unquote(parts.path)).name or "model")
    if parts.scheme in {"http", "https"}:
        await _get_http(uri, target)
    elif parts.scheme == "s3":
        await _get_s3(parts, target)
    elif parts.scheme == "pvc":
        await asyncio.to_thread(_copy, parts, target, source_dir)
    else:
        raise StartError(
            StartFailure.BAD_SETTINGS, f"{shown(uri)} is no pvc://CLAIM/PATH, http(s)://HOST/FILE or s3://BUCKET/KEY"
        )
    return target


def shown(uri: str) -> str:
    """Write a URI without what may be secret: user, password and query."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


async def _get_http(uri: str, target: Path) -> None:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENCE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True, auto_decompress=False) as session:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with session.get(uri) as response:
                    if response.status < 500:
                        await _save_http(response, uri, target)
                        return
                    problem = f"the server answered {response.status} {response.reason}"
            except (aiohttp.ClientError, TimeoutError) as error:
                problem = f"{type(error).__name__}: {without_secrets(str(error)) or 'no answer in time'}"
            if attempt < ATTEMPTS:
                await asyncio.sleep(2 ** (attempt - 1))
    raise _failed(f"{shown(uri)}: {problem}")


async def _save_http(response: aiohttp.ClientResponse, uri: str, target: Path) -> None:
    if response.status != 200:
        raise _failed(f"{shown(uri)}: the server answered {response.status} {response.reason}")
    with target.open("wb") as file:
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            file.write(chunk)


async def _get_s3(parts: SplitResult, target: Path) -> None:
    bucket, key = parts.netloc, unquote(parts.path).strip("/")
    uri = f"s3://{bucket}/{key}"
    try:
        store = _s3_store(bucket)
        if key and not parts.path.endswith("/") and await _exists(store, key):
            await _save_s3(store, key, target)
            return
        prefix = f"{key}/" if key else ""
        listed = await obstore.list(store, prefix or None).collect_async()
        keys = [item["path"] for item in listed if not item["path"].endswith("/")]
        if not keys:
            raise _failed(f"{uri}: there is no such object, and none whose key begins with {prefix!r}")
        await _save_folder(store, prefix, keys, target)
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise _failed(f"{uri}: access denied. Are the credentials in spec.serving.env right?") from error
    except NotFoundError as error:
        raise _failed(f"{uri}: the bucket or the object does not exist") from error
    except BaseError as error:
        raise _failed(f"{uri}: {_brief(error)}") from error


def _s3_store(bucket: str) -> S3Store:
    """Open a bucket. Region, endpoint and credentials come from the usual AWS_ environment."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return S3Store(
        bucket,
        client_options={"allow_http": endpoint.startswith("http://"), "connect_timeout": timedelta(seconds=10)},
        retry_config={"max_retries": ATTEMPTS - 1, "retry_timeout": timedelta(seconds=60)},
    )


async def _exists(store: S3Store, key: str) -> bool:
    try:
        await obstore.head_async(store, key)
    except (FileNotFoundError, NotFoundError):
        return False
    return True


async def _save_folder(store: S3Store, prefix: str, keys: list[str], target: Path) -> None:
    slots = asyncio.Semaphore(PARALLEL)

    async def save(key: str) -> None:
        async with slots:
            await _save_s3(store, key, target / safe_relative(key.removeprefix(prefix)))

    await asyncio.gather(*map(save, keys))


async def _save_s3(store: S3Store, key: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    answer = await obstore.get_async(store, key)
    with target.open("wb") as file:
        async for chunk in answer.stream(min_chunk_size=_CHUNK_BYTES):
            file.write(chunk)


def _copy(parts: SplitResult, target: Path, source_dir: Path) -> None:
    """Copy from the claim that is mounted at `source_dir`. Links may lead anywhere within it."""
    root = source_dir.resolve()
    source = (root / unquote(parts.path).strip("/")).resolve()
    uri = f"pvc://{parts.netloc}{parts.path}"
    if not source.is_relative_to(root):
        raise _failed(f"{uri} leads out of the claim")
    if not source.exists():
        there = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) if root.is_dir() else ""
        raise _failed(f"{uri}: the claim {parts.netloc} has no such path. Its root holds {there or 'nothing'}")
    try:
        if source.is_file():
            shutil.copyfile(source, target)
            return
        for folder, folders, files in os.walk(source):
            folders[:] = [name for name in folders if name != _LOST_AND_FOUND]
            for name in (*folders, *files):
                _copy_entry(Path(folder, name), target / Path(folder).relative_to(source) / name, root)
    except OSError as error:
        raise _failed(f"{uri}: {error.filename}: {error.strerror}") from error


def _copy_entry(source: Path, target: Path, root: Path) -> None:
    if source.is_symlink() and (source.is_dir() or not source.resolve().is_relative_to(root)):
        raise _failed(f"{source.name} in the claim is a link to a folder, or out of the claim: put the files there")
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _brief(error: Exception) -> str:
    text = str(error)
    if "NoSuchBucket" in text:
        return "there is no such bucket"
    if _INSTANCE_METADATA in text:
        return (
            "there are no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in spec.serving.env, "
            "or AWS_SKIP_SIGNATURE=true for a public bucket"
        )
    return without_secrets(" ".join(text.split("Debug source:")[0].split()))[:500]


def _failed(message: str) -> StartError:
    return StartError(StartFailure.FETCH_FAILED, message)
