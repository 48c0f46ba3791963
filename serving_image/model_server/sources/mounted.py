"""pvc://CLAIM/PATH and configmap://NAME/KEY: what the pod has mounted already, copied and hashed in one go."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from model_server.sources.finding import Found
from model_server.sources.limits import CHUNK_BYTES, MAX_FILES
from model_server.sources.parts import Part, bad_uri, changed, failed
from model_server.unpack import safe_relative

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_LOST_AND_FOUND: Final = "lost+found"
"""A folder that file systems make in their root."""


def find_in_claim(uri: str, mount: Path) -> Found:
    """Find a file or folder in the claim that is mounted there. Links may lead to files within it."""
    root, source = _inside(uri, mount, "claim")
    if source.is_file():
        return Found.one_file(_part(uri, source, PurePosixPath(source.name)))
    parts = []
    for path in _walk(source):
        if path.is_symlink() and (path.is_dir() or not path.resolve().is_relative_to(root)):
            raise failed(f"{path.name} in the claim is a link to a folder, or out of the claim: put the files there")
        if path.is_file():
            parts.append(_part(uri, path, safe_relative(path.relative_to(source).as_posix())))
        if len(parts) > MAX_FILES:
            raise failed(f"{uri} has over {MAX_FILES} files: does it name the model's own folder?")
    if not parts:
        raise failed(f"{uri}: there are no files in that folder of the claim")
    return Found(parts, is_file=False)


def find_in_configmap(uri: str, mount: Path) -> Found:
    """Find one key of the ConfigMap that is mounted there."""
    key = unquote(urlsplit(uri).path).strip("/")
    if not key or "/" in key:
        raise bad_uri(f"{uri} is no configmap://NAME/KEY")
    _, source = _inside(uri, mount, "ConfigMap")
    return Found.one_file(_part(uri, source, PurePosixPath(key)))


def _inside(uri: str, mount: Path, what: str) -> tuple[Path, Path]:
    parts = urlsplit(uri)
    root = mount.resolve()
    source = (root / unquote(parts.path).strip("/")).resolve()
    if not source.is_relative_to(root):
        raise failed(f"{uri} leads out of the {what}")
    if not source.exists():
        names = (
            sorted(entry.name for entry in root.iterdir() if not entry.name.startswith("..")) if root.is_dir() else []
        )
        there = ", ".join(names[:8]) or "nothing"
        raise failed(f"{uri}: the {what} {parts.netloc} has no such path. Its root holds {there}")
    return root, source


def _walk(source: Path) -> Iterator[Path]:
    def give_up(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(source, onerror=give_up):
        folders[:] = [name for name in folders if name != _LOST_AND_FOUND]
        for name in sorted((*folders, *files)):
            yield Path(folder, name)


def _part(uri: str, path: Path, name: PurePosixPath) -> Part:
    return Part(name, path.stat().st_size, partial(_read, uri, path, path.stat().st_mtime_ns))


async def _read(uri: str, path: Path, modified: int, start: int, end: int | None) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb", 0) as file:
        file.seek(start)
        left = None if end is None else end - start
        while left is None or left > 0:
            data = await asyncio.to_thread(file.read, CHUNK_BYTES if left is None else min(left, CHUNK_BYTES))
            if os.fstat(file.fileno()).st_mtime_ns != modified or (not data and left):
                raise changed(uri)
            if not data:
                return
            left = None if left is None else left - len(data)
            yield data
