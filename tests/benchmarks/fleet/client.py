"""A bare client of the API server: no cache, no types, no retries."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiohttp

if TYPE_CHECKING:
    from tests.cluster import Cluster

T = TypeVar("T")

AT_A_TIME: Final = 20
"""Requests under way at a time."""
MANAGER: Final = "bench"
APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
_LINE: Final = 2**24
"""Longest event of a watch, in bytes."""


@dataclass(frozen=True)
class Client:
    """Requests as the cluster's administrator."""

    server: str
    session: aiohttp.ClientSession

    async def send(
        self, method: str, path: str, body: bytes | dict[str, Any] | None = None, content_type: str = "application/json"
    ) -> dict[str, Any]:
        """Send a request and return the answer; RuntimeError if it is an error."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = {"Content-Type": content_type, "User-Agent": MANAGER}
        async with self.session.request(method, self.server + path, data=data, headers=headers) as response:
            answer = await response.read()
            if response.status >= 400:
                raise RuntimeError(f"{method} {path}: {response.status} {answer.decode(errors='replace')[:500]}")
            document: dict[str, Any] = json.loads(answer)
            return document

    async def list(self, path: str) -> dict[str, Any]:
        """Return a whole list."""
        return await self.send("GET", path)

    async def watch(self, path: str) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """Yield what there is, then what happens, until the caller has enough.

        The API server ends watches now and then, those of slow readers first: then another goes on from there.
        """
        listed = await self.list(path)
        for item in listed["items"]:
            yield "ADDED", item
        version = listed["metadata"]["resourceVersion"]
        while True:
            url = f"{self.server}{path}?watch=1&allowWatchBookmarks=true&resourceVersion={version}"
            async with self.session.get(url, timeout=aiohttp.ClientTimeout(total=None)) as response:
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise RuntimeError(f"the watch of {path} failed: {event['object']}")
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield event["type"], event["object"]


@asynccontextmanager
async def connected(cluster: Cluster) -> AsyncIterator[Client]:
    """Connect as the administrator."""
    pki = cluster.paths.pki
    tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    connector = aiohttp.TCPConnector(ssl=tls, limit=0)
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=_LINE) as session:
        yield Client(cluster.server, session)


async def at_once(call: Callable[[T], Awaitable[object]], wanted: Iterable[T]) -> None:
    """Make a call for each, but not too many at a time."""
    waiting = iter(wanted)

    async def worker() -> None:
        for one in waiting:
            await call(one)

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_A_TIME):
            group.create_task(worker())
