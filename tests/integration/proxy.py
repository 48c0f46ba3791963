"""Stands between the operator and the API server: each request passes through `meddle`, which may answer itself."""

from __future__ import annotations

import asyncio
import base64
import ssl
import threading
from pathlib import Path
from typing import Any, Self

import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web

_HOP = {"host", "connection", "transfer-encoding", "content-length", "keep-alive"}


class Proxy:
    """An HTTP proxy in a thread of its own, with the administrator's rights for whoever asks."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        self._admin = yaml.safe_load(kubeconfig.read_text())
        self._directory = directory
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.kubeconfig = directory / "proxied.kubeconfig"

    def __enter__(self) -> Self:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(timeout=10)
        self.kubeconfig.write_text(yaml.safe_dump(kubeconfig(f"http://127.0.0.1:{port}")))
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(timeout=30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    async def meddle(self, request: web.Request, body: bytes) -> web.StreamResponse | None:
        """Return what is answered in the API server's place; None to let the request pass."""
        return None

    def query(self, request: web.Request) -> str:
        """Return the path and the query that the API server is asked with."""
        return request.raw_path

    async def answered(self, request: web.Request, body: bytes) -> web.StreamResponse | None:
        """Return what is told instead of the API server's answer, after it has answered; None to pass that on."""
        return None

    async def relay(self, request: web.Request, response: web.StreamResponse, chunk: bytes) -> None:
        """Pass a part of an answer on."""
        await response.write(chunk)

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
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        instead = await self.meddle(request, body)
        if instead is not None:
            return instead
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = self._server + self.query(request)
        try:
            async with self._session.request(request.method, url, data=body or None, headers=headers) as answer:
                instead = await self.answered(request, body)
                if instead is not None:
                    await answer.read()
                    return instead
                response = web.StreamResponse(status=answer.status, reason=answer.reason)
                response.headers.update({k: v for k, v in answer.headers.items() if k.lower() not in _HOP})
                try:
                    await response.prepare(request)
                    async for chunk in answer.content.iter_any():
                        await self.relay(request, response, chunk)
                    await response.write_eof()
                except ConnectionError:
                    return response  # The operator is gone.
                return response
        except ClientError as error:
            return web.Response(status=502, text=str(error))


def kubeconfig(server: str) -> dict[str, Any]:
    """Return a kubeconfig for a server that asks for no credentials."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "proxied", "cluster": {"server": server}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "proxied", "context": {"cluster": "proxied", "user": "nobody"}}],
        "current-context": "proxied",
    }


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
