"""Listens for connections, and ends them in good order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from model_server.http2.connection import Connection
from model_server.listening import Connections, Door

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from model_server.http2.connection import Application
    from model_server.listening import Sharing

PORT: Final = "grpc"
"""What processes that share connections call it."""
CHECK_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02


class Listening:
    """Answers on one port; without a listener, the connections that its door is handed."""

    def __init__(
        self,
        application: Application,
        listener: socket.socket | None,
        sharing: Sharing | None = None,
        ended: Callable[[], None] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.connections: Connections[Connection] = Connections(ended)
        self.door = Door(PORT, lambda: Connection(application, self.connections), listener, sharing, ended)
        if sharing is not None:
            sharing.count(lambda: len(self.connections) + self.door.beginning)
        self._timer = self._loop.call_later(CHECK_SECONDS, self._check)

    async def listen(self, tls: ssl.SSLContext | None = None) -> None:
        """Take connections from now on; called again, take them with other certificates. Those that are there stay."""
        await self.door.open(tls)

    async def close(self, seconds: float) -> None:
        """Take no more connections, finish the calls that run, at most for so long, and end."""
        self._timer.cancel()
        self.door.close()
        await self.door.settle()
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
