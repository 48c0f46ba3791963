"""A server of our own HTTP with a simple handler, and clients that send whatever bytes they like.

`python -m tests.serving.raw_http` is such a server as a process: it prints its port, and ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import uvloop
from model_server.errors import NotFound
from model_server.http.connection import Awaited
from model_server.http.messages import Head, Request, Response
from model_server.http.server import PATIENCE, HttpServer
from model_server.listening import bind

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Coroutine, Mapping

    from model_server.errors import RequestError
    from model_server.http.limits import Bodies

LIMIT = 200_000
IMPATIENT = {**PATIENCE, Awaited.REQUEST: 0.3, Awaited.TAKING: 0.3, Awaited.NEXT: 0.3, Awaited.END: 0.3}
GET = b"GET / HTTP/1.1\r\nHost: h\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\n"


@dataclass
class Echo:
    """Answers with the size of the body; `/slow` when it may, `/bytes/N` with N bytes of JSON."""

    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[str] | deque[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    close: bool = False

    def limit(self, head: Head) -> int:
        if head.path == "/nowhere":
            raise NotFound("no such path")
        return LIMIT

    def answer(self, request: Request) -> Response | Coroutine[Any, Any, Response]:
        path = request.head.path
        self.asked.append(path)
        if path.startswith("/slow"):
            return self._slowly(request)
        if path.startswith("/bytes/"):
            return Response(b"[" + b"1" * (int(path[7:]) - 2) + b"]", close=self.close)
        if path == "/broken":
            raise RuntimeError("the inside")
        return Response(b"%d" % len(request.body), headers=[("Path", path)], close=self.close)

    async def _slowly(self, request: Request) -> Response:
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled.append(request.head.path)
            raise
        if request.head.path == "/slow/broken":
            raise RuntimeError("the inside")
        if request.head.path == "/slow/cancelled":
            raise asyncio.CancelledError
        return Response(b"%d" % len(request.body), headers=[("Path", request.head.path)], close=self.close)

    def refuse(self, head: Head | None, error: RequestError) -> Response:
        return Response(str(error).encode(), error.status, "text/plain")

    def gone(self, head: Head) -> None:
        self.lost.append(head.path)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, *pieces: bytes) -> None:
        """Send pieces, each by itself."""
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(0.02)
            self.writer.write(piece)
            with contextlib.suppress(ConnectionError):
                await self.writer.drain()

    async def answer(self, *, has_body: bool = True) -> Answer:
        """Read one answer."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        size = int(headers.get("content-length", "0")) if has_body else 0
        return Answer(int(first.split()[1]), headers, await asyncio.wait_for(self.reader.readexactly(size), 20))

    async def ask(self, *pieces: bytes) -> Answer:
        await self.send(*pieces)
        return await self.answer()

    async def rest(self) -> bytes:
        """Read until the server closes the connection; what it sends after that was broken does not come."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), 20)
        return b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@dataclass
class Served:
    """A server that listens."""

    server: HttpServer
    handler: Echo
    address: tuple[str, int]
    clients: list[Client] = field(default_factory=list)

    async def connect(self, **options: Any) -> Client:
        client = Client(*await asyncio.open_connection(*self.address, **options))
        self.clients.append(client)
        return client


@contextlib.asynccontextmanager
async def served(
    patience: Mapping[Awaited, float] = PATIENCE, bodies: Bodies | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Served]:
    """Serve `Echo`; at the end nothing is held any more."""
    listener = bind("127.0.0.1", 0)
    server = HttpServer(Echo(), listener, bodies, patience)
    it = Served(server, server.shared.handler, listener.getsockname()[:2])  # type: ignore[arg-type]  # The Echo.
    await server.listen(tls)
    try:
        yield it
    finally:
        for client in it.clients:
            await client.close()
        it.handler.may_answer.set()
        await server.close(5)
    assert not server.shared.connections
    assert server.shared.bodies.held == 0


async def _main() -> None:
    async with served() as it:
        it.handler.may_answer.set()
        it.handler.asked = deque(maxlen=1)  # It would grow.
        print(it.address[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main())
