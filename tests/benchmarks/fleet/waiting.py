"""Sees through a watch when all of them are as they should be."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import aiohttp

if TYPE_CHECKING:
    from tests.benchmarks.fleet.client import Client

Body = dict[str, Any]
LONGEST_SECONDS: Final = 900.0


class Watched:
    """The objects of one list, as the watch tells. Each event costs the same, however many there are."""

    def __init__(self) -> None:
        self._bodies: dict[str, Body] = {}
        self._good: set[str] = set()
        self._holds: Callable[[Body], bool] = lambda _: True
        self._changed = asyncio.Event()
        self._trouble: BaseException | None = None

    def fail(self, trouble: BaseException) -> None:
        """Take note that the watch has ended."""
        self._trouble = trouble
        self._changed.set()

    def see(self, kind: str, body: Body) -> None:
        """Take note of an event."""
        name = body["metadata"]["name"]
        self._good.discard(name)
        if kind == "DELETED":
            self._bodies.pop(name, None)
        else:
            self._bodies[name] = body
            if self._holds(body):
                self._good.add(name)
        self._changed.set()

    async def until_all(self, count: int, holds: Callable[[Body], bool], what: str) -> float:
        """Wait until there are so many and it holds of each; return the time by time.monotonic."""
        self._holds = holds
        self._good = {name for name, body in self._bodies.items() if holds(body)}
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                while not len(self._bodies) == len(self._good) == count:
                    if self._trouble:
                        raise RuntimeError("the watch has ended") from self._trouble
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError as error:
            found = f"{len(self._good)} of {len(self._bodies)}"
            raise RuntimeError(f"{found} are {what} after {LONGEST_SECONDS:.0f} s, not {count}") from error
        return time.monotonic()


@asynccontextmanager
async def watched(client: Client, path: str) -> AsyncIterator[Watched]:
    """Follow a list while the context lasts."""
    found = Watched()

    async def follow() -> None:
        events = client.watch(path)
        try:
            async with contextlib.aclosing(events):
                async for kind, body in events:
                    found.see(kind, body)
        except (RuntimeError, OSError, aiohttp.ClientError, ValueError) as error:
            found.fail(error)

    task = asyncio.create_task(follow())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
