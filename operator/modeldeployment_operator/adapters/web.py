"""The operator's own HTTP port: metrics for Prometheus, probes for the kubelet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from modeldeployment_operator.adapters.telemetry import Telemetry

Handler = Callable[[web.Request], Awaitable[web.Response]]


async def serve(telemetry: Telemetry, is_ready: Callable[[], bool], host: str | None, port: int) -> web.AppRunner:
    """Start listening; the runner's `cleanup` stops it."""
    app = web.Application()
    app.router.add_get("/metrics", _metrics(telemetry.registry))
    app.router.add_get("/healthz", _healthy)
    app.router.add_get("/readyz", _ready(is_ready))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


def _metrics(registry: CollectorRegistry) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    return answer


async def _healthy(_request: web.Request) -> web.Response:
    """Show that the event loop turns: all that a restart could mend."""
    return web.Response(text="ok\n")


def _ready(is_ready: Callable[[], bool]) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        if is_ready():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="the first look at the cluster is not complete\n")

    return answer
