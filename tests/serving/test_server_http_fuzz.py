"""Whatever bytes come: never a crash, never a hang; answers, and the end of the connection."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httptools
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving.raw_http import served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving.raw_http import Served

EXAMPLES = 300


@dataclass
class Running:
    """A server in a thread of its own."""

    address: tuple[str, int] = ("", 0)
    faults: list[dict[str, Any]] = field(default_factory=list)
    """What its loop had to tell."""

    def send(self, pieces: list[bytes]) -> bytes:
        """Send pieces on a connection, and no more; returns what comes until the server closes it."""
        received = b""
        with socket.create_connection(self.address, timeout=10) as connection, contextlib.suppress(ConnectionError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    connection.sendall(piece)
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65536):  # TimeoutError: a hang.
                received += piece
        return received


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    it, ready = Running(), threading.Event()
    end: list[Any] = []

    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(lambda _, context: it.faults.append(context))
        async with served() as here:
            it.address = here.address
            end.extend((loop, stop, here))
            ready.set()
            await stop.wait()
            await here.server.shared.until_nobody(5)

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())  # At its end nothing may be held.

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    yield it
    loop, stop, here = end
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)
    assert not thread.is_alive()
    check_nothing_is_left(here)


def check_nothing_is_left(here: Served) -> None:
    assert here.server.shared.bodies.held == 0
    assert not here.server.shared.connections


class Answers:
    """Reads answers, strictly."""

    def __init__(self, received: bytes) -> None:
        self.statuses: list[int] = []
        self.bodies: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(received)

    def on_message_begin(self) -> None:
        self.bodies.append(b"")

    def on_body(self, body: bytes) -> None:
        self.bodies[-1] += body

    def on_message_complete(self) -> None:
        self.statuses.append(self._parser.get_status_code())


def split(content: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({cut % (len(content) + 1) for cut in cuts} | {0, len(content)})
    return [content[start:end] for start, end in itertools.pairwise(ends)]


CUTS = st.lists(st.integers(0, 10_000), max_size=6)
FRAGMENTS = st.sampled_from(
    [
        *(b"GET ", b"POST ", b"HEAD ", b"/", b"/x?y", b"*", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r", b" "),
        *(
            b"Host: h\r\n",
            b"Content-Length: ",
            b"0",
            b"3",
            b"12",
            b"99999999",
            b"-1",
            b"Transfer-Encoding: chunked\r\n",
        ),
        *(b"Transfer-Encoding: ", b"chunked", b"gzip", b"Expect: 100-continue\r\n", b"Connection: close\r\n"),
        *(b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"Content-Encoding: gzip\r\n", b"Content-Encoding: zstd\r\n"),
        *(b"\r\n\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"abc", b"\x00", b"\xff", b":", b"X: y\r\n", b"a" * 5000),
        *(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"POST / HTTP/1.1\r\nHost: h\r\n"),
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    ]
)
NOISE = st.one_of(st.binary(max_size=300), st.lists(FRAGMENTS, max_size=25).map(b"".join))


@settings(max_examples=EXAMPLES, deadline=None)
@given(content=NOISE, cuts=CUTS)
def test_noise(running: Running, content: bytes, cuts: list[int]) -> None:
    received = running.send(split(content, cuts))
    answers = Answers(received)
    assert all(status in {100, 200, 400, 413, 417, 431, 505} for status in answers.statuses)
    assert not running.faults


@dataclass(frozen=True)
class Asked:
    """A request as it should be."""

    text: bytes
    size: int
    """Of the body, which is the answer."""


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    body = draw(st.binary(max_size=5000))
    headers = b"Host: h\r\n" + draw(st.sampled_from([b"", b"X: y\r\n", b"Accept-Encoding: gzip\r\n"]))
    kind = draw(st.sampled_from(["GET", "length", "chunks"]))
    if kind == "GET":
        return Asked(b"GET /a?b HTTP/1.1\r\n" + headers + b"\r\n", 0)
    if kind == "length":
        return Asked(b"POST / HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body), len(body))
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in split(body, draw(CUTS)) if chunk)
    return Asked(b"POST / HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % (headers, chunks), len(body))


@settings(max_examples=EXAMPLES, deadline=None)
@given(asked=st.lists(requests(), max_size=8), cuts=CUTS)
def test_any_requests_in_any_pieces_have_their_answers(running: Running, asked: list[Asked], cuts: list[int]) -> None:
    answers = Answers(running.send(split(b"".join(request.text for request in asked), cuts)))
    assert answers.statuses == [200] * len(asked)
    assert answers.bodies == [b"%d" % request.size for request in asked]
    assert not running.faults


@settings(max_examples=EXAMPLES, deadline=None)
@given(asked=requests(), at=st.integers(0, 10_000), change=st.binary(max_size=3), cuts=CUTS)
def test_a_request_with_a_fault(running: Running, asked: Asked, at: int, change: bytes, cuts: list[int]) -> None:
    at %= len(asked.text)
    content = asked.text[:at] + change + asked.text[at + len(change) :]
    answers = Answers(running.send(split(content, cuts)))
    assert len(answers.statuses) <= len(content) // 18  # No request is shorter than that.
    assert not running.faults
