"""The operator's own HTTP port: metrics for Prometheus, probes for the kubelet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import web

from modeldeployment_operator.adapters.fleet import Models
from modeldeployment_operator.adapters.telemetry import Telemetry

Handler = Callable[[web.Request], Awaitable[web.Response]]

_THREADED_BYTES: Final = 16384
"""More than this is compressed in a thread."""


async def serve(
    telemetry: Telemetry,
    fleet: Models,
    is_ready: Callable[[], bool],
    problems: Callable[[], Iterable[str]],
    host: str | None,
    port: int,
) -> web.AppRunner:
    """Start listening; the runner's `cleanup` stops it."""
    app = web.Application()
    app.router.add_get("/metrics", _metrics(telemetry, fleet))
    app.router.add_get("/healthz", _healthy(problems))
    app.router.add_get("/readyz", _ready(is_ready))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


def _metrics(telemetry: Telemetry, fleet: Models) -> Handler:
    """Made in a thread, one at a time: a thousand models come to megabytes."""
    lock = asyncio.Lock()

    async def answer(request: web.Request) -> web.Response:
        accept = request.headers.get("Accept", "")
        async with lock:
            models = await fleet.models()
            body, content_type = await asyncio.to_thread(telemetry.exposition, models, accept)
        response = web.Response(body=body, headers={"Content-Type": content_type}, zlib_executor_size=_THREADED_BYTES)
        response.enable_compression()
        return response

    return answer


def _healthy(problems: Callable[[], Iterable[str]]) -> Handler:
    """Tell what a restart would mend. That there is an answer at all shows that the event loop turns."""

    async def answer(_request: web.Request) -> web.Response:
        if found := list(problems()):
            return web.Response(status=503, text="".join(f"{one}\n" for one in found))
        return web.Response(text="ok\n")

    return answer


def _ready(is_ready: Callable[[], bool]) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        if is_ready():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="the first look at the cluster is not complete\n")

    return answer
