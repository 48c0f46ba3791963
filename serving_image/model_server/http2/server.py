"""Listens for connections, and ends them in good order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from model_server.http2.connection import Connection

if TYPE_CHECKING:
    import socket
    import ssl

    from model_server.http2.connection import Application

CHECK_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02
_BACKLOG: Final = 2048
_HANDSHAKE_SECONDS: Final = 10.0


class Listening:
    """Answers on one port."""

    def __init__(self, application: Application, listener: socket.socket) -> None:
        self._application = application
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._timer = self._loop.call_later(CHECK_SECONDS, self._check)

    async def listen(self, tls: ssl.SSLContext | None = None) -> None:
        """Take connections from now on; called again, take them with other certificates. Those that are there stay."""
        before = self._server
        self._server = await self._loop.create_server(
            lambda: Connection(self._application, self.connections),
            sock=self._listener.dup(),
            ssl=tls,
            backlog=_BACKLOG,
            ssl_handshake_timeout=None if tls is None else _HANDSHAKE_SECONDS,
        )
        if before is not None:
            before.close()

    async def close(self, seconds: float) -> None:
        """Take no more connections, finish the calls that run, at most for so long, and end."""
        self._timer.cancel()
        if self._server is not None:
            self._server.close()
        self._listener.close()
        for connection in list(self.connections):
            connection.leave()
        until = self._loop.time() + seconds
        while self.connections and self._loop.time() < until:  # noqa: ASYNC110  # Once in the life of a process.
            await asyncio.sleep(_POLL_SECONDS)
        for connection in list(self.connections):
            connection.abort()

    def _check(self) -> None:
        for connection in list(self.connections):
            connection.check(self._loop.time())
        self._timer = self._loop.call_later(CHECK_SECONDS, self._check)
