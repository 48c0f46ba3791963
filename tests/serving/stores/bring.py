"""Fetches in the process of the test, as the init container does in its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server import sources
from model_server.sources.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.cache import Cache


class Bringer:
    """Fetches into one new folder after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self.progress = Progress()

    async def __call__(
        self,
        uri: str,
        *,
        digest: str | None = None,
        source: Path | None = None,
        cache: Cache | None = None,
        max_bytes: int = 2**30,
        seconds: float = 60,
    ) -> sources.Got:
        self._number += 1
        self.progress = Progress()
        folder = self._folder / f"incoming-{self._number}"
        folder.mkdir()
        return await sources.get(
            sources.Order(uri, digest, folder, source or folder, max_bytes, seconds, cache, self.progress)
        )
