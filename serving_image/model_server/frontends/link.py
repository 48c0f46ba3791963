"""The socket between the first process and a front end: messages in order, those of one turn of the loop together."""

from __future__ import annotations

import asyncio
import marshal
from typing import TYPE_CHECKING, Any, Final

from model_server.logs import logger

if TYPE_CHECKING:
    from collections.abc import Callable

    Message = tuple[Any, ...]
    """Its kind, and what belongs to it: whatever `marshal` can write."""

_PREFIX_BYTES: Final = 4
_UNWRITABLE: Final = (ValueError, OverflowError, MemoryError)
"""What is raised of a value that `marshal` does not know, and of what is too large."""


class Link(asyncio.Protocol):
    """One end. `take` gets each message that comes, `lost` is called once the other process has gone.

    `unsent` gets a message that cannot be written: who waits for what comes of it is to be told.
    """

    def __init__(
        self,
        take: Callable[[Message], None],
        lost: Callable[[], None],
        unsent: Callable[[Message], None],
    ) -> None:
        self._take = take
        self._lost = lost
        self._unsent = unsent
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._leaving: list[Message] = []
        self._come = bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # It is one for streams.
        """Begin."""
        self._transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        """End."""
        self._transport = None
        self._lost()

    def send(self, *message: Any) -> None:
        """Send a message with the others of this turn. To one who is gone nothing is sent."""
        if not self._leaving:
            self._loop.call_soon(self._flush)
        self._leaving.append(message)

    def close(self) -> None:
        """Send what is left, and end."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take what has come, as far as it is whole."""
        come = self._come
        come += data
        start, end = 0, len(come)
        while end - start >= _PREFIX_BYTES:
            size = int.from_bytes(come[start : start + _PREFIX_BYTES], "little")
            if end - start - _PREFIX_BYTES < size:
                break
            start += _PREFIX_BYTES
            # Made by our own other half, which read what clients sent: `marshal` is not for strangers.
            messages = marshal.loads(come[start : start + size])  # noqa: S302
            start += size
            for message in messages:
                self._take_one(message)
        del come[:start]

    def _flush(self) -> None:
        messages, self._leaving = self._leaving, []
        if not messages or self._transport is None:
            return
        try:
            frame = _frame(messages)
        except _UNWRITABLE:  # One of them, or they are too large together.
            frame = b"".join(map(self._frame_of_one, messages))
        self._transport.write(frame)

    def _frame_of_one(self, message: Message) -> bytes:
        try:
            return _frame([message])
        except _UNWRITABLE as error:
            logger.error("a message between processes cannot be written", exc_info=error)
            self._unsent(message)
            return b""

    def _take_one(self, message: Message) -> None:
        try:
            self._take(message)
        except Exception:  # Else the link would end, and all connections of the front end with it.
            logger.exception("a message between processes was not understood")


def _frame(messages: list[Message]) -> bytes:
    content = marshal.dumps(messages)
    return len(content).to_bytes(_PREFIX_BYTES, "little") + content
