"""Listens on a port and closes it in good order: no more connections, then no more requests, then the end."""

from __future__ import annotations

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING, Final

from model_server.http import limits
from model_server.http.connection import Awaited, Connection
from model_server.http.limits import Bodies
from model_server.http.writer import Clock
from model_server.listening import Connections, Door

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import AsyncIterator, Callable, Mapping

    from model_server.http.messages import Handler
    from model_server.listening import Sharing

PORT: Final = "http"
"""What processes that share connections call it."""
PATIENCE: Final = {
    Awaited.REQUEST: limits.UNFINISHED_SECONDS,
    Awaited.ANSWER: math.inf,
    Awaited.NEXT: limits.KEEP_ALIVE_SECONDS,
    Awaited.TAKING: limits.UNFINISHED_SECONDS,
    Awaited.END: limits.LINGER_SECONDS,
}
_TICK_SECONDS: Final = 1.0
_BUFFER_BYTES: Final = 64 * 2**10


class Shared:
    """What the connections of a port have in common."""

    def __init__(
        self,
        handler: Handler,
        bodies: Bodies,
        patience: Mapping[Awaited, float],
        ended: Callable[[], None] | None = None,
    ) -> None:
        self.handler = handler
        self.bodies = bodies
        self.patience = patience
        self.loop = asyncio.get_running_loop()
        self.clock = Clock()
        self.buffer = memoryview(bytearray(_BUFFER_BYTES))
        self.connections: Connections[Connection] = Connections(ended)
        self.is_ending = False
        self._nobody = asyncio.Event()

    def lost(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        if not self.connections:
            self._nobody.set()

    async def until_nobody(self, seconds: float) -> None:
        """Wait until there are no connections, at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.connections:
                    self._nobody.clear()
                    await self._nobody.wait()


class HttpServer:
    """Answers on one port; without a listener, the connections that its door is handed."""

    def __init__(
        self,
        handler: Handler,
        listener: socket.socket | None,
        bodies: Bodies | None = None,
        patience: Mapping[Awaited, float] = PATIENCE,
        sharing: Sharing | None = None,
        ended: Callable[[], None] | None = None,
    ) -> None:
        self.shared = shared = Shared(handler, bodies or Bodies(), patience, ended)
        self.door = Door(PORT, lambda: Connection(shared), listener, sharing, ended)
        if sharing is not None:
            sharing.count(lambda: len(shared.connections) + self.door.beginning)
        self._tick_seconds = min(_TICK_SECONDS, *(seconds / 4 for seconds in patience.values()))
        self._timer = self.shared.loop.call_later(self._tick_seconds, self._tick)

    async def listen(self, tls: ssl.SSLContext | None = None) -> None:
        """Take connections from now on; called again, take them with other certificates."""
        await self.door.open(tls)

    async def close(self, seconds: float = limits.FINISH_SECONDS) -> None:
        """Take no more connections, finish what is asked, at most for so long, and end."""
        shared = self.shared
        shared.is_ending = True
        self.door.close()
        await self.door.settle()
        for connection in list(shared.connections):
            connection.finish()
        await shared.until_nobody(seconds)
        for connection in list(shared.connections):
            connection.stop()
        await shared.until_nobody(1.0)
        self._timer.cancel()

    def _tick(self) -> None:
        shared = self.shared
        shared.clock.tick()
        now = shared.clock.now
        for connection in [one for one in shared.connections if one.deadline <= now]:
            connection.expire()
        self._timer = shared.loop.call_later(self._tick_seconds, self._tick)


@contextlib.asynccontextmanager
async def listening(
    handler: Handler,
    listener: socket.socket | None,
    bodies: Bodies | None = None,
    tls: ssl.SSLContext | None = None,
    sharing: Sharing | None = None,
    ended: Callable[[], None] | None = None,
) -> AsyncIterator[HttpServer]:
    """Answer on a port; at the end take no more connections and finish running requests."""
    server = HttpServer(handler, listener, bodies, sharing=sharing, ended=ended)
    await server.listen(tls)
    try:
        yield server
    finally:
        await server.close()
