"""How much may be fetched: bytes within the limit and within what the volume has free."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from model_server.contract import Env
from model_server.sources.parts import failed

if TYPE_CHECKING:
    from pathlib import Path

CHUNK_BYTES: Final = 2**20
"""Read at once of one connection."""
MAX_FILES: Final = 10_000
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


class Budget:
    """Counts bytes before they are written."""

    def __init__(self, max_bytes: int, folder: Path) -> None:
        self.max_bytes = max_bytes
        self.taken = 0
        self._folder = folder

    def expect(self, size: int, what: str) -> None:
        """Refuse at once what is known to be too large. Raises `StartError`."""
        if self.taken + size > self.max_bytes:
            raise failed(
                f"{what} has {amount(size)}, over the limit of {amount(self.max_bytes)} ({Env.MAX_MODEL_BYTES})"
            )
        free = shutil.disk_usage(self._folder).free
        if size > free:
            raise failed(f"{what} has {amount(size)}, but the volume at {self._folder} has {amount(free)} free")

    def take(self, size: int) -> None:
        """Count bytes that came. Raises `StartError`."""
        self.taken += size
        if self.taken > self.max_bytes:
            raise failed(f"the model is over the limit of {amount(self.max_bytes)} ({Env.MAX_MODEL_BYTES})")


def amount(size: float) -> str:
    """Write a number of bytes for people."""
    power = 0
    while size >= 1024 and power + 1 < len(_UNITS):
        size, power = size / 1024, power + 1
    return f"{size:.0f} {_UNITS[power]}" if power == 0 or size >= 100 else f"{size:.1f} {_UNITS[power]}"
