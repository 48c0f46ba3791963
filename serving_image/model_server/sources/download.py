"""Gets the parts of a model into files: several at once, going on where a connection broke, hashed as they are written.

A large file is read as ranges, several at once, that are put together in order, so that its hash is that of what was
written without reading it again. At most `PARALLEL` ranges are in memory. Small files are read side by side.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from model_server.sources.parts import SHA256, Interrupted, NoRanges, failed
from model_server.sources.patience import Patience

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path
    from typing import Self

    from model_server.cache import Cache
    from model_server.sources.limits import Budget
    from model_server.sources.parts import Part
    from model_server.sources.progress import Progress

PARALLEL: Final = 4
"""Connections at once."""
RANGE_BYTES: Final = 8 * 2**20


class Downloads:
    """Saves parts below a folder."""

    def __init__(self, folder: Path, budget: Budget, progress: Progress, cache: Cache | None) -> None:
        self._folder = folder
        self._budget = budget
        self._progress = progress
        self._cache = cache

    async def save(self, parts: Sequence[Part], uri: str) -> dict[str, str]:
        """Save all parts; returns their SHA-256 by name. Raises `StartError`, OSError."""
        if all(part.size is not None for part in parts):
            expected = sum(part.size or 0 for part in parts)
            self._progress.expected = (self._progress.expected or 0) + expected
            self._budget.expect(expected, uri)
        if len({part.name for part in parts}) < len(parts):
            raise failed(f"{uri} has two files of one name")
        digests: dict[str, str] = {}
        slots = asyncio.Semaphore(PARALLEL)

        async def save_small(part: Part) -> None:
            async with slots:
                digests[part.name.as_posix()] = await self._save(part)

        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    if not _is_large(part):
                        group.create_task(save_small(part))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None  # The first one; the others were cancelled for it.
        for part in filter(_is_large, parts):
            digests[part.name.as_posix()] = await self._save(part)
        return digests

    async def _save(self, part: Part) -> str:
        target = self._folder / part.name
        target.parent.mkdir(parents=True, exist_ok=True)
        known = part.sha256
        if self._cache is not None and known is not None:
            size = await asyncio.to_thread(self._cache.restore_file, known, target)
            if size is not None:
                self._budget.take(size)
                self._progress.cached += size
                return known
        digest = await self._download(part, target)
        if self._cache is not None and known is not None:
            await asyncio.to_thread(self._cache.keep_file, known, target)
        return digest

    async def _download(self, part: Part, target: Path) -> str:
        with _Writer(target, part, self._budget, self._progress) as writer:
            if _is_large(part):
                try:
                    async for data in self._ranges(part):
                        await asyncio.to_thread(writer.write, data)
                except NoRanges:
                    writer.restart()
                    await _stream(part, writer, seekable=False)
            elif part.size != 0:
                await _stream(part, writer, seekable=part.seekable)
            return writer.finish()

    async def _ranges(self, part: Part) -> AsyncIterator[bytearray]:
        """Read ranges ahead, and give them out in order."""
        size = part.size or 0
        starts = iter(range(0, size, RANGE_BYTES))
        ahead: deque[asyncio.Task[bytearray]] = deque()
        try:
            while True:
                while len(ahead) < PARALLEL and (start := next(starts, None)) is not None:
                    ahead.append(asyncio.create_task(_range(part, start, min(start + RANGE_BYTES, size))))
                if not ahead:
                    return
                yield await ahead.popleft()
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)


def _is_large(part: Part) -> bool:
    return part.seekable and part.size is not None and part.size > RANGE_BYTES


async def _range(part: Part, start: int, end: int) -> bytearray:
    """Read a range, however often the connection breaks."""
    data, patience = bytearray(), Patience(part.name.as_posix())
    while True:
        try:
            async for chunk in part.read(start + len(data), end):
                data += chunk
                patience.progressed()
                if start + len(data) > end:
                    break
        except Interrupted as error:
            await patience.wait(error)
            continue
        if start + len(data) > end:
            raise failed(f"{part.name}: the server sent more than it was asked for")
        if start + len(data) == end:
            return data
        await patience.wait(Interrupted(f"the answer ended {end - start - len(data)} bytes too early"))


async def _stream(part: Part, writer: _Writer, *, seekable: bool) -> None:
    """Read a file from the start to the end, going on where that is possible, or else beginning anew."""
    patience, furthest = Patience(part.name.as_posix()), 0
    while True:
        try:
            async for chunk in part.read(writer.size, part.size):
                writer.write(chunk)
                if writer.size > furthest:
                    furthest = writer.size
                    patience.progressed()
        except NoRanges:
            seekable = False
            writer.restart()
            continue
        except Interrupted as error:
            problem = error
        else:
            if part.size is None or writer.size == part.size:
                return
            problem = Interrupted(f"the answer ended {part.size - writer.size} bytes too early")
        if not seekable:
            writer.restart()
        await patience.wait(problem)


class _Writer:
    """A file, and the hashes of what was written into it."""

    def __init__(self, target: Path, part: Part, budget: Budget, progress: Progress) -> None:
        self._part = part
        self._budget = budget
        self._progress = progress
        self._file = target.open("xb")
        self._begin()

    def _begin(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        others = (one for one in self._part.checksums if one.algorithm != SHA256 or one.prefix)
        self._others: list[tuple[str, str, Any]] = [(one.algorithm, one.hexdigest, one.begin()) for one in others]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes | bytearray) -> None:
        """Add bytes. Raises `StartError`, OSError."""
        length = len(data)
        self._budget.take(length)
        if self._part.size is not None and self.size + length > self._part.size:
            raise failed(f"{self._part.name}: the server sends more than the {self._part.size} bytes it announced")
        self._file.write(data)
        self._sha256.update(data)
        for _, _, other in self._others:
            other.update(data)
        self.size += length
        self._progress.done += length

    def restart(self) -> None:
        """Forget what came: there is no going on in the middle."""
        self._budget.taken -= self.size
        self._file.seek(0)
        self._file.truncate()
        self._begin()

    def finish(self) -> str:
        """Compare what is known of the file with what came; returns its SHA-256. Raises `StartError`."""
        digest = self._sha256.hexdigest()
        got = [(name, wanted, one.hexdigest()) for name, wanted, one in self._others]
        for name, wanted, have in [*got, (SHA256, self._part.sha256 or digest, digest)]:
            if have != wanted:
                raise failed(f"{self._part.name} was damaged on its way: its {name} is {have}, and should be {wanted}")
        self._file.flush()
        return digest
