"""Which ModelDeployments are to be looked at, and when.

A key stands in the queue at most once, and never with two workers at a time: what happens while it is worked on makes
it due once more. Failures wait longer each time, up to a limit, and a little at random so as not to come all at once.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections.abc import Iterable
from typing import Final

from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.pace import backoff

FIRST_BACKOFF: Final = 0.1
"""Seconds."""
LONGEST_BACKOFF: Final = 60.0
_VOID_ENTRIES: Final = 1000
"""So many entries of the heap may be void before it is made anew."""


class Queue:
    """One for the process; used from its event loop only."""

    def __init__(self) -> None:
        self._due: dict[Key, float] = {}
        """Keys that wait for a worker, in order, with the time since when."""
        self._working: dict[Key, float] = {}
        """Keys that a worker has, with the time since when."""
        self._again: dict[Key, float] = {}
        """Those of them that are due once more, likewise."""
        self._failures: dict[Key, int] = {}
        self._wake_at: dict[Key, float] = {}
        """The one time that counts for a key; entries of the heap that differ are void."""
        self._heap: list[tuple[float, Key]] = []
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due) + len(self._again)

    @property
    def oldest(self) -> float:
        """Seconds for which the key that waits longest has waited; 0 if none does. Any thread may ask."""
        return _age([*self._due.values(), *self._again.values()])

    @property
    def working(self) -> int:
        """Keys that workers have."""
        return len(self._working)

    @property
    def slowest(self) -> tuple[Key | None, float]:
        """The key that a worker has had for longest, and for how many seconds. Any thread may ask."""
        began = dict(self._working)
        key = min(began, key=began.__getitem__, default=None)
        return key, 0.0 if key is None else time.monotonic() - began[key]

    def add(self, key: Key) -> None:
        """Make a key due now."""
        (self._again if key in self._working else self._due).setdefault(key, time.monotonic())
        self._changed.set()

    def schedule(self, key: Key, delay: float | None) -> None:
        """Make a key due after so many seconds, instead of at any time set before; None for not at all."""
        self._wake_at.pop(key, None)
        if delay is not None:
            self._wake_at[key] = asyncio.get_running_loop().time() + max(0.0, delay)
            heapq.heappush(self._heap, (self._wake_at[key], key))
            if len(self._heap) > _VOID_ENTRIES + 2 * len(self._wake_at):
                self._heap = [(due, waiting) for waiting, due in self._wake_at.items()]
                heapq.heapify(self._heap)
            self._changed.set()

    async def get(self) -> Key:
        """Return the next key that is due; `done` must follow."""
        while True:
            wait = self._wake_due()
            if self._due:
                key = next(iter(self._due))
                del self._due[key]
                self._working[key] = time.monotonic()
                return key
            self._changed.clear()
            try:
                async with asyncio.timeout(wait):  # wait_for of Python 3.11 may forget a cancellation.
                    await self._changed.wait()
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        """Give a key back."""
        self._working.pop(key, None)
        if key in self._again:
            self._due.setdefault(key, self._again.pop(key))
            self._changed.set()

    def failed(self, key: Key) -> float:
        """Make a key due after a while that grows with each failure in a row; return the seconds."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        chance = random.random()  # noqa: S311 - spreads load.
        delay = backoff(failures, first=FIRST_BACKOFF, longest=LONGEST_BACKOFF, chance=chance)
        self.schedule(key, delay)
        return delay

    def succeeded(self, key: Key) -> None:
        """Forget the failures of a key."""
        self._failures.pop(key, None)

    def forget(self, key: Key) -> None:
        """Forget everything about a key whose object is gone."""
        self._failures.pop(key, None)
        self._wake_at.pop(key, None)

    def _wake_due(self) -> float | None:
        """Make due what is, and return the seconds until the next is."""
        now = asyncio.get_running_loop().time()
        while self._heap:
            due, key = self._heap[0]
            if self._wake_at.get(key) != due:
                heapq.heappop(self._heap)
            elif due <= now:
                heapq.heappop(self._heap)
                del self._wake_at[key]
                self.add(key)
            else:
                return due - now
        return None


def _age(times: Iterable[float]) -> float:
    first = min(times, default=None)
    return 0.0 if first is None else max(0.0, time.monotonic() - first)
