"""Listens for connections, and ends them in good order."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from model_server.http2.connection import Connection

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import AsyncIterator

    from model_server.http2.connection import Application

CHECK_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02


@contextlib.asynccontextmanager
async def serve(
    application: Application, listener: socket.socket, *, finish_seconds: float, tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Answer on a socket. At the end take no more connections, and finish the calls that run for so many seconds."""
    loop = asyncio.get_running_loop()
    connections: set[Connection] = set()
    server = await loop.create_server(lambda: Connection(application, connections), sock=listener, ssl=tls)
    looking_after = asyncio.create_task(_look_after(connections))
    try:
        yield
    finally:
        looking_after.cancel()
        server.close()
        for connection in list(connections):
            connection.leave()
        until = loop.time() + finish_seconds
        while connections and loop.time() < until:  # noqa: ASYNC110  # A few times in the life of a process.
            await asyncio.sleep(_POLL_SECONDS)
        for connection in list(connections):
            connection.abort()


async def _look_after(connections: set[Connection]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        for connection in list(connections):
            connection.check(loop.time())
