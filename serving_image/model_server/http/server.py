"""Listens on a port and closes it in good order: no more connections, then no more requests, then the end."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from typing import TYPE_CHECKING, Final

from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.http import limits
from model_server.http.connection import Awaited, Connection
from model_server.http.limits import Bodies
from model_server.http.writer import Clock

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping

    from model_server.http.messages import Handler

PATIENCE: Final = {
    Awaited.REQUEST: limits.UNFINISHED_SECONDS,
    Awaited.ANSWER: math.inf,
    Awaited.NEXT: limits.KEEP_ALIVE_SECONDS,
    Awaited.TAKING: limits.UNFINISHED_SECONDS,
    Awaited.END: limits.LINGER_SECONDS,
}
_BACKLOG: Final = 2048
_TICK_SECONDS: Final = 1.0
_BUFFER_BYTES: Final = 64 * 2**10
_HANDSHAKE_SECONDS: Final = 10.0


class Shared:
    """What the connections of a port have in common."""

    def __init__(self, handler: Handler, bodies: Bodies, patience: Mapping[Awaited, float]) -> None:
        self.handler = handler
        self.bodies = bodies
        self.patience = patience
        self.loop = asyncio.get_running_loop()
        self.clock = Clock()
        self.buffer = memoryview(bytearray(_BUFFER_BYTES))
        self.connections: set[Connection] = set()
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
    """Answers on one port."""

    def __init__(
        self,
        handler: Handler,
        listener: socket.socket,
        bodies: Bodies | None = None,
        patience: Mapping[Awaited, float] = PATIENCE,
    ) -> None:
        self.shared = Shared(handler, bodies or Bodies(), patience)
        self._listener = listener
        self._server: asyncio.Server | None = None
        self._tick_seconds = min(_TICK_SECONDS, *(seconds / 4 for seconds in patience.values()))
        self._timer = self.shared.loop.call_later(self._tick_seconds, self._tick)

    async def listen(self, tls: ssl.SSLContext | None = None) -> None:
        """Take connections from now on; called again, take them with other certificates.

        Connections that are there stay as they are, and those that wait to be taken are not lost: the socket stays.
        """
        before = self._server
        self._server = await self.shared.loop.create_server(
            lambda: Connection(self.shared),
            sock=self._listener.dup(),
            ssl=tls,
            backlog=_BACKLOG,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS if tls is not None else None,
        )
        if before is not None:
            before.close()

    async def close(self, seconds: float = limits.FINISH_SECONDS) -> None:
        """Take no more connections, finish what is asked, at most for so long, and end."""
        shared = self.shared
        shared.is_ending = True
        if self._server is not None:
            self._server.close()
        self._listener.close()
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


def bind(host: str, port: int) -> socket.socket:
    """Take a port; of every address, IPv4 and IPv6, if there is no host. Raises `StartError`."""
    both = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        message = f"cannot listen on port {port} of {host or 'all addresses'}: {error.strerror}"
        raise StartError(StartFailure.BAD_SETTINGS, message) from error


@contextlib.asynccontextmanager
async def listening(
    handler: Handler, listener: socket.socket, bodies: Bodies | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[HttpServer]:
    """Answer on a port; at the end take no more connections and finish running requests."""
    server = HttpServer(handler, listener, bodies)
    await server.listen(tls)
    try:
        yield server
    finally:
        await server.close()
