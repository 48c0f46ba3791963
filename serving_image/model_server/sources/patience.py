"""When to try again, and when no more."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from model_server import logs
from model_server.sources.parts import failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from model_server.sources.parts import Interrupted

ATTEMPTS: Final = 5
"""In a row that bring nothing."""
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 60.0
"""Also of what a server asks for: a pod that starts cannot wait for an hour."""


class Patience:
    """Waits longer with each attempt in a row that brings nothing; gives up after some."""

    def __init__(self, what: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._what = what
        self._sleep = sleep
        self._vain = 0

    def progressed(self) -> None:
        """Begin anew: something came."""
        self._vain = 0

    async def wait(self, error: Interrupted) -> None:
        """Wait until it is time to try again. Raises `StartError`."""
        self._vain += 1
        if self._vain >= ATTEMPTS:
            where = "" if error.message.startswith(self._what) else f"{self._what}: "
            raise failed(f"{where}{error.message} (tried {ATTEMPTS} times)") from error
        seconds = _FIRST_WAIT * 2 ** (self._vain - 1) * random.uniform(0.5, 1)  # noqa: S311  # No secret.
        seconds = min(max(seconds, error.wait), _LONGEST_WAIT)
        logs.warning("fetching goes on", what=self._what, problem=error.message, after_seconds=round(seconds, 2))
        await self._sleep(seconds)
