"""The HTTP ports: for clients, for their labels where these have a port of their own, and for the operator."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from model_server.admin import AdminApp
from model_server.app import PredictionApp
from model_server.endpoints import feedback
from model_server.http.server import listening
from model_server.listening import bind

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from model_server.http.server import HttpServer
    from model_server.listening import Sharing
    from model_server.parts import Parts, ServerParts


@contextlib.asynccontextmanager
async def answering(parts: ServerParts, admin_token: bytes, sharing: Sharing | None = None) -> AsyncIterator[None]:
    """Answer on all of them; at the end finish running requests. Raises `StartError`.

    The admin port has no TLS: probes and Prometheus come to it without certificates, and no client may reach it. It and
    the port for labels are this process's alone.
    """
    place, own_port = parts.settings.place, parts.settings.feedback_port
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(listening(AdminApp(parts, admin_token), bind(place.host, place.admin_port)))
        await stack.enter_async_context(answering_clients(parts, bind(place.host, place.http_port), sharing))
        if own_port is not None:
            app = PredictionApp(parts, feedback.routes())
            await stack.enter_async_context(_secured(parts, app, bind(place.host, own_port)))
        yield


@contextlib.asynccontextmanager
async def answering_clients(
    parts: Parts,
    listener: socket.socket | None = None,
    sharing: Sharing | None = None,
    ended: Callable[[], None] | None = None,
) -> AsyncIterator[HttpServer]:
    """Answer on the port for predictions; without a listener, connections that are handed over."""
    watching = asyncio.create_task(parts.access.watch())
    try:
        async with _secured(parts, PredictionApp(parts), listener, sharing, ended) as server:
            yield server
    finally:
        watching.cancel()


@contextlib.asynccontextmanager
async def _secured(
    parts: Parts,
    app: PredictionApp,
    listener: socket.socket | None,
    sharing: Sharing | None = None,
    ended: Callable[[], None] | None = None,
) -> AsyncIterator[HttpServer]:
    """Answer on a port with the certificate of this pod, if it has one, and with the next one after that."""
    access = parts.access
    tls = access.identity.server if access.identity is not None else None
    async with listening(app, listener, parts.bodies, tls, sharing, ended) as server:

        async def renew() -> None:
            if access.identity is not None:
                await server.listen(access.identity.server)

        access.changed.append(renew)
        try:
            yield server
        finally:
            access.changed.remove(renew)
