"""Runs something in a thread and an event loop of its own, and runs it anew whenever it ends.

Kopf ends when it does not know how to go on, and takes all tasks of its event loop along that began after it did
(`run_tasks` in kopf/_core/reactor/running.py). So it has a loop of its own: reconciles, the Lease, the metrics and the
probes go on while it begins anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from modeldeployment_operator.core.pace import backoff

_log = logging.getLogger(__name__)

_FIRST_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 16.0
_PROVEN_SECONDS: Final = 60.0
"""What ran so long had a good start: its end is the first failure again."""
_FAREWELL_SECONDS: Final = 2.0
"""So long it may take to close its connections at the end."""


async def keep_running(make: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    """Run what `make` returns, each time anew, for ever; the cancellation of this ends it for good."""
    failures = 0
    while True:
        began = time.monotonic()
        reason: object = "it ended"
        try:
            await _Run(make, name).wait()
        except Exception as error:  # Whatever it was: there is nobody else who could go on.
            _log.debug("%s ended", name, exc_info=True)
            reason = f"{type(error).__name__}: {error}"
        failures = 1 if time.monotonic() - began > _PROVEN_SECONDS else failures + 1
        chance = random.random()  # noqa: S311 - it spreads load.
        wait = backoff(failures, first=_FIRST_SECONDS, longest=_LONGEST_SECONDS, chance=chance)
        _log.warning("%s begins anew in %.1f s: %s", name, wait, reason)
        await asyncio.sleep(wait)


class _Run:
    """One run of it."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._make = make
        self._caller = asyncio.get_running_loop()
        self._ended: asyncio.Future[None] = self._caller.create_future()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    async def wait(self) -> None:
        """Begin, and wait for the end; raise what it raised."""
        self._thread.start()
        try:
            await asyncio.shield(self._ended)
        except asyncio.CancelledError:
            if self._task is not None:
                with contextlib.suppress(RuntimeError):  # Its loop has ended meanwhile.
                    self._task.get_loop().call_soon_threadsafe(self._task.cancel)
                self._ended.add_done_callback(asyncio.Future.exception)  # It is known what ended it.
                await asyncio.wait([self._ended], timeout=_FAREWELL_SECONDS)
            raise

    def _work(self) -> None:
        error: BaseException | None = None
        try:
            asyncio.run(self._main())
        except BaseException as reason:  # It is handed to who waits.
            error = reason
        with contextlib.suppress(RuntimeError):  # The caller's loop is closed: nobody waits.
            self._caller.call_soon_threadsafe(self._tell, error)

    async def _main(self) -> None:
        self._task = asyncio.create_task(self._make())
        await self._task

    def _tell(self, error: BaseException | None) -> None:
        if self._ended.done():
            return
        if error is None:
            self._ended.set_result(None)
        elif isinstance(error, Exception):
            self._ended.set_exception(error)
        else:
            self._ended.set_exception(RuntimeError(type(error).__name__))
