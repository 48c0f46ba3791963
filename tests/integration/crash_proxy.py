"""Stands between the operator and the API server, and kills the operator at each of its writes.

Each write is known by what it asks for. The first time it is seen, the operator dies before the API server hears of it;
the second time, after the API server has done it and before the operator hears of that; then it may pass. So one story
goes through every moment at which a crash can part what was decided from what was done.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import yaml
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

_WRITES = {"POST", "PATCH", "PUT", "DELETE"}


class CrashProxy:
    """An HTTP proxy in a thread of its own."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        self._admin = yaml.safe_load(kubeconfig.read_text())
        self._directory = directory
        self._seen: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.crash: Callable[[], None] | None = None
        """Kills the operator; until it is set, and once it is None again, all writes pass."""
        self.crashes: list[str] = []
        """What was written when the operator died."""
        self.kubeconfig = directory / "proxied.kubeconfig"

    def __enter__(self) -> Self:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(timeout=10)
        cluster = {"name": "proxied", "cluster": {"server": f"http://127.0.0.1:{port}"}}
        user = {"name": "nobody", "user": {}}
        context = {"name": "proxied", "context": {"cluster": "proxied", "user": "nobody"}}
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [cluster],
                    "users": [user],
                    "contexts": [context],
                    "current-context": "proxied",
                }
            )
        )
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(timeout=30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def _start(self) -> int:
        self._server = self._admin["clusters"][0]["cluster"]["server"]
        connector = TCPConnector(ssl=_client_tls(self._admin, self._directory), limit=0)
        self._session = ClientSession(connector=connector, timeout=ClientTimeout(total=None), auto_decompress=False)
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        turn = self._turn(request, body)
        if turn == 1:
            self._die(request, "before")
            return web.Response(status=500)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = self._server + request.raw_path
        async with self._session.request(request.method, url, data=body or None, headers=headers) as answer:
            if turn == 2:
                await answer.read()
                self._die(request, "after")
                return web.Response(status=500)
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            response.headers.update({k: v for k, v in answer.headers.items() if k.lower() not in _HOP})
            try:
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
            except ConnectionError:
                return response  # The operator is gone.
            return response

    def _turn(self, request: web.Request, body: bytes) -> int:
        """Return how often this write has been seen, or 0 if it is to pass."""
        if self.crash is None or request.method not in _WRITES:
            return 0
        what = _identity(request, body)
        self._seen[what] += 1
        return self._seen[what]

    def _die(self, request: web.Request, when: str) -> None:
        self.crashes.append(f"{when} {request.method} {request.path}")
        if self.crash:
            self.crash()


_HOP = {"host", "connection", "transfer-encoding", "content-length", "keep-alive"}


def _identity(request: web.Request, body: bytes) -> str:
    """Return what a write asks for, without what differs from try to try (times, versions, counts)."""
    path, document = request.path, yaml.safe_load(body) if body else {}
    if "/leases" in path:
        return f"lease of {document['spec']['holderIdentity']}"  # Renewed every two seconds.
    if path.endswith("/events"):
        return f"event {document['reason']}"
    if path.endswith("/status"):
        status = document["status"]
        decided = [status.get(name) for name in ("servingRevision", "candidateRevision", "standbyRevision")]
        reasons = [f"{one['type']}={one['reason']}" for one in status["conditions"]]
        return f"status {decided} {reasons}"
    return f"{request.method} {path} {hashlib.sha256(_stable(document)).hexdigest()}"


def _stable(document: dict[str, Any]) -> bytes:
    document.pop("stringData", None)  # The operator's own key is random at each try.
    annotations = document.get("metadata", {}).get("annotations", {})
    annotations.pop("modelops.dev/applied-hash", None)
    if "modelops.dev/rejection" in annotations:
        annotations["modelops.dev/rejection"] = "some"
    return yaml.safe_dump(document).encode()


def _client_tls(kubeconfig: dict[str, Any], directory: Path) -> ssl.SSLContext:
    def file(name: str, part: dict[str, Any], field: str) -> str:
        if field in part:
            return str(part[field])
        path = directory / name
        path.write_bytes(base64.b64decode(part[f"{field}-data"]))
        return str(path)

    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    context = ssl.create_default_context(cafile=file("ca.crt", cluster, "certificate-authority"))
    context.load_cert_chain(file("client.crt", user, "client-certificate"), file("client.key", user, "client-key"))
    return context
