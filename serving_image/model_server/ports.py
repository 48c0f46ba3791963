"""The HTTP ports: for clients, for their labels where these have a port of their own, and for the operator."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from model_server.admin import AdminApp
from model_server.app import PredictionApp
from model_server.endpoints import feedback
from model_server.http.server import bind, listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from model_server.http.server import HttpServer
    from model_server.parts import Parts


@contextlib.asynccontextmanager
async def answering(parts: Parts, admin_token: bytes) -> AsyncIterator[None]:
    """Answer on all of them; at the end finish running requests. Raises `StartError`.

    The admin port has no TLS: probes and Prometheus come to it without certificates, and no client may reach it.
    """
    place, access, own_port = parts.settings.place, parts.access, parts.settings.feedback_port
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(listening(AdminApp(parts, admin_token), bind(place.host, place.admin_port)))
        apps = {place.http_port: PredictionApp(parts)}
        if own_port is not None:
            apps[own_port] = PredictionApp(parts, feedback.routes())
        tls = access.identity.server if access.identity is not None else None
        servers: list[HttpServer] = []
        for port, app in apps.items():
            server = listening(app, bind(place.host, port), parts.bodies, tls)
            servers.append(await stack.enter_async_context(server))

        async def renew() -> None:
            if access.identity is not None:
                for server in servers:
                    await server.listen(access.identity.server)

        access.changed.append(renew)
        watching = asyncio.create_task(access.watch())
        try:
            yield
        finally:
            watching.cancel()
            access.changed.remove(renew)
