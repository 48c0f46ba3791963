"""How far fetching has got, in log lines."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from model_server import logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LOG_SECONDS: Final = 10.0
"""Between two log lines. What takes less has one line when it is done."""


@dataclass(slots=True)
class Progress:
    """Counts what has come."""

    clock: Callable[[], float] = time.monotonic
    done: int = 0
    """Bytes from the source."""
    cached: int = 0
    """Bytes from the cache."""
    expected: int | None = None
    """Bytes from both together; None as long as no server says it."""
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return self.clock() - self.started

    def line(self) -> dict[str, object]:
        """Return the facts of a log line: bytes, bytes a second over all, and seconds to go."""
        seconds = max(self.seconds, 1e-3)
        rate = self.done / seconds
        left = None if self.expected is None else max(0, self.expected - self.done - self.cached)
        facts: dict[str, object] = {"bytes": self.done, "bytes_per_second": round(rate), "seconds": round(seconds, 1)}
        if self.cached:
            facts["cached_bytes"] = self.cached
        if left is not None:
            facts["expected_bytes"] = self.expected
            if rate and left:
                facts["seconds_left"] = round(left / rate)
        return facts

    @asynccontextmanager
    async def told(self, what: str) -> AsyncIterator[None]:
        """Log a line now and then while the block runs."""
        teller = asyncio.create_task(self._tell(what))
        try:
            yield
        finally:
            teller.cancel()

    async def _tell(self, what: str) -> None:
        while True:
            await asyncio.sleep(LOG_SECONDS)
            logs.event("fetching", uri=what, **self.line())
