"""A client for many small requests to one server: kept connections, one request at a time on each, and no tasks.

What is wanted of an answer is its status and a few headers; its body is thrown away. For all else there is `pods`.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.http.tls import Identity

CONNECT_SECONDS: Final = 1.0
MOST_HEAD_BYTES: Final = 64 * 2**10
MOST_IDLE: Final = 64
_FIRST_CODE: Final = 200
"""Lower ones only announce an answer."""


class Reply(NamedTuple):
    """What is known of an answer."""

    status: int
    headers: bytes
    """As they came."""

    def header(self, name: bytes) -> str | None:
        """Return the first value of a header; `name` is in lower case."""
        at = self.headers.lower().find(b"\r\n" + name + b":")
        if at < 0:
            return None
        start = at + len(name) + 3
        return self.headers[start : self.headers.find(b"\r\n", start)].strip().decode("latin-1")


class _Connection(asyncio.Protocol):
    """One connection, as long as it lasts."""

    def __init__(self, idle: list[_Connection]) -> None:
        self._idle = idle
        self._transport: asyncio.Transport | None = None
        self._done: Callable[[Reply | None], None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._come = b""
        self._reply: Reply | None = None
        self._left = 0
        """Bytes of the body that are still to come."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # It is one for streams.
        self._transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        if self in self._idle:
            self._idle.remove(self)
        self._finish(None)

    def ask(self, request: bytes, seconds: float, done: Callable[[Reply | None], None]) -> None:
        """Send a request, and tell what came of it."""
        self._done = done
        self._come, self._reply, self._left = b"", None, 0
        if self._transport is None or self._transport.is_closing():
            self._finish(None)
            return
        self._expiry = asyncio.get_running_loop().call_later(seconds, self.close)
        self._transport.write(request)

    def close(self) -> None:
        """Give up."""
        if self._transport is not None:
            self._transport.abort()
        self._finish(None)

    def data_received(self, data: bytes) -> None:
        if self._done is None:  # Nobody has asked.
            self.close()
        elif self._reply is None:
            self._come += data
            self._read_head()
        else:
            self._take(len(data))

    def _read_head(self) -> None:
        end = self._come.find(b"\r\n\r\n")
        if end < 0:
            if len(self._come) > MOST_HEAD_BYTES:
                self.close()
            return
        head, rest = self._come[: end + 2], self._come[end + 4 :]
        try:
            reply = Reply(int(head[9:12]), head[head.index(b"\r\n") :])
            size = int(reply.header(b"content-length") or -1)
        except ValueError:
            self.close()
            return
        if reply.status < _FIRST_CODE:
            self._come = rest
            self._read_head()
            return
        self._reply = reply
        if size < 0 or (reply.header(b"connection") or "").lower() == "close":
            self._finish(reply)
            self.close()
            return
        self._left = size
        self._take(len(rest))

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            self.close()
        elif not self._left:
            if len(self._idle) < MOST_IDLE:
                self._idle.append(self)
                self._finish(self._reply)
            else:
                self._finish(self._reply)
                self.close()

    def _finish(self, reply: Reply | None) -> None:
        done, self._done = self._done, None
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        if done is not None:
            done(reply)


class Asking:
    """The connections to one server at a time."""

    def __init__(self, identity: Callable[[], Identity | None]) -> None:
        self._identity = identity
        self._shown: Identity | None = None
        self._target = ""
        self._idle: list[_Connection] = []
        self._opening: set[asyncio.Task[None]] = set()

    def ask(self, target: str, request: bytes, seconds: float, done: Callable[[Reply | None, bool], None]) -> None:
        """Send a whole request to HOST:PORT.

        `done` is called once with the answer, or None if there was none in time; and with whether the server was there.
        """
        identity = self._identity()
        if target != self._target or identity is not self._shown:
            self.close()
            self._target, self._shown, self._idle = target, identity, []
        if self._idle:
            self._idle.pop().ask(request, seconds, lambda reply: done(reply, True))
            return
        task = asyncio.get_running_loop().create_task(self._open(target, identity, request, seconds, done))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(
        self,
        target: str,
        identity: Identity | None,
        request: bytes,
        seconds: float,
        done: Callable[[Reply | None, bool], None],
    ) -> None:
        idle, (host, _, port) = self._idle, target.rpartition(":")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(idle),
                    host.strip("[]"),
                    int(port),
                    ssl=None if identity is None else identity.client,
                    server_hostname=None if identity is None else identity.name or host.strip("[]"),
                )
        except (OSError, TimeoutError, ValueError, OverflowError):  # The last two of a port that is none.
            done(None, False)
        except asyncio.CancelledError:
            done(None, False)
            raise
        else:
            connection.ask(request, seconds, lambda reply: done(reply, True))

    def close(self) -> None:
        """Close what is kept. What is under way finishes, or runs out of time."""
        idle, self._idle = self._idle, []
        for connection in idle:
            with contextlib.suppress(OSError):
                connection.close()
