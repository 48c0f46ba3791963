"""Runs a coroutine without a task: as far as it goes at once, and on from there when what it waits for is told.

A task takes a turn of the event loop to begin, one to be woken, and one to tell that it is done. A prediction waits for
one thing, and is run here in the turn in which the model has answered.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from model_server.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

Result = TypeVar("Result")


class Promise(asyncio.Future[Result]):
    """A future that tells a `Run` at once."""

    waking: Callable[[], None] | None = None

    def keep(self, result: Result) -> None:
        """Set the result, and have the one who waits go on with it."""
        self.set_result(result)
        if self.waking is not None:
            self.waking()

    def fail(self, error: Exception) -> None:
        """Set an exception in the same way."""
        self.set_exception(error)
        if self.waking is not None:
            self.waking()


class Run(Generic[Result]):
    """One coroutine that waits for futures and nothing else: what needs a task, as `asyncio.timeout` does, fails."""

    __slots__ = ("_awaited", "_coroutine", "_done", "error", "result")

    result: Result

    def __init__(self, coroutine: Coroutine[Any, Any, Result]) -> None:
        self._coroutine = coroutine
        self._awaited: asyncio.Future[Any] | None = None
        self._done: Callable[[Run[Result]], None] | None = None
        self.error: BaseException | None = None
        """What it raised."""

    def __await__(self) -> Generator[Any, Any, Result]:
        """Run it as a part of what awaits it."""
        return self._coroutine.__await__()

    def begin(self, done: Callable[[Run[Result]], None]) -> bool:
        """Begin; true if that was all of it. Else `done` is called with this at the end, whatever that is."""
        if self._goes_on():
            self._done = done
            return False
        return True

    def cancel(self) -> None:
        """Raise `CancelledError` where it waits."""
        awaited = self._awaited
        if awaited is not None and awaited.cancel() and isinstance(awaited, Promise):
            self._wake()

    def _wake(self, _: object = None) -> None:
        try:
            if self._awaited is not None and not self._goes_on() and self._done is not None:
                self._done(self)
        except Exception:  # Those who wait for other answers are told all the same.
            logger.exception("an answer failed")

    def _goes_on(self) -> bool:
        self._awaited = None
        try:
            awaited = self._coroutine.send(None)
        except StopIteration as end:
            self.result = end.value
            return False
        except (Exception, asyncio.CancelledError) as error:
            self.error = error
            return False
        if awaited is None:  # It only gives way to others.
            awaited = asyncio.ensure_future(asyncio.sleep(0))
        self._awaited = awaited
        if isinstance(awaited, Promise):
            awaited.waking = self._wake
        else:
            awaited.add_done_callback(self._wake)
        awaited._asyncio_future_blocking = False  # noqa: SLF001  # So a task tells it that it has understood.
        return True
