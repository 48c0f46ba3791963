"""Connections: heads of any size, and requests that never end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from model_server import http_limits
from model_server.http_limits import MAX_HEAD_BYTES, LimitedProtocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers with the size of the body."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_limits, "UNFINISHED_SECONDS", 0.2)


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    config, state = uvicorn.Config(echo, ws="none", log_config=None, access_log=False), ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: LimitedProtocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    yield reader, writer
    writer.close()
    server.close()


async def ask(connection: Connection, *pieces: bytes) -> bytes:
    reader, writer = connection
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)
    return await asyncio.wait_for(reader.read(65536), 10)


GET = b"GET / HTTP/1.1\r\nHost: h\r\n"


async def test_requests_one_after_the_other(connection: Connection) -> None:
    post = b"POST / HTTP/1.1\r\nContent-Length: 200000\r\n\r\n"
    for _ in range(3):
        assert (await ask(connection, post, b"x" * 150_000, b"x" * 50_000)).endswith(b"\r\n\r\n200000")
        assert (await ask(connection, GET + b"X: " + b"x" * 60_000 + b"\r\n\r\n")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "pieces",
    [
        (GET + b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n",),
        (GET, *[b"X: " + b"x" * 20_000 + b"\r\n"] * 4),
        (GET + b"X: ", *[b"x" * 40_000] * 2),
        (b"GET /", *[b"x" * 40_000] * 2),
    ],
)
async def test_a_large_head_is_refused(connection: Connection, pieces: tuple[bytes, ...]) -> None:
    answer = await ask(connection, *pieces)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"over 64 KiB" in answer
    assert connection[0].at_eof() or await connection[0].read() == b""


async def test_what_is_no_request_is_told(connection: Connection) -> None:
    assert (await ask(connection, b"no HTTP\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "begun", [b"", b"\r\n", b"GET / HT", GET, b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n12345"]
)
@pytest.mark.parametrize("before", [b"", GET + b"\r\n"])
async def test_a_request_that_does_not_end_is_given_up(
    impatient: None, connection: Connection, begun: bytes, before: bytes
) -> None:
    if before:
        assert (await ask(connection, before)).startswith(b"HTTP/1.1 200 ")
        if not begun:
            return  # A kept connection, which uvicorn closes when it is idle for long.
    answer = await ask(connection, *([begun] if begun else []))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert await connection[0].read() == b""


async def test_a_slow_answer_is_waited_for(impatient: None) -> None:

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.4)
        await echo(scope, receive, send)

    config, state = uvicorn.Config(slow, ws="none", log_config=None, access_log=False), ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: LimitedProtocol(config, state, {}), "127.0.0.1", 0)
    connected = await asyncio.open_connection(*server.sockets[0].getsockname())
    assert (await ask(connected, GET + b"\r\n")).startswith(b"HTTP/1.1 200 ")
    connected[1].close()
    server.close()
