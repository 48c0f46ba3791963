"""Stands between the operator and the API server, and does what bad networks, proxies and API servers do."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.integration.proxy import Proxy

_WATCHES = web.RequestKey("watches", bool)
_SILENT = web.RequestKey("silent", bool)


@dataclass(frozen=True)
class Asked:
    """One request."""

    at: float
    method: str
    path: str
    watches: bool
    continues: bool

    @property
    def writes(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET"

    @property
    def lists(self) -> bool:
        """Whether it asks for all objects of a kind, or for a part of them."""
        return not self.writes and not self.watches and self.path.rpartition("/")[2].endswith("s")


Fault = Callable[[web.Request, Asked], Awaitable[web.StreamResponse | None]]
"""Answers in the API server's place, or lets a request pass."""


class FaultProxy(Proxy):
    """Lets everything pass until `fault` is set."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        super().__init__(kubeconfig, directory)
        self.fault: Fault | None = None
        self.deaf = False
        """While it is set, nothing of any watch gets through, and those that it befell stay silent."""
        self.page: int | None = None
        """Objects in a page of a list, whatever was asked for."""
        self.asked: list[Asked] = []
        self._watching: set[asyncio.Transport] = set()

    def since(self, start: float) -> list[Asked]:
        """Return what was asked since a time of the monotonic clock."""
        return [asked for asked in self.asked if asked.at >= start]

    def cut(self) -> None:
        """End all watches, as a network does that is gone for a moment."""

        def abort() -> None:
            for transport in self._watching:
                transport.abort()
            self._watching.clear()

        self._loop.call_soon_threadsafe(abort)

    def deletions(self, kind: str) -> list[str]:
        """Return the names of objects of a kind that were asked to be deleted."""
        paths = [asked.path.split("/") for asked in list(self.asked) if asked.method == "DELETE"]
        return [path[-1] for path in paths if path[-2] == kind]

    async def meddle(self, request: web.Request, body: bytes) -> web.StreamResponse | None:
        query = request.query
        watches, continues = query.get("watch") == "true", "continue" in query
        asked = Asked(time.monotonic(), request.method, request.path, watches, continues)
        self.asked.append(asked)
        request[_WATCHES], request[_SILENT] = watches, False
        if watches and request.transport is not None:
            self._watching.add(request.transport)
        return await self.fault(request, asked) if self.fault else None

    def query(self, request: web.Request) -> str:
        if self.page is None or "limit" not in request.query:
            return request.raw_path
        return str(request.rel_url.update_query(limit=self.page))

    async def relay(self, request: web.Request, response: web.StreamResponse, chunk: bytes) -> None:
        request[_SILENT] |= self.deaf and request[_WATCHES]
        if not request[_SILENT]:
            await response.write(chunk)


def answer(code: int, *, which: Callable[[Asked], bool] = lambda _: True, retry_after: int | None = None) -> Fault:
    """Answer some requests with an error, as the API server does."""

    async def fault(_: web.Request, asked: Asked) -> web.StreamResponse | None:
        if not which(asked):
            return None
        headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
        return web.json_response(_status(code), status=code, headers=headers)

    return fault


def every_other(fault: Fault) -> Fault:
    """Have a fault only at every second time that the same is asked."""
    times: Counter[tuple[str, str]] = Counter()

    async def sometimes(request: web.Request, asked: Asked) -> web.StreamResponse | None:
        times[asked.method, asked.path] += 1
        return await fault(request, asked) if times[asked.method, asked.path] % 2 else None

    return sometimes


async def closed_at_once(request: web.Request, asked: Asked) -> web.StreamResponse | None:
    """Accept each watch and close it."""
    return await _stream(request, b"") if asked.watches else None


def error_in_stream(code: int) -> Fault:
    """Accept each watch, and tell of an error in it."""
    event = json.dumps({"type": "ERROR", "object": _status(code)}).encode() + b"\n"

    async def fault(request: web.Request, asked: Asked) -> web.StreamResponse | None:
        return await _stream(request, event) if asked.watches else None

    return fault


def slow(seconds: float) -> Fault:
    """Let everything wait."""

    async def fault(_: web.Request, __: Asked) -> web.StreamResponse | None:
        await asyncio.sleep(seconds)
        return None

    return fault


def _status(code: int) -> dict[str, Any]:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "as the test has it"}


async def _stream(request: web.Request, content: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(content)
    await response.write_eof()
    return response
