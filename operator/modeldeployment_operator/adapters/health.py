"""What can be told of the process's own health: whether its event loops turn, and whether its workers come to an end.

A loop that is stuck answers no probe, which tells the kubelet enough; where it is stuck is written to the log. What the
main loop can tell of the rest is `problems`: each is something that a restart mends, and a restart loses nothing.
"""

from __future__ import annotations

import asyncio
import faulthandler
import time
from collections.abc import Iterator
from typing import Final

from prometheus_client import Histogram

from modeldeployment_operator.adapters.queue import Queue

_BEAT_SECONDS: Final = 1.0
_STUCK_SECONDS: Final = 20.0
"""After which a loop that does not turn has its threads' stacks written to the log; the kubelet ends it after 30."""
_SILENT_SECONDS: Final = 120.0
"""A loop that is begun anew after an error turns again much sooner."""
_HUNG_SECONDS: Final = 600.0
"""Each call of a reconcile has a limit of time: all of them, one after the other, stay far below."""


class Heartbeat:
    """Of one event loop: it measures how late the loop is, and shows that it turns."""

    def __init__(self, name: str, lag: Histogram, *, tells_stacks: bool = False) -> None:
        self.name = name
        self._lag = lag.labels(name)
        self._tells_stacks = tells_stacks
        self._last: float | None = None

    @property
    def silence(self) -> float:
        """Seconds since the loop turned last, for any thread; 0 before it ever did, as the start may take its time."""
        return 0.0 if self._last is None else time.monotonic() - self._last

    async def keep(self) -> None:
        """Beat for ever."""
        try:
            while True:
                if self._tells_stacks:
                    faulthandler.dump_traceback_later(_STUCK_SECONDS)
                self._last = began = time.monotonic()
                await asyncio.sleep(_BEAT_SECONDS)
                self._lag.observe(max(0.0, time.monotonic() - began - _BEAT_SECONDS))
        finally:
            if self._tells_stacks:
                faulthandler.cancel_dump_traceback_later()


def problems(queue: Queue, *heartbeats: Heartbeat) -> Iterator[str]:
    """Yield what is wrong with the process."""
    key, seconds = queue.slowest
    if seconds > _HUNG_SECONDS:
        yield f"the reconcile of {key} has run for {seconds:.0f} s"
    for heartbeat in heartbeats:
        if heartbeat.silence > _SILENT_SECONDS:
            yield f"the event loop of the {heartbeat.name} has not turned for {heartbeat.silence:.0f} s"
