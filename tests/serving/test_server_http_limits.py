"""What clients may not do: large heads and bodies, requests that never end, ambiguous ones, bombs."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import TYPE_CHECKING

import pytest
import zstandard
from model_server.http.limits import MAX_HEAD_BYTES, Bodies

from tests.serving.raw_http import GET, IMPATIENT, LIMIT, POST, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.serving.raw_http import Served


@pytest.fixture
async def echo() -> AsyncIterator[Served]:
    async with served() as it:
        yield it


@pytest.fixture
async def impatient() -> AsyncIterator[Served]:
    async with served(IMPATIENT) as it:
        yield it


def head_of(size: int) -> bytes:
    """A request whose target and headers are so large."""
    rest = len(b"/") + len(b"Host" + b"h") + 4 + len(b"X") + 4
    return GET + b"X: " + b"x" * (size - rest) + b"\r\n\r\n"


async def test_a_head_at_the_limit(echo: Served) -> None:
    client = await echo.connect()
    for _ in range(2):
        assert (await client.ask(head_of(MAX_HEAD_BYTES))).status == 200
    answer = await client.ask(head_of(MAX_HEAD_BYTES + 1))
    assert (answer.status, answer.headers["connection"]) == (431, "close")
    assert b"over 64 KiB" in answer.body
    assert await client.rest() == b""


@pytest.mark.parametrize(
    "pieces",
    [
        (GET, *[b"X: " + b"x" * 20_000 + b"\r\n"] * 4),
        (GET + b"X: ", *[b"x" * 40_000] * 2),
        (b"GET /", *[b"x" * 40_000] * 2),
        (b"\r\n" * 40_000,),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: ", *[b"x" * 40_000] * 2),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1;", *[b"x" * 40_000] * 2),
    ],
)
async def test_what_is_no_body_and_does_not_end_is_refused(echo: Served, pieces: tuple[bytes, ...]) -> None:
    client = await echo.connect()
    assert (await client.ask(*pieces)).status == 431
    assert await client.rest() == b""


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_at_the_limit(echo: Served, *, is_chunked: bool) -> None:
    def request(size: int) -> bytes:
        if is_chunked:
            return POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % size + b"x" * size + b"\r\n0\r\n\r\n"
        return POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size

    client = await echo.connect()
    for _ in range(2):
        assert (await client.ask(request(LIMIT))).body == b"%d" % LIMIT
    answer = await client.ask(request(LIMIT + 1))  # All of it is sent, and the answer read nevertheless.
    assert (answer.status, answer.headers["connection"]) == (413, "close")
    assert await client.rest() == b""


async def test_a_body_of_tiny_chunks_takes_little_memory(echo: Served) -> None:
    client = await echo.connect()
    chunks = b"1\r\nx\r\n" * LIMIT + b"0\r\n\r\n"
    assert (await client.ask(POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)).body == b"%d" % LIMIT


async def test_all_bodies_together_are_bounded() -> None:
    bodies = Bodies(1000)
    async with served(bodies=bodies) as it:
        first, second, third = [await it.connect() for _ in range(3)]
        begun = POST + b"Content-Length: 900\r\n\r\n" + b"x" * 600
        announced = POST + b"Content-Length: 900\r\n\r\n"
        await first.send(announced)
        await second.send(announced)  # Announcements alone take no room.
        await asyncio.sleep(0.05)
        assert bodies.held == 0
        await first.send(begun[-600:])
        await asyncio.sleep(0.05)
        assert bodies.held == 600
        assert (await second.ask(b"x" * 900)).status == 503
        assert (await third.ask(POST + b"Content-Length: 401\r\n\r\n")).status == 503
        assert (await first.ask(b"x" * 300)).body == b"900"
        assert bodies.held == 0
        fourth = await it.connect()
        assert (await fourth.ask(begun, b"x" * 300)).body == b"900"
        await fourth.send(begun)
        await asyncio.sleep(0.05)
        await fourth.close()  # Who hangs up makes room.
        for _ in range(100):
            await asyncio.sleep(0.01)
            if bodies.held == 0:
                break
        assert bodies.held == 0


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"\r\n",
        b"GET / HT",
        GET,
        POST + b"Content-Length: 9\r\n\r\n12345",
        POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ],
)
@pytest.mark.parametrize("before", [b"", GET + b"\r\n"])
async def test_a_request_that_does_not_end_is_given_up(impatient: Served, begun: bytes, before: bytes) -> None:
    client = await impatient.connect()
    if before:
        assert (await client.ask(before)).status == 200
    if begun or not before:
        answer = await client.ask(begun)
        assert (answer.status, answer.headers["connection"]) == (408, "close")
    assert await client.rest() == b""  # A kept connection that is idle is closed without a word.


async def test_a_request_that_comes_drop_by_drop_is_given_up(impatient: Served) -> None:
    client = await impatient.connect()

    async def drip() -> None:
        await client.send(*[b"X: y\r\n"] * 100)

    await client.send(GET)
    dripping = asyncio.create_task(drip())
    assert (await client.answer()).status == 408
    dripping.cancel()


async def test_a_slow_answer_is_waited_for(impatient: Served) -> None:
    client = await impatient.connect()
    await client.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n" + GET + b"\r\n" + POST)
    await asyncio.sleep(1)
    impatient.handler.may_answer.set()
    assert [(await client.answer()).status for _ in range(2)] == [200, 200]
    assert (await client.answer()).status == 408  # And the third, once those are answered, as long as any.


async def test_a_client_that_takes_no_answer_is_given_up(impatient: Served) -> None:
    client = await impatient.connect(limit=1024)
    await client.send(b"GET /bytes/20000000 HTTP/1.1\r\nHost: h\r\n\r\n")
    (connection,) = impatient.server.shared.connections
    for _ in range(300):
        await asyncio.sleep(0.01)
        if not impatient.server.shared.connections:
            break
    assert connection not in impatient.server.shared.connections


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        # Where does the request end? Two who answer that differently can be made to take one request for two.
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
        (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
        (POST + b"Content-Length: +3\r\n\r\nabc", 400),
        (POST + b"Content-Length: -3\r\n\r\nabc", 400),
        (POST + b"Content-Length: 0x3\r\n\r\nabc", 400),
        (POST + b"Content-Length: 3_0\r\n\r\nabc", 400),
        (POST + b"Content-Length: \r\n\r\nabc", 400),
        (POST + b"Content-Length: 99999999999999999999999\r\n\r\n", 400),
        (POST + b"Content-Length : 3\r\n\r\nabc", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n", 400),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: h\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\n\r\nGET /2 HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", 400),
        (GET + b"X: a\r\n b\r\n\r\n", 400),
        (GET + b" X: a\r\n\r\n", 400),
        (GET + b"X: a\0b\r\n\r\n", 400),
        (GET + b"X\0: a\r\n\r\n", 400),
        (GET + b": a\r\n\r\n", 400),
        (GET + b"no header\r\n\r\n", 400),
        # For whom is it?
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (GET + b"Host: another\r\n\r\n", 400),
        # What is it?
        (b"no HTTP\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET /\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (POST + b"Expect: a miracle\r\nContent-Length: 3\r\n\r\n", 417),
    ],
)
async def test_what_is_ambiguous_is_refused(echo: Served, request_: bytes, status: int) -> None:
    client = await echo.connect()
    answer = await client.ask(GET + b"\r\n")
    assert answer.status == 200
    answer = await client.ask(request_ + b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert await client.rest() == b""
    assert echo.handler.asked == ["/"]


def bomb(encoding: str, size: int) -> bytes:
    """So many zeros, packed."""
    if encoding == "gzip":
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        return b"".join([*(packer.compress(bytes(2**20)) for _ in range(size // 2**20)), packer.flush()])
    return zstandard.ZstdCompressor(level=19).compress(bytes(size))


@pytest.mark.parametrize(
    ("encoding", "packed", "status"),
    [
        ("gzip", gzip.compress(b"x" * LIMIT), 200),
        ("gzip", gzip.compress(b"x" * (LIMIT + 1)), 413),
        ("gzip", bomb("gzip", 2**26), 413),
        ("gzip", gzip.compress(bomb("gzip", 2**26)), 200),  # Once is unpacked, not twice.
        ("gzip", gzip.compress(b"abc")[:-5], 400),
        ("gzip", gzip.compress(b"abc") + b"x", 400),
        ("gzip", b"abc", 400),
        ("zstd", zstandard.compress(b"x" * LIMIT), 200),
        ("zstd", zstandard.compress(b"x" * (LIMIT + 1)), 413),
        ("zstd", bomb("zstd", 2**28), 413),
        ("zstd", zstandard.compress(b"abc")[:-1], 400),
        ("zstd", zstandard.compress(b"abc") + b"x", 400),
        ("zstd", b"abc", 400),
        # A window of 2 GiB, which would have to be there before the first byte.
        ("zstd", b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x01\x00\x00", 400),
        ("br", b"abc", 400),
        ("gzip, gzip", gzip.compress(gzip.compress(b"abc")), 400),
        ("identity", b"abc", 200),
    ],
)
async def test_packed_bodies(echo: Served, encoding: str, packed: bytes, status: int) -> None:
    client = await echo.connect()
    head = POST + f"Content-Encoding: {encoding}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    answer = await client.ask(head + packed)
    assert answer.status == (413 if len(packed) > LIMIT else status)
    if len(packed) <= LIMIT:
        assert (await client.ask(GET + b"\r\n")).status == 200  # The request was read: the connection stays.
