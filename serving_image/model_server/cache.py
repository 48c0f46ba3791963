"""A folder of models by their digests, that the pods of a node (or those that mount one claim) share.

Entries are named by their SHA-256 and nothing else: files; manifests of registries; and lists of the files of a
folder, whose hash is that folder's digest. Who else can write there is unknown, so nothing is taken for what its
name says: it is hashed while it is copied, and one that is not what it should be is removed. The folder is opened
once, and links in it are not followed.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import io
import os
import re
import secrets
import shutil
import stat
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Final

from model_server import logs
from model_server.digest import list_of
from model_server.unpack import safe_relative

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

_CHUNK_BYTES: Final = 2**20
_MAX_LIST_BYTES: Final = 16 * 2**20
_FOLDER: Final = ".list"
"""Ends the name of an entry that is a list of files. A file of that digest is another thing than a folder of it."""
_NEW: Final = ".new-"
_STALE_SECONDS: Final = 86400.0
"""After so long a file that is being written is one that was left."""
_LOCK_POLL_SECONDS: Final = 0.25
_LOCK_SECONDS: Final = 900.0
"""Longest wait for another pod that fetches the same; then both do."""
_ENTRY: Final = re.compile(r"[0-9a-f]{64}(\.list)?|\.new-[0-9a-f]{16}", re.ASCII)
_LINE: Final = re.compile(rb"([0-9a-f]{64})  ([^\n]+)")


class Cache:
    """A cache that is open. Nothing that is wrong with it keeps a model from being fetched."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Close the folder."""
        os.close(self._folder)

    def restore_file(self, digest: str, target: Path) -> int | None:
        """Copy an entry; returns its size, or None if it is not there. Raises OSError for the target."""
        with self._open(digest) as source:
            if source is None:
                return None
            hashed, size = hashlib.sha256(), 0
            with target.open("xb") as file:
                while data := _read(source, _CHUNK_BYTES):
                    hashed.update(data)
                    file.write(data)
                    size += len(data)
            if hashed.hexdigest() == digest:
                self._touch(digest)
                return size
        target.unlink()
        self._discard(digest)
        return None

    def keep_file(self, digest: str, source: Path, *, make_room: bool = True) -> None:
        """Store a copy of a file that was verified, if there is room."""
        with source.open("rb") as file:
            self._keep(digest, file, source.stat().st_size, make_room=make_room)

    def read_bytes(self, digest: str, max_bytes: int) -> bytes | None:
        """Return a small entry, or None."""
        with self._open(digest) as source:
            data = None if source is None else _read(source, max_bytes + 1)
        if data is None:
            return None
        if hashlib.sha256(data).hexdigest() != digest.removesuffix(_FOLDER):
            self._discard(digest)
            return None
        self._touch(digest)
        return data

    def keep_bytes(self, digest: str, data: bytes) -> None:
        """Store a small entry that was verified."""
        self._keep(digest, io.BytesIO(data), len(data), make_room=True)

    def restore(self, digest: str, target: Path) -> int | None:
        """Copy the file or the folder of a digest; returns its size, or None if not all of it is there."""
        files = self._files(digest)
        if not files:
            return self.restore_file(digest, target)
        size = 0
        for name, one in files.items():
            path = target / safe_relative(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            more = self.restore_file(one, path)
            if more is None:
                shutil.rmtree(target)
                return None
            size += more
        return size

    def _files(self, digest: str) -> dict[str, str]:
        """Read an entry as a list of files: SHA-256 by name, or nothing if it is none."""
        listing = self.read_bytes(f"{digest}{_FOLDER}", _MAX_LIST_BYTES)
        lines = [_LINE.fullmatch(line) for line in (listing or b"").split(b"\n")[:-1]]
        files = {line[2].decode(): line[1].decode() for line in lines if line is not None}
        return files if len(files) == len(lines) else {}

    def keep_folder(self, digest: str, folder: Path, files: Mapping[str, str]) -> None:
        """Store the files of a folder, SHA-256 by name, and the list of them."""
        size = sum((folder / name).stat().st_size for name in files)
        if size > self._max_bytes:
            return
        with suppress(OSError):
            self._make_room(size)  # Once for all: it looks at every entry.
        for name, one in files.items():
            self.keep_file(one, folder / name, make_room=False)
        self.keep_bytes(f"{digest}{_FOLDER}", list_of(files))

    @asynccontextmanager
    async def locked(self, digest: str) -> AsyncIterator[None]:
        """Let others that share the cache wait until the block is over, and then find what it has stored."""
        file = self._lock_file(digest)
        if file is None:
            yield
            return
        try:
            until = time.monotonic() + _LOCK_SECONDS
            while not _lock(file) and time.monotonic() < until:  # noqa: ASYNC110  # Another process holds it.
                await asyncio.sleep(_LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(file)

    def _lock_file(self, digest: str) -> int | None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            return os.open(f".lock-{digest[:2]}", flags, 0o666, dir_fd=self._folder)
        except OSError as error:
            logs.warning("the cache cannot be locked", error=str(error))
            return None

    @contextmanager
    def _open(self, name: str) -> Iterator[int | None]:
        """Open an entry for reading, if it is a plain file."""
        try:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._folder)
        except OSError:
            yield None
            return
        try:
            yield file if stat.S_ISREG(os.fstat(file).st_mode) else None
        finally:
            os.close(file)

    def _keep(self, name: str, source: IO[bytes], size: int, *, make_room: bool) -> None:
        try:
            if size > self._max_bytes or self._has(name, size):
                return
            if make_room:
                self._make_room(size)
            self._write(name, source)
        except OSError as error:
            logs.warning("the cache keeps nothing of this model", error=str(error))

    def _write(self, name: str, source: IO[bytes]) -> None:
        """Write under another name first, so that no half of an entry is ever read as one."""
        new = f"{_NEW}{secrets.token_hex(8)}"
        file = os.open(
            new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=self._folder
        )
        try:
            with os.fdopen(file, "wb") as target:
                shutil.copyfileobj(source, target, _CHUNK_BYTES)
            os.rename(new, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except BaseException:
            self._discard(new)
            raise

    def _has(self, name: str, size: int) -> bool:
        with suppress(OSError):
            return os.stat(name, dir_fd=self._folder, follow_symlinks=False).st_size == size
        return False

    def _make_room(self, size: int) -> None:
        """Remove what was not used for longest, until so many bytes more are within the limit."""
        entries: list[tuple[float, int, str]] = []
        with os.scandir(self._folder) as listed:
            for entry in listed:
                found = entry.stat(follow_symlinks=False) if _ENTRY.fullmatch(entry.name) else None
                if found is None or not stat.S_ISREG(found.st_mode):
                    continue
                if entry.name.startswith(_NEW) and found.st_mtime < time.time() - _STALE_SECONDS:
                    self._discard(entry.name)
                else:
                    entries.append((found.st_mtime, found.st_size, entry.name))
        held = sum(each for _, each, _ in entries)
        for _, each, name in sorted(entries):
            if held + size <= self._max_bytes:
                return
            if not name.startswith(_NEW):
                self._discard(name)
                held -= each

    def _touch(self, name: str) -> None:
        with suppress(OSError):
            os.utime(name, dir_fd=self._folder, follow_symlinks=False)

    def _discard(self, name: str) -> None:
        with suppress(OSError):
            os.unlink(name, dir_fd=self._folder)


def _read(file: int, size: int) -> bytes:
    """Read so many bytes, or up to the end, or to where it cannot be read: then its hash is another one."""
    pieces = []
    with suppress(OSError):  # Another pod may have removed it; file systems of networks tell that here.
        while size and (piece := os.read(file, size)):
            pieces.append(piece)
            size -= len(piece)
    return b"".join(pieces)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # A file system without locks: then there are none.
        return True
    return True
