"""Stands before the API server and keeps what the operator writes of one model, to be written again for others."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from aiohttp import web

from tests.benchmarks.fleet.objects import NAMESPACE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster import Cluster

_WRITES: Final = {"POST", "PATCH", "PUT", "DELETE"}
_PASSED_ON: Final = ("Accept", "Content-Type", "User-Agent", "Authorization")


@dataclass(frozen=True)
class Write:
    """One request that changes something."""

    method: str
    path: str
    body: str
    content_type: str

    def of(self, before: dict[str, str], after: dict[str, str]) -> Write:
        """Return the same for another model: each word of `before` becomes that of the same name in `after`."""
        path, body = self.path, self.body
        for name, word in before.items():
            path, body = path.replace(word, after[name]), body.replace(word, after[name])
        return Write(self.method, path, _anytime(body), self.content_type)


@dataclass
class Recorder:
    """A proxy. Of writes it keeps those in the models' namespace, so none of the operator's own key and Lease."""

    server: str
    session: aiohttp.ClientSession
    writes: list[Write] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on, and its answer back as it comes."""
        body = await request.read()
        if request.method in _WRITES and f"/namespaces/{NAMESPACE}/" in request.path:
            content_type = request.headers.get("Content-Type", "application/json")
            self.writes.append(Write(request.method, request.path_qs, body.decode(), content_type))
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        url = self.server + request.path_qs
        async with self.session.request(request.method, url, data=body or None, headers=headers) as answer:
            response = web.StreamResponse(status=answer.status)
            response.content_type = answer.content_type
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


@asynccontextmanager
async def recorder(cluster: Cluster, token: str, kubeconfig: Path) -> AsyncIterator[Recorder]:
    """Start the proxy, and write a kubeconfig that leads through it."""
    tls = ssl.create_default_context(cafile=str(cluster.paths.pki / "ca.crt"))
    connector = aiohttp.TCPConnector(ssl=tls, limit=0)
    session = aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False
    )
    async with session:
        found = Recorder(cluster.server, session)
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", found.handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        write_kubeconfig(kubeconfig, f"http://127.0.0.1:{runner.addresses[0][1]}", token)
        try:
            yield found
        finally:
            await runner.cleanup()
            await asyncio.sleep(0.1)  # Watches that were passed on end now.


def write_kubeconfig(file: Path, server: str, token: str, authority: Path | None = None) -> None:
    """Write a kubeconfig of a ServiceAccount."""
    trusted = {"certificate-authority": str(authority)} if authority else {}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bench", "cluster": {"server": server, **trusted}}],
        "users": [{"name": "operator", "user": {"token": token}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "operator"}}],
        "current-context": "bench",
    }
    file.write_text(json.dumps(document))


def _anytime(body: str) -> str:
    """Return a body that is for whatever version the object has."""
    if not body:
        return body
    document: dict[str, Any] = json.loads(body)
    document.get("metadata", {}).pop("resourceVersion", None)
    return json.dumps(document)
