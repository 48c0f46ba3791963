"""HTTP/1.1 as clients speak it: kept connections, pipelines, heads and bodies in pieces, and the end."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import time
from typing import TYPE_CHECKING

import pytest
import zstandard
from model_server.http.connection import Awaited
from model_server.http.server import PATIENCE

from tests.serving.raw_http import GET, LIMIT, POST, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.serving.raw_http import Served


@pytest.fixture
async def echo() -> AsyncIterator[Served]:
    async with served() as it:
        yield it


def body(length: int) -> bytes:
    return POST + b"Content-Length: %d\r\n\r\n" % length + b"x" * length


async def until(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_requests_one_after_the_other(echo: Served) -> None:
    client = await echo.connect()
    for _ in range(3):
        whole = body(150_000)
        assert (await client.ask(whole[:70_000], whole[70_000:])).body == b"150000"
        assert (await client.ask(GET + b"X: " + b"x" * 60_000 + b"\r\n\r\n")).status == 200
    assert "connection" not in (await client.ask(GET + b"\r\n")).headers


async def test_a_request_may_come_byte_by_byte(echo: Served) -> None:
    client = await echo.connect()
    for byte in body(3):
        client.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await client.answer()).body == b"3"


async def test_chunks_extensions_and_trailers(echo: Served) -> None:
    client = await echo.connect()
    chunks = b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nX-Trailer: t\r\n\r\n"
    for _ in range(2):
        assert (await client.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)).body == b"7"


async def test_answers_come_in_the_order_of_the_requests(echo: Served) -> None:
    client = await echo.connect()
    paths = ["/slow/1", "/2", "/bytes/100000", "/slow/4", "/5"]
    await client.send(b"".join(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode() for path in paths))
    await asyncio.sleep(0.05)
    assert echo.handler.asked == ["/slow/1"]  # The others wait, unasked.
    echo.handler.may_answer.set()
    answers = [await client.answer() for _ in paths]
    assert [answer.headers.get("path") for answer in answers] == ["/slow/1", "/2", None, "/slow/4", "/5"]


async def test_thousands_of_requests_at_once_are_answered_and_few_are_kept(echo: Served) -> None:
    client = await echo.connect()
    count = 20_000
    sending = asyncio.create_task(client.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n" + (GET + b"\r\n") * count))
    await until(lambda: echo.handler.asked)
    await asyncio.sleep(0.2)
    (connection,) = echo.server.shared.connections
    assert 0 < len(connection._queue) < 300
    assert len(connection._stash) <= 128 * 2**10
    echo.handler.may_answer.set()
    for _ in range(count + 1):
        assert (await client.answer()).status == 200
    await sending


async def test_a_client_that_takes_nothing_is_not_asked_for_more(echo: Served) -> None:
    client = await echo.connect(limit=1024)
    count = 200
    await client.send(b"GET /bytes/1000000 HTTP/1.1\r\nHost: h\r\n\r\n" * count)
    await asyncio.sleep(0.3)
    assert len(echo.handler.asked) < 20
    sizes = [len((await client.answer()).body) for _ in range(count)]
    assert sizes == [1_000_000] * count


async def test_a_head_is_answered_without_a_body(echo: Served) -> None:
    client = await echo.connect()
    await client.send(b"HEAD /bytes/50 HTTP/1.1\r\nHost: h\r\n\r\n" + GET + b"\r\n")
    assert (await client.answer(has_body=False)).headers["content-length"] == "50"
    assert (await client.answer()).body == b"0"


async def test_it_says_when_a_body_may_come(echo: Served) -> None:
    client = await echo.connect()
    head = POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    for _ in range(2):
        await client.send(head)
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await client.ask(b"12345")).body == b"5"
    assert (await client.ask(head + b"12345")).body == b"5"  # Who does not wait needs no leave.
    await client.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n" + head)
    await asyncio.sleep(0.05)
    echo.handler.may_answer.set()
    assert (await client.answer()).status == 200  # The earlier request is answered first.
    assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await client.ask(b"12345")).body == b"5"


async def test_a_body_that_is_not_wanted_is_not_asked_for(echo: Served) -> None:
    client = await echo.connect()
    answer = await client.ask(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (LIMIT + 1))
    assert (answer.status, answer.headers["connection"]) == (413, "close")


async def test_a_refusal_costs_a_connection_only_if_much_would_have_to_be_read(echo: Served) -> None:
    client = await echo.connect()
    nowhere = b" /nowhere HTTP/1.1\r\nHost: h\r\n"
    await client.send(
        (b"GET" + nowhere + b"\r\n") * 2 + b"POST" + nowhere + b"Content-Length: 3\r\n\r\nabc" + GET + b"\r\n"
    )
    assert [(await client.answer()).status for _ in range(4)] == [404, 404, 404, 200]
    for header in (
        b"Content-Length: 65537",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue\r\nContent-Length: 3",
    ):
        another = await echo.connect()
        answer = await another.ask(b"POST" + nowhere + header + b"\r\n\r\n")
        assert (answer.status, answer.headers["connection"]) == (404, "close")


async def test_old_clients(echo: Served) -> None:
    client = await echo.connect()
    answer = await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert answer.headers["connection"] == "keep-alive"
    assert (await client.ask(b"GET / HTTP/1.0\r\n\r\n")).headers["connection"] == "close"
    assert await client.rest() == b""


async def test_who_wants_to_close_gets_the_answer_first(echo: Served) -> None:
    client = await echo.connect()
    answer = await client.ask(GET + b"Connection: close\r\n\r\n" + GET + b"\r\n")
    assert answer.headers["connection"] == "close"
    assert await client.rest() == b""
    assert len(echo.handler.asked) == 1


async def test_when_told_it_closes_after_all_that_came(echo: Served) -> None:
    echo.handler.close = True
    client = await echo.connect()
    await client.send((GET + b"\r\n") * 3)
    answers = [await client.answer() for _ in range(3)]
    assert ["connection" in answer.headers for answer in answers] == [False, False, True]
    assert await client.rest() == b""


@pytest.mark.parametrize("upgrade", [b"h2c", b"websocket"])
async def test_other_protocols_are_declined_and_the_request_answered(echo: Served, upgrade: bytes) -> None:
    client = await echo.connect()
    asks = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: %b\r\n" % upgrade
    assert (await client.ask(GET + asks + b"\r\n" + GET + b"\r\n")).status == 200
    assert (await client.answer()).status == 200
    # Java's client does so; the parser takes the body for the other protocol.
    answer = await client.ask(POST + asks + b"Content-Length: 100000\r\n\r\n", b"x" * 60_000, b"x" * 40_000)
    assert (answer.status, answer.body) == (200, b"100000")
    again = await echo.connect()
    answer = await again.ask(POST + asks + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert (answer.status, answer.body) == (200, b"3")


async def test_targets(echo: Served) -> None:
    client = await echo.connect()
    for target, path in (("/a%20b%2Fc?d=%20", "/a b/c"), ("http://h/a?b", "/a"), ("http://h", "/"), ("*", "*")):
        method = "OPTIONS" if target == "*" else "GET"
        answer = await client.ask(f"{method} {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        assert (answer.status, answer.headers["path"]) == (200, path)


async def test_who_hangs_up_leaves_the_queue(echo: Served) -> None:
    client = await echo.connect()
    await client.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n" + body(1000))
    await until(lambda: echo.handler.asked)
    await client.close()
    await until(lambda: echo.handler.cancelled == ["/slow"])
    half = await echo.connect()
    await half.send(body(1000)[:-1])
    await asyncio.sleep(0.05)
    await half.close()
    await until(lambda: echo.handler.lost == ["/"])


async def test_what_fails_is_no_secret(echo: Served, caplog: pytest.LogCaptureFixture) -> None:
    client = await echo.connect()
    echo.handler.may_answer.set()
    for path in (b"/broken", b"/slow/broken"):
        answer = await client.ask(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % path)
        assert answer.status == 500
        assert b"inside" not in answer.body
    assert caplog.text.count("RuntimeError: the inside") == 2
    assert (await client.ask(GET + b"\r\n")).status == 200


async def test_what_the_server_itself_gives_up_is_told(echo: Served) -> None:
    client = await echo.connect()
    echo.handler.may_answer.set()
    assert (await client.ask(b"GET /slow/cancelled HTTP/1.1\r\nHost: h\r\n\r\n")).status == 503
    assert (await client.ask(GET + b"\r\n")).status == 200


async def test_a_last_answer_may_be_taken_slowly() -> None:
    async with served({**PATIENCE, Awaited.END: 0.2}) as it:
        it.handler.close = True
        client = await it.connect(limit=1024)
        await client.send(b"GET /bytes/20000000 HTTP/1.1\r\nHost: h\r\n\r\n")
        await asyncio.sleep(0.8)
        assert len((await client.answer()).body) == 20_000_000
        assert await client.rest() == b""


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize("size", [10, LIMIT])
async def test_bodies_may_be_packed(echo: Served, encoding: str, size: int) -> None:
    plain = bytes(index * index % 251 for index in range(size))
    packed = gzip.compress(plain) if encoding == "gzip" else zstandard.compress(plain)
    head = POST + f"Content-Encoding: {encoding}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    client = await echo.connect()
    assert (await client.ask(head + packed)).body == b"%d" % size


@pytest.mark.parametrize(
    ("accept", "used"),
    [
        ("gzip, deflate", "gzip"),
        ("gzip;q=0.5, zstd;q=0.8", "zstd"),
        ("zstd;q=0.5, gzip;q=0.8", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("*", "zstd"),
        ("gzip;q=0", None),
        ("identity", None),
        ("gzip;q=x", None),
    ],
)
async def test_large_answers_are_packed_for_who_wants_it(echo: Served, accept: str, used: str | None) -> None:
    client = await echo.connect()
    for size, packs in ((1000, False), (10_000, True), (300_000, True)):
        asks = f"GET /bytes/{size} HTTP/1.1\r\nHost: h\r\nAccept-Encoding: {accept}\r\n\r\n"
        answer = await client.ask(asks.encode())
        assert answer.headers.get("content-encoding") == (used if packs else None)
        assert ("vary" in answer.headers) is packs
        plain = answer.body
        if used and packs:
            plain = gzip.decompress(plain) if used == "gzip" else zstandard.decompress(plain)
        assert len(plain) == size
        assert len(answer.body) < size or not (used and packs)


async def test_a_client_of_the_standard_library(echo: Served) -> None:
    def scenario() -> list[tuple[int, bytes]]:
        connection = http.client.HTTPConnection(*echo.address, timeout=10)
        seen = []
        for content in (b"abc", iter([b"ab", b"cd"])):
            connection.request("POST", "/", content, encode_chunked=not isinstance(content, bytes))
            response = connection.getresponse()
            seen.append((response.status, response.read()))
        connection.close()
        return seen

    assert await asyncio.to_thread(scenario) == [(200, b"3"), (200, b"4")]


async def test_the_end_lets_requests_finish() -> None:
    async with served() as it:
        idle, busy, partial = [await it.connect() for _ in range(3)]
        assert (await idle.ask(GET + b"\r\n")).status == 200
        await busy.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        whole = body(10)
        await partial.send(whole[:-1])
        await until(lambda: it.handler.asked == ["/", "/slow"])
        await asyncio.sleep(0.05)
        ending = asyncio.create_task(it.server.close(5))
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await it.connect()
        answer = await partial.ask(whole[-1:])
        assert (answer.body, answer.headers["connection"]) == (b"10", "close")
        it.handler.may_answer.set()
        answer = await busy.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        await asyncio.wait_for(ending, 2)


async def test_the_end_does_not_wait_for_ever() -> None:
    async with served() as it:
        busy = await it.connect()
        await busy.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        await until(lambda: it.handler.asked)
        await asyncio.wait_for(it.server.close(0.2), 2)
        await until(lambda: it.handler.cancelled)
        assert await busy.rest() == b""
