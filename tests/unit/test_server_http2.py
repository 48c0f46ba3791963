"""The server's HTTP/2, from a client that keeps to the protocol and from ones that do not."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hpack import Encoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_server.errors import Unavailable
from model_server.http2 import connection, frames
from model_server.http2.server import Listening
from model_server.rpc.calls import PREDICT, Calls, Method, Rules
from model_server.rpc.codes import Code

from tests.support.http2_peer import Peer, request_headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from model_server.rpc.calls import Call
    from model_server.rpc.conversations import Conversation
    from model_server.traces import Trace

LIMIT = 3 * 2**20
WITH_TASKS_AND_WITHOUT = pytest.mark.parametrize("kind", ["", "/predict"])


class Server(Rules):
    """Echoes messages, and notes what happens."""

    def __init__(self) -> None:
        self.port = 0
        self.listening: Listening
        self.room: Calls
        self.leaving = False
        self.running = 0
        self.cancelled = 0
        self.codes: list[Code] = []
        self.go_on = asyncio.Event()
        self.peers: list[Peer] = []

    async def connect(self, *, settings: Iterable[tuple[int, int]] = (), greet: bool = True) -> Peer:
        self.peers.append(await Peer.connect(self.port, settings=settings, greet=greet))
        return self.peers[-1]

    def trailing(self) -> tuple[tuple[str, str], ...]:
        return (("model-revision", "r1"),)

    def is_leaving(self) -> bool:
        return self.leaving

    def observe(self, method: Method | None, call: Call, code: Code, trace: Trace) -> None:
        self.codes.append(code)

    async def echo(self, call: Call) -> bytes:
        call.trailing.append(("prediction-id", "T"))
        return call.message

    async def wait(self, call: Call) -> bytes:
        self.running += 1
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return b"done"

    async def full(self, call: Call) -> bytes:
        raise Unavailable("the queue is full")

    async def broken(self, call: Call) -> bytes:
        raise ValueError("secret")

    async def grow(self, call: Call) -> bytes:
        return call.message * 10_000

    async def given_up(self, call: Call) -> bytes:
        raise asyncio.CancelledError

    async def talk(self, call: Call, conversation: Conversation) -> None:
        while (message := await conversation.next()) is not None:
            await conversation.say(message[::-1])

    async def silent(self, call: Call, conversation: Conversation) -> None:
        await self.go_on.wait()


@asynccontextmanager
async def serving(in_flight: int = 2**26) -> AsyncIterator[Server]:
    server = Server()
    methods = {
        f"/{name}": Method(name, LIMIT, getattr(server, name))
        for name in ("echo", "wait", "full", "broken", "given_up", "grow")
    }
    methods |= {f"/predict/{name}": replace(methods[f"/{name}"], kind=PREDICT) for name in ("wait", "given_up")}
    methods |= {f"/{name}": Method(name, 1000, None, getattr(server, name)) for name in ("talk", "silent")}
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]
    server.room = Calls(methods, server, in_flight)
    server.listening = Listening(server.room, listener)
    await server.listening.listen()
    try:
        yield server
    finally:
        await server.listening.close(0.0)
        for peer in server.peers:
            await peer.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
async def peer(server: Server) -> Peer:
    return await server.connect()


async def reached(server: Server, running: int) -> None:
    async with asyncio.timeout(5):
        while server.running != running:  # noqa: ASYNC110  # Tests may.
            await asyncio.sleep(0.01)


async def test_a_call_is_answered_with_its_metadata(peer: Peer) -> None:
    peer.send(peer.call(1, b"hello"))
    fields, message = await peer.answer(1)

    assert message == b"hello"
    assert fields[":status"] == "200"
    assert fields["content-type"] == "application/grpc"
    assert fields["grpc-status"] == "0"
    assert (fields["prediction-id"], fields["model-revision"]) == ("T", "r1")


async def test_many_calls_run_at_once(server: Server, peer: Peer) -> None:
    peer.send(b"".join(peer.call(number, b"", path="/wait") for number in (1, 3, 5)) + peer.call(7, b"first"))

    assert (await peer.answer(7))[1] == b"first"
    await reached(server, 3)
    server.go_on.set()
    assert (await peer.answer(5))[1] == b"done"


async def test_errors_have_codes_and_no_traceback(peer: Peer) -> None:
    for number, path, code, message in (
        (1, "/full", Code.UNAVAILABLE, "the queue is full"),
        (3, "/broken", Code.INTERNAL, "internal error; the log of the pod has the details"),
        (5, "/none", Code.UNIMPLEMENTED, "this server has no method /none"),
    ):
        peer.send(peer.call(number, b"", path=path))
        fields, _ = await peer.answer(number)
        assert (fields["grpc-status"], fields["grpc-message"]) == (str(int(code)), message)


async def test_texts_beyond_ascii_are_escaped_in_messages(peer: Peer) -> None:
    peer.send(peer.call(1, b"", path="/ä%"))
    fields, _ = await peer.answer(1)

    assert fields["grpc-message"] == "this server has no method /%C3%A4%25"


async def test_what_is_no_call_gets_a_code_of_http(peer: Peer) -> None:
    block = b"".join(frames.literal(*pair) for pair in ((":method", "GET"), (":path", "/echo")))
    peer.send(frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, block))
    fields, _ = await peer.answer(1)

    assert fields == {":status": "415"}


async def test_what_says_not_what_it_asks_for_is_no_call(peer: Peer) -> None:
    usual = {":method": "POST", ":scheme": "http", ":path": "/echo", "content-type": "application/grpc"}
    for number, missing in enumerate(usual):
        block = b"".join(frames.literal(name, value) for name, value in usual.items() if name != missing)
        ends = frames.END_HEADERS | frames.END_STREAM
        peer.send(frames.frame(frames.HEADERS, ends, 2 * number + 1, block))
        fields, _ = await peer.answer(2 * number + 1)
        assert fields[":status"] == ("415" if missing in {":method", "content-type"} else "200")
        assert fields.get("grpc-status") != "0"


async def test_http_1_is_told_so(server: Server) -> None:
    peer = await server.connect(greet=False)
    peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert await peer.goaway() == (frames.PROTOCOL_ERROR, "this port speaks gRPC: HTTP/2 and nothing else")


@pytest.mark.parametrize("step", [1, 7])
async def test_frames_may_come_in_pieces(server: Server, step: int) -> None:
    peer = await server.connect(greet=False)
    data = frames.PREFACE + frames.settings(()) + peer.call(1, b"in pieces")
    for start in range(0, len(data), step):
        peer.send(data[start : start + step])
        await peer.writer.drain()
        await asyncio.sleep(0)

    assert (await peer.answer(1))[1] == b"in pieces"


async def test_headers_may_be_padded_packed_and_in_parts(peer: Peer) -> None:
    encoder = Encoder()
    pairs = [(":method", "POST"), (":path", "/echo"), ("content-type", "application/grpc"), ("x-y", "z" * 200)]
    for number in (1, 3, 5):  # The third time all lies in the table, and the block was seen before.
        block = encoder.encode(pairs)
        first, rest = block[:5], block[5:]
        padded = bytes((3,)) + bytes(5) + first + bytes(3)
        peer.send(frames.frame(frames.HEADERS, frames.PADDED | frames.HAS_PRIORITY, number, padded))
        peer.send(frames.frame(frames.CONTINUATION, frames.END_HEADERS, number, rest))
        data = b"\x02" + b"\x00\x00\x00\x00\x01x" + bytes(2)
        peer.send(frames.frame(frames.DATA, frames.PADDED | frames.END_STREAM, number, data))
        assert (await peer.answer(number))[1] == b"x"


async def test_a_large_message_goes_through_small_windows(server: Server) -> None:
    message = bytes(range(256)) * (LIMIT // 256)
    peer = await server.connect(settings=[(frames.INITIAL_WINDOW_SIZE, 1000)])
    peer.send(peer.headers(1))
    data, window = b"\x00" + len(message).to_bytes(4) + message, connection.STREAM_WINDOW
    while data:  # As a client does that waits for room.
        size = min(len(data), window, frames.DEFAULT_FRAME)
        if not size:
            update = await peer.until(frames.WINDOW_UPDATE)
            window += int.from_bytes(update.payload) if update.stream == 1 else 0
            continue
        chunk, data, window = data[:size], data[size:], window - size
        peer.send(frames.frame(frames.DATA, 0 if data else frames.END_STREAM, 1, chunk))
    body = b""
    while (frame := await peer.read()) is not None and not frame.flags & frames.END_STREAM:
        if frame.kind == frames.DATA:
            assert len(frame.payload) <= 1000
            body += frame.payload
            more = frames.window_update(1, len(frame.payload)) + frames.window_update(0, len(frame.payload))
            peer.send(more)
    assert body[5:] == message


async def test_a_window_that_grows_lets_the_rest_out(server: Server) -> None:
    peer = await server.connect(settings=[(frames.INITIAL_WINDOW_SIZE, 0)])
    peer.send(peer.call(1, b"x" * 100))
    await peer.until(frames.HEADERS)
    peer.send(frames.settings([(frames.INITIAL_WINDOW_SIZE, 65535)]))

    assert len((await peer.until(frames.DATA)).payload) == 105


async def test_too_large_messages_are_refused_before_they_are_there(server: Server, peer: Peer) -> None:
    peer.send(peer.headers(1) + frames.frame(frames.DATA, 0, 1, b"\x00" + (LIMIT + 1).to_bytes(4) + b"begin"))
    fields, _ = await peer.answer(1)
    assert fields["grpc-status"] == str(int(Code.RESOURCE_EXHAUSTED))
    assert (await peer.until(frames.RST_STREAM)).payload == frames.NO_ERROR.to_bytes(4)
    peer.send(frames.frame(frames.DATA, frames.END_STREAM, 1, bytes(1000)))  # Sent before the client knew.
    peer.send(peer.call(3, b"next"))

    assert (await peer.answer(3))[1] == b"next"


async def test_what_is_in_memory_at_once_is_bounded() -> None:
    async with serving(in_flight=2**18) as server:
        peer = await server.connect()
        peer.send(peer.call(1, bytes(2**18 - 100), path="/wait"))
        await reached(server, 1)
        peer.send(peer.call(3, bytes(1000)))
        assert (await peer.answer(3))[0]["grpc-status"] == str(int(Code.UNAVAILABLE))
        server.go_on.set()
        await peer.answer(1)
        peer.send(peer.call(5, bytes(1000)))
        assert (await peer.answer(5))[0]["grpc-status"] == "0"  # The room was given back.


@pytest.mark.parametrize("data", [b"", b"\x00\x00", b"\x00\x00\x00\x00\x05half", b"\x00\x00\x00\x00\x01xmore"])
async def test_a_call_has_one_whole_message(peer: Peer, data: bytes) -> None:
    peer.send(peer.headers(1) + frames.frame(frames.DATA, frames.END_STREAM, 1, data))

    assert (await peer.answer(1))[0]["grpc-status"] == str(int(Code.INVALID_ARGUMENT))


async def test_a_call_without_data_has_no_message(peer: Peer) -> None:
    peer.send(peer.headers(1, end=True))

    assert (await peer.answer(1))[0]["grpc-status"] == str(int(Code.INVALID_ARGUMENT))


@WITH_TASKS_AND_WITHOUT
async def test_deadlines_are_kept(server: Server, peer: Peer, kind: str) -> None:
    peer.send(peer.call(1, b"", ("grpc-timeout", "50m"), path=f"{kind}/wait"))
    fields, _ = await peer.answer(1)
    assert fields["grpc-status"] == str(int(Code.DEADLINE_EXCEEDED))
    assert server.cancelled == 1
    peer.send(peer.headers(3, ("grpc-timeout", "50m")))  # Its message never comes.
    assert (await peer.answer(3))[0]["grpc-status"] == str(int(Code.DEADLINE_EXCEEDED))
    peer.send(peer.call(5, b"", ("grpc-timeout", "soon")))
    assert (await peer.answer(5))[0]["grpc-status"] == str(int(Code.INVALID_ARGUMENT))


async def test_a_deadline_that_is_over_before_the_work_begins_is_told(peer: Peer) -> None:
    peer.send(peer.headers(1, ("grpc-timeout", "50m"), path="/wait"))
    await asyncio.sleep(0.01)
    peer.send(frames.frame(frames.DATA, frames.END_STREAM, 1, b"\x00\x00\x00\x00\x01x"))
    time.sleep(0.1)  # noqa: ASYNC251  # The server is to find both at once: the message, and its deadline over.
    fields, _ = await peer.answer(1)
    assert fields["grpc-status"] == str(int(Code.DEADLINE_EXCEEDED))
    peer.send(peer.call(3, b"abc", ("grpc-timeout", "0m"), path="/wait"))
    assert (await peer.answer(3))[0]["grpc-status"] == str(int(Code.DEADLINE_EXCEEDED))


async def test_calls_that_are_taken_back_before_they_begin_hold_nothing() -> None:
    async with serving(in_flight=2**18) as server:
        peer = await server.connect()
        for number in range(1, 21, 2):  # Together they would fill it twice.
            peer.send(peer.call(number, b"x" * 50_000) + frames.reset(number, frames.CANCEL))
        peer.send(peer.call(21, b"x" * 50_000))
        fields, message = await peer.answer(21)
        assert (fields["grpc-status"], len(message)) == ("0", 50_000)


@WITH_TASKS_AND_WITHOUT
async def test_a_call_that_the_server_itself_gives_up_is_answered(peer: Peer, kind: str) -> None:
    peer.send(peer.call(1, b"abc", path=f"{kind}/given_up"))
    fields, _ = await peer.answer(1)
    assert (fields["grpc-status"], fields["grpc-message"]) == ("14", "the server gave the call up: try again")


@WITH_TASKS_AND_WITHOUT
async def test_what_a_client_takes_back_is_given_up(server: Server, peer: Peer, kind: str) -> None:
    peer.send(peer.call(1, b"", path=f"{kind}/wait"))
    await reached(server, 1)
    peer.send(frames.reset(1, frames.CANCEL))
    await reached(server, 0)
    assert server.cancelled == 1
    assert server.codes == []  # Nobody was answered.
    peer.send(peer.call(3, b"", path=f"{kind}/wait"))
    await reached(server, 1)
    await peer.close()
    await reached(server, 0)
    assert server.cancelled == 2


async def test_packed_messages_are_unpacked_within_the_limit(peer: Peer) -> None:
    def call(number: int, packed: bytes, encoding: str = "gzip") -> bytes:
        data = b"\x01" + len(packed).to_bytes(4) + packed
        accept = ("grpc-accept-encoding", "identity,gzip")
        return peer.headers(number, ("grpc-encoding", encoding), accept) + frames.frame(
            frames.DATA, frames.END_STREAM, number, data
        )

    peer.send(call(1, gzip.compress(b"x" * 1000)))
    fields, answer = await peer.answer(1)
    assert (fields["grpc-encoding"], gzip.decompress(answer)) == ("gzip", b"x" * 1000)
    for number, packed, encoding, code in (
        (3, gzip.compress(bytes(LIMIT + 1)), "gzip", Code.RESOURCE_EXHAUSTED),
        (5, b"no gzip", "gzip", Code.INVALID_ARGUMENT),
        (7, gzip.compress(b"x" * 1000)[:-9], "gzip", Code.INVALID_ARGUMENT),
        (9, b"x", "snappy", Code.UNIMPLEMENTED),
        (11, b"x", "identity", Code.INVALID_ARGUMENT),
    ):
        peer.send(call(number, packed, encoding))
        assert (await peer.answer(number))[0]["grpc-status"] == str(int(code))


async def test_what_is_unpacked_is_in_memory_as_well() -> None:
    packed = gzip.compress(bytes(100_000))
    async with serving(in_flight=60_000) as server:
        peer = await server.connect()
        data = b"\x01" + len(packed).to_bytes(4) + packed
        for number in (1, 3):
            peer.send(peer.headers(number, ("grpc-encoding", "gzip"), path="/wait"))
            peer.send(frames.frame(frames.DATA, frames.END_STREAM, number, data))
            assert (await peer.answer(number))[0]["grpc-status"] == str(int(Code.UNAVAILABLE))
        peer.send(peer.call(5, bytes(50_000)))
        assert (await peer.answer(5))[0]["grpc-status"] == "0"


async def test_answers_that_nobody_takes_are_in_memory_as_well() -> None:
    async with serving(in_flight=100_000) as server:
        peer = await server.connect(settings=[(frames.INITIAL_WINDOW_SIZE, 0)])
        for number in (1, 3):
            peer.send(peer.call(number, b"x" * 30_000))
        peer.send(peer.call(5, b"x" * 45_000))
        fields, _ = await peer.answer(5)
        assert fields["grpc-status"] == str(int(Code.UNAVAILABLE))
        peer.send(peer.call(7, b"x" * 10, path="/grow"))
        reset = await peer.until(frames.RST_STREAM)
        assert (reset.stream, int.from_bytes(reset.payload)) == (7, frames.ENHANCE_YOUR_CALM)
        peer.send(frames.window_update(3, 2**16))
        assert len((await peer.answer(3))[1]) == 30_000
        peer.send(frames.reset(1, frames.CANCEL))
        peer.send(peer.call(9, b"x" * 95_000, path="/wait"))  # There is room for it again.
        await reached(server, 1)


async def test_what_nobody_listens_to_in_a_conversation_is_in_memory_as_well() -> None:
    message = b"\x00" + (900).to_bytes(4) + bytes(900)
    async with serving(in_flight=20_000) as server:
        peer = await server.connect()
        peer.send(peer.headers(1, path="/talk"))
        for _ in range(60):  # It is heard, and let go.
            peer.send(frames.frame(frames.DATA, 0, 1, message))
            assert len((await peer.until(frames.DATA)).payload) == 905
        peer.send(peer.headers(3, path="/silent"))
        peer.send(frames.frame(frames.DATA, 0, 3, message * 15))
        assert (await peer.answer(3))[0]["grpc-status"] == str(int(Code.UNAVAILABLE))
        peer.send(peer.call(5, bytes(10_000)))
        assert (await peer.answer(5))[0]["grpc-status"] == "0"


async def test_a_conversation_goes_on_until_the_client_ends_it(peer: Peer) -> None:
    peer.send(peer.headers(1, path="/talk"))
    for word in (b"one", b"two"):
        peer.send(frames.frame(frames.DATA, 0, 1, b"\x00\x00\x00\x00\x03" + word))
        assert (await peer.until(frames.DATA)).payload[5:] == word[::-1]
    peer.send(frames.frame(frames.DATA, frames.END_STREAM, 1, b""))
    last = await peer.until(frames.HEADERS)

    assert last.flags & frames.END_STREAM


async def test_what_ends_a_conversation_comes_as_trailers(server: Server, peer: Peer) -> None:
    for number, too_large in ((1, True), (3, False)):
        timeout = ("grpc-timeout", "300m")
        peer.send(peer.headers(number, timeout, path="/talk"))
        peer.send(frames.frame(frames.DATA, 0, number, b"\x00\x00\x00\x00\x01x"))
        assert (await peer.until(frames.DATA)).payload[5:] == b"x"
        if too_large:
            peer.send(frames.frame(frames.DATA, 0, number, b"\x00\x00\x00\xff\xff"))
        fields, _ = await peer.answer(number)
        code = Code.RESOURCE_EXHAUSTED if too_large else Code.DEADLINE_EXCEEDED
        assert fields["grpc-status"] == str(int(code))
        assert ":status" not in fields  # It stood at the beginning.


async def test_pings_are_answered(peer: Peer) -> None:
    peer.send(frames.frame(frames.PING, 0, 0, b"12345678"))

    assert (await peer.until(frames.PING)).payload == b"12345678"


# --- Leaving ---------------------------------------------------------------------------------------------------------


async def test_a_connection_ends_when_all_is_answered_that_was_asked_till_then(server: Server, peer: Peer) -> None:
    peer.send(peer.call(1, b"", path="/wait"))
    await reached(server, 1)
    closing = asyncio.create_task(server.listening.close(5))
    first = await peer.until(frames.GOAWAY)
    assert int.from_bytes(first.payload[:4]) == frames.MAX_WINDOW
    ping = await peer.until(frames.PING)
    peer.send(peer.call(3, b"on its way"))  # Before the client has read that it should not.
    peer.send(frames.frame(frames.PING, frames.ACK, 0, ping.payload))
    assert int.from_bytes((await peer.until(frames.GOAWAY)).payload[:4]) == 3
    assert (await peer.answer(3))[1] == b"on its way"
    assert not closing.done()
    server.go_on.set()
    assert (await peer.answer(1))[1] == b"done"
    assert await peer.read() is None
    await closing


async def test_who_was_answered_by_a_pod_that_leaves_is_sent_elsewhere(server: Server, peer: Peer) -> None:
    server.leaving = True
    peer.send(peer.call(1, b"last"))
    assert (await peer.answer(1))[1] == b"last"

    assert (await peer.goaway())[0] == frames.NO_ERROR


async def test_conversations_end_when_the_server_does(server: Server, peer: Peer) -> None:
    peer.send(peer.headers(1, path="/talk"))
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(server.listening.close(5))

    assert (await peer.answer(1))[0]["grpc-status"] == str(int(Code.UNAVAILABLE))
    await closing


# --- Faults and floods ---------------------------------------------------------------------------------------------


def faults() -> dict[str, tuple[int, bytes]]:
    block = request_headers()
    begun = frames.frame(frames.HEADERS, frames.END_HEADERS, 1, block)
    return {
        "DATA of no stream": (frames.PROTOCOL_ERROR, frames.frame(frames.DATA, 0, 1, b"x")),
        "DATA of stream 0": (frames.PROTOCOL_ERROR, frames.frame(frames.DATA, 0, 0, b"x")),
        "an even number": (frames.PROTOCOL_ERROR, frames.frame(frames.HEADERS, frames.END_HEADERS, 2, block)),
        "a push": (frames.PROTOCOL_ERROR, frames.frame(frames.PUSH_PROMISE, 0, 1, b"x")),
        "a frame over the limit": (frames.FRAME_SIZE_ERROR, frames.head(frames.DATA, 0, 1, 16_385)),
        "padding beyond the frame": (frames.PROTOCOL_ERROR, frames.frame(frames.HEADERS, frames.PADDED, 1, b"\xff")),
        "a window of nothing": (frames.PROTOCOL_ERROR, frames.window_update(0, 0)),
        "a window too large": (frames.FLOW_CONTROL_ERROR, frames.window_update(0, frames.MAX_WINDOW)),
        "a stream's window too large": (
            frames.FLOW_CONTROL_ERROR,
            begun + frames.window_update(1, frames.MAX_WINDOW),
        ),
        "settings of half a size": (frames.FRAME_SIZE_ERROR, frames.frame(frames.SETTINGS, 0, 0, b"x")),
        "settings of a stream": (frames.PROTOCOL_ERROR, frames.frame(frames.SETTINGS, 0, 1, b"")),
        "a frame size of 1": (frames.PROTOCOL_ERROR, frames.settings([(frames.MAX_FRAME_SIZE, 1)])),
        "a ping of 7 bytes": (frames.FRAME_SIZE_ERROR, frames.frame(frames.PING, 0, 0, bytes(7))),
        "a reset of no stream": (frames.PROTOCOL_ERROR, frames.reset(1, frames.CANCEL)),
        "headers that cannot be read": (
            frames.COMPRESSION_ERROR,
            frames.frame(frames.HEADERS, frames.END_HEADERS, 1, b"\xff\xff\xff\xff\xff"),
        ),
        "headers that are not gone on with": (
            frames.PROTOCOL_ERROR,
            frames.frame(frames.HEADERS, 0, 1, block) + frames.frame(frames.PING, 0, 0, bytes(8)),
        ),
        "headers without end": (
            frames.ENHANCE_YOUR_CALM,
            frames.frame(frames.HEADERS, 0, 1, b"") + frames.frame(frames.CONTINUATION, 0, 1, b"") * 100,
        ),
        "headers over the limit": (
            frames.ENHANCE_YOUR_CALM,
            frames.frame(frames.HEADERS, frames.END_HEADERS, 1, request_headers(*[("x", "y" * 100)] * 130)),
        ),
        "a table of headers that grows when it is read": (
            frames.ENHANCE_YOUR_CALM,
            frames.frame(
                frames.HEADERS,
                frames.END_HEADERS,
                1,
                b"\x40\x01x\x7f\xa1\x1e" + bytes(4000) + b"\xbe" * 1000,
            ),
        ),
        "pings without end": (frames.ENHANCE_YOUR_CALM, frames.frame(frames.PING, frames.ACK, 0, bytes(8)) * 10_000),
        "settings without end": (frames.ENHANCE_YOUR_CALM, frames.settings([(99, 1)]) * 10_000),
        "frames that say nothing": (
            frames.ENHANCE_YOUR_CALM,
            begun + frames.frame(frames.DATA, 0, 1, b"") * 10_000,
        ),
        "streams that are begun and reset": (
            frames.ENHANCE_YOUR_CALM,
            b"".join(
                frames.frame(frames.HEADERS, frames.END_HEADERS, number, request_headers(path="/wait"))
                + frames.reset(number, frames.CANCEL)
                for number in range(1, 10_000, 2)
            ),
        ),
    }


@pytest.mark.parametrize("name", faults())
async def test_a_connection_that_errs_or_floods_ends_and_no_other(server: Server, peer: Peer, name: str) -> None:
    code, data = faults()[name]
    bad = await server.connect()
    bad.send(data)

    assert (await bad.goaway())[0] == code
    assert server.running == 0
    peer.send(peer.call(1, b"well"))
    assert (await peer.answer(1))[1] == b"well"


async def test_more_streams_than_allowed_are_refused_and_may_be_tried_again(server: Server, peer: Peer) -> None:
    numbers = range(1, 2 * connection.MAX_STREAMS + 3, 2)
    peer.send(b"".join(peer.call(number, b"", path="/wait") for number in numbers))
    refused = await peer.until(frames.RST_STREAM)

    assert (refused.stream, refused.payload) == (numbers[-1], frames.REFUSED_STREAM.to_bytes(4))
    await reached(server, connection.MAX_STREAMS)


async def test_a_client_that_takes_no_answer_is_read_no_more(server: Server) -> None:
    window = (frames.INITIAL_WINDOW_SIZE, frames.MAX_WINDOW)
    peer = await server.connect(settings=[window])
    peer.send(frames.window_update(0, frames.MAX_WINDOW - frames.DEFAULT_WINDOW))
    message = bytes(2**20)
    sent = 0
    try:
        async with asyncio.timeout(1):
            for number in range(1, 400, 2):
                peer.send(peer.call(number, message))
                await peer.writer.drain()
                sent += 1
    except TimeoutError:
        pass

    assert sent < 60


@pytest.mark.parametrize(
    ("begin", "limit"),
    [
        (b"", "GREETING_SECONDS"),
        (frames.PREFACE[:10], "GREETING_SECONDS"),
        (frames.PREFACE + frames.settings(()), "IDLE_SECONDS"),
        (
            frames.PREFACE + frames.settings(()) + frames.frame(frames.HEADERS, 4, 1, request_headers()),
            "UNFINISHED_SECONDS",
        ),
    ],
)
async def test_what_does_not_move_ends(
    server: Server, monkeypatch: pytest.MonkeyPatch, begin: bytes, limit: str
) -> None:
    monkeypatch.setattr(connection, limit, 0.05)
    monkeypatch.setattr(connection, "LAST_CALL_SECONDS", 0.05)
    peer = await server.connect(greet=False)
    peer.send(begin)
    await asyncio.sleep(0.15)
    server.listening._check()

    async with asyncio.timeout(5):
        while await peer.read() is not None:
            pass


async def test_half_a_connection_does_no_harm(server: Server, peer: Peer) -> None:
    peer.send(peer.call(1, b"", path="/wait"))
    await reached(server, 1)
    peer.writer.write_eof()
    await reached(server, 0)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(0, 11),
            st.integers(0, 255),
            st.integers(0, 5),
            st.one_of(st.binary(max_size=40), st.just(request_headers()), st.just(b"\x00\x00\x00\x00\x01x")),
        ),
        max_size=8,
    )
)
def test_whatever_comes_the_server_goes_on(parts: list[tuple[int, int, int, bytes]]) -> None:
    asyncio.run(survives(b"".join(frames.frame(*part) for part in parts)))


async def survives(data: bytes) -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    async with serving() as server:
        bad, good = await server.connect(), await server.connect()
        bad.send(data)
        good.send(good.call(1, b"well"))
        assert (await good.answer(1))[1] == b"well"
    assert not failures
