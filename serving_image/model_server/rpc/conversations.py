"""Calls of many messages on both sides."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from model_server.errors import BodyTooLarge, RequestError, Unavailable
from model_server.rpc import framing
from model_server.rpc.codes import Code

if TYPE_CHECKING:
    from model_server.rpc.calls import Talker, Task

MAX_UNREAD: Final = 64
"""Messages of a conversation that wait to be answered."""


class Conversation:
    """What is said on both sides of a streaming call."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._stream = task.stream
        self._heard: deque[tuple[bytes, int]] = deque()
        """Messages, and how many bytes are held for each."""
        self._more = asyncio.Event()
        self._over = False
        self.is_leaving = asyncio.Event()
        """The connection ends: come to an end."""

    def hear(self, message: bytes, packed: int) -> None:
        """Take a message that came in so many bytes, which are held. Raises `RequestError` if too many wait."""
        if len(self._heard) >= MAX_UNREAD:
            raise Unavailable(f"{MAX_UNREAD} messages wait already: wait for answers")
        self._task.call.hold(len(message))
        self._heard.append((message, packed + len(message)))
        self._more.set()

    def end(self) -> None:
        """Note that the other side has said all."""
        self._over = True
        self._more.set()

    def leave(self) -> None:
        """Have who talks come to an end."""
        self.is_leaving.set()
        self._more.set()

    async def next(self) -> bytes | None:
        """Wait for a message; None: there are no more. Raises `Unavailable` if the connection ends."""
        while not self._heard:
            if self.is_leaving.is_set():
                raise leaving()
            if self._over:
                return None
            self._more.clear()
            await self._more.wait()
        message, held = self._heard.popleft()
        self._task.call.release(held)
        return message

    async def say(self, message: bytes) -> None:
        """Send a message, and wait until it is out."""
        head = b"" if self._stream.is_begun else framing.OK_HEAD
        self._stream.connection.send(self._stream, head=head, data=framing.pack(message))
        while self._stream.unsent:  # noqa: ASYNC110  # Seldom: conversations are short, and windows large.
            await asyncio.sleep(0.01)


def leaving() -> Unavailable:
    """Make what ends a conversation whose connection ends."""
    return Unavailable("this pod is leaving: ask again")


class Talk:
    """Takes many messages and answers with many."""

    def __init__(self, task: Task, talker: Talker, limit: int, encoding: str) -> None:
        self._task = task
        self._limit = limit
        self._encoding = encoding
        self._rest = b""
        self._conversation = Conversation(task)
        task.start(self._work, talker)

    def data(self, chunk: bytes, *, last: bool) -> None:
        """Cut what comes into messages."""
        try:
            self._task.call.hold(len(chunk))
            self._rest += chunk
            while len(self._rest) >= framing.PREFIX_BYTES:
                end = framing.PREFIX_BYTES + framing.read_size(self._rest)
                if end > self._limit:
                    raise BodyTooLarge(f"the message is over {self._limit} bytes")
                if len(self._rest) < end:
                    break
                self._conversation.hear(framing.unpack(self._rest[:end], self._encoding, self._limit), end)
                self._rest = self._rest[end:]
        except RequestError as error:
            self._task.cancel()
            self._task.refuse(error)
            return
        if last:
            self._conversation.end()

    async def _work(self, talker: Talker) -> None:
        await talker(self._task.call, self._conversation)
        self._task.end(Code.OK)

    def cancelled(self) -> None:
        """Stop."""
        self._task.cancel()

    def leave(self) -> None:
        """Let the talker come to an end; the client asks again elsewhere."""
        self._conversation.leave()
