"""How long threads were busy, all together."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Busy:
    """Adds up what several threads spend in `with busy:`, what is still going on included.

    Otherwise a long call would be missing until it ends, and then be more than its threads could have done.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._running = 0
        self._sum = 0.0
        """Of all ends, minus all beginnings."""

    def __enter__(self) -> None:
        with self._lock:
            self._running += 1
            self._sum -= self._clock()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._running -= 1
            self._sum += self._clock()

    def add(self, seconds: float) -> None:
        """Add a call that was too short to be missed while it went on."""
        with self._lock:
            self._sum += seconds

    @property
    def seconds(self) -> float:
        """Until now."""
        with self._lock:
            return self._sum + self._running * self._clock()
