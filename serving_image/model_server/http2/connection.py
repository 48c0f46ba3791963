"""One connection of HTTP/2: its streams, its windows, and what it refuses.

What floods is refused by ending the connection: streams that are begun and reset (CVE-2023-44487), headers without an
end (CONTINUATION), frames that ask for an answer, frames that say nothing, windows that are never opened, requests that
are never finished. A fault of one stream ends the connection, too: nobody makes the server reset stream after stream.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final, Protocol

from model_server.http2 import frames
from model_server.http2.frames import ProtocolError
from model_server.http2.headers import MAX_HEADER_BYTES, HeaderReader
from model_server.http2.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.http2.stream import Receiver

MAX_STREAMS: Final = 256
"""That a client may have open at once on one connection; more of them wait at the client."""
STREAM_WINDOW: Final = 2**20
"""What a client may send of one message before it is told to go on."""
CONNECTION_WINDOW: Final = 16 * 2**20
GREETING_SECONDS: Final = 10.0
"""Until a client must have said that it speaks HTTP/2."""
UNFINISHED_SECONDS: Final = 60.0
"""For sending a request, and for taking an answer."""
IDLE_SECONDS: Final = 300.0
"""Without a call, until the connection is closed in good order."""
AGE_SECONDS: Final = 900.0
"""Until the client is asked to connect anew, so that pods that came later get their share. A fifth of it is random."""
LEAVING_SECONDS: Final = 75.0
"""For what is still running on a connection that ends."""
LINGER_SECONDS: Final = 1.0
LAST_CALL_SECONDS: Final = 1.0
"""For calls that were on their way when the client was asked to connect elsewhere."""
NOISE_BURST: Final = 2000
NOISE_PER_SECOND: Final = 1000.0
"""Frames that are no part of a call, and calls that are taken back."""
NOISE_OF_RESET: Final = 4
NOISE_PER_CALL: Final = 8
"""What one answered call allows more of them."""
NOISE_PER_PART: Final = 2
"""What one part of an answer does that the client's windows have cut: it opens two of them again."""
_CUT: Final = frames.PADDED | frames.HAS_PRIORITY
"""With one of these there is more in a frame than what it carries."""
_LAST_PING: Final = b"last one"
_MAX_CONTINUATIONS: Final = 8

_GREETING: Final = frames.settings(
    (
        (frames.MAX_CONCURRENT_STREAMS, MAX_STREAMS),
        (frames.INITIAL_WINDOW_SIZE, STREAM_WINDOW),
        (frames.MAX_HEADER_LIST_SIZE, MAX_HEADER_BYTES),
    )
) + frames.window_update(0, CONNECTION_WINDOW - frames.DEFAULT_WINDOW)


class Application(Protocol):
    """What answers the streams."""

    def begin(self, stream: Stream) -> Receiver:
        """Take a request whose headers are there. Never raises."""


class Connection(asyncio.Protocol):
    """One client."""

    _transport: asyncio.Transport
    _loop: asyncio.AbstractEventLoop

    def __init__(self, application: Application, connections: set[Connection]) -> None:
        self._application = application
        self._connections = connections
        self._headers = HeaderReader()
        self.streams: dict[int, Stream] = {}
        self.client = ""
        self._unread = b""
        self._greeted = self._has_failed = False
        self._last_stream = 0
        self._block: tuple[int, int, list[bytes]] | None = None
        """Headers that CONTINUATION frames go on with: stream, flags, parts."""
        self._send_window = frames.DEFAULT_WINDOW
        self._peer_window = frames.DEFAULT_WINDOW
        self._peer_frame = frames.DEFAULT_FRAME
        self._receive_window = CONNECTION_WINDOW
        self._waiting: dict[int, Stream] = {}
        """Streams with something to send that no window has room for."""
        self._paused = False
        self._leaving_since: float | None = None
        self._last_call_over = False
        self._noise = float(NOISE_BURST)
        """How many more such frames are borne."""
        self._noise_since = 0.0
        self._handlers: tuple[Callable[[int, int, bytes], None], ...] = (
            self._on_data,
            self._on_headers,
            self._on_priority,
            self._on_reset,
            self._on_settings,
            self._on_push,
            self._on_ping,
            self._on_goaway,
            self._on_window,
            self._on_continuation,
        )
        """By the kinds of frames, which are numbers from 0 on."""

    # --- The transport's calls ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # It is always one.
        """Greet."""
        self._transport, self._loop = transport, asyncio.get_running_loop()
        peer = transport.get_extra_info("peername")
        self.client = str(peer[0]) if peer else ""
        self._began = self._heard = self._noise_since = self._loop.time()
        self._age = AGE_SECONDS * random.uniform(1, 1.2)  # noqa: S311  # No secret: it spreads what happens.
        self._connections.add(self)
        transport.write(_GREETING)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take back what nobody waits for."""
        self._connections.discard(self)
        self._cancel_all()

    def _cancel_all(self) -> None:
        self._waiting.clear()
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            stream.receiver.cancelled()

    def pause_writing(self) -> None:
        """Take no more from a client that takes nothing."""
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._transport.resume_reading()
        self._pump_all()

    def data_received(self, data: bytes) -> None:
        """Read all frames that are there as a whole."""
        if self._has_failed or self._transport.is_closing():
            return
        buffer = self._unread + data if self._unread else data
        self._heard = self._loop.time()
        try:
            self._unread = buffer[self._read(buffer) :]
        except ProtocolError as error:
            self._fail(error)

    def _read(self, buffer: bytes) -> int:
        """Return how much was read."""
        position, end = 0, len(buffer)
        if not self._greeted:
            if not frames.PREFACE.startswith(buffer[: len(frames.PREFACE)]):
                raise ProtocolError(frames.PROTOCOL_ERROR, "this port speaks gRPC: HTTP/2 and nothing else")
            if end < len(frames.PREFACE) + frames.HEAD_BYTES:
                return 0
            position = len(frames.PREFACE)
        while end - position >= frames.HEAD_BYTES:
            high, low, kind, flags, stream = frames.unpack_head(buffer, position)
            size = high << 8 | low
            if size > frames.DEFAULT_FRAME:
                raise ProtocolError(frames.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            after = position + frames.HEAD_BYTES + size
            if not self._greeted and kind != frames.SETTINGS:
                raise ProtocolError(frames.PROTOCOL_ERROR, "the first frame is no SETTINGS")
            if after > end:
                return position if self._greeted else 0
            self._greeted = True
            if self._block is not None and kind != frames.CONTINUATION:
                raise ProtocolError(frames.PROTOCOL_ERROR, "headers that are not gone on with")
            if kind < len(self._handlers):
                self._handlers[kind](stream & frames.MAX_WINDOW, flags, buffer[position + frames.HEAD_BYTES : after])
            else:
                self._hear_noise()
            position = after
        return position if self._greeted else 0

    # --- Frames ------------------------------------------------------------------------------------------------

    def _on_headers(self, number: int, flags: int, payload: bytes) -> None:
        if number % 2 == 0:
            raise ProtocolError(frames.PROTOCOL_ERROR, "a stream with an even number")
        block = frames.content(payload, flags, priority=True) if flags & _CUT else payload
        if flags & frames.END_HEADERS:
            self._have_headers(number, flags, block)
        else:
            self._block = number, flags, [block]

    def _on_continuation(self, number: int, flags: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != number:
            raise ProtocolError(frames.PROTOCOL_ERROR, "CONTINUATION of nothing")
        _, first_flags, parts = self._block
        parts.append(payload)
        if len(parts) > _MAX_CONTINUATIONS or sum(map(len, parts)) > MAX_HEADER_BYTES:
            raise ProtocolError(frames.ENHANCE_YOUR_CALM, f"the headers are over {MAX_HEADER_BYTES} bytes")
        if flags & frames.END_HEADERS:
            self._block = None
            self._have_headers(number, first_flags, b"".join(parts))

    def _have_headers(self, number: int, flags: int, block: bytes) -> None:
        headers = self._headers.read(block)  # Also of streams that are refused: the table goes on with them.
        if number <= self._last_stream:
            self._have_trailers(number, flags)
            return
        if self._last_call_over:
            self._hear_noise()
            return  # It was told that nobody answers this: it asks elsewhere.
        self._last_stream = number
        if len(self.streams) >= MAX_STREAMS:
            self._hear_noise()
            self._transport.write(frames.reset(number, frames.REFUSED_STREAM))
            return
        stream = Stream(self, number, headers, self._peer_window, STREAM_WINDOW, self._heard)
        stream.is_whole = bool(flags & frames.END_STREAM)
        self.streams[number] = stream
        stream.receiver = self._application.begin(stream)
        if stream.is_whole and not stream.is_answered:
            stream.receiver.data(b"", last=True)

    def _have_trailers(self, number: int, flags: int) -> None:
        """Clients of gRPC send none, but HTTP/2 has them."""
        self._hear_noise()
        stream = self.streams.get(number)
        if stream is None:
            return
        if stream.is_whole or not flags & frames.END_STREAM:
            raise ProtocolError(frames.STREAM_CLOSED, "headers after the end of a stream")
        stream.is_whole = True
        stream.receiver.data(b"", last=True)

    def _on_data(self, number: int, flags: int, payload: bytes) -> None:
        if number > self._last_stream or not number:
            if self._last_call_over and number:
                self._take(len(payload))
                return
            raise ProtocolError(frames.PROTOCOL_ERROR, "DATA of a stream that was never begun")
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < CONNECTION_WINDOW // 2:
            self._take(0)
        stream = self.streams.get(number)
        if stream is None or stream.is_answered:
            self._hear_noise()  # It was answered already, or reset.
            return
        if stream.is_whole:
            raise ProtocolError(frames.STREAM_CLOSED, "DATA after the end of a stream")
        stream.receive_window -= size
        last = bool(flags & frames.END_STREAM)
        if last:
            stream.is_whole = True
        elif stream.receive_window < STREAM_WINDOW // 2:
            self._transport.write(frames.window_update(number, STREAM_WINDOW - stream.receive_window))
            stream.receive_window = STREAM_WINDOW
        if size < 64 and not last:
            self._hear_noise()
        stream.receiver.data(frames.content(payload, flags) if flags & frames.PADDED else payload, last=last)

    def _take(self, size: int) -> None:
        """Count against the connection's window, and open it again in time."""
        self._receive_window -= size
        if self._receive_window < CONNECTION_WINDOW // 2:
            self._transport.write(frames.window_update(0, CONNECTION_WINDOW - self._receive_window))
            self._receive_window = CONNECTION_WINDOW

    def _on_priority(self, number: int, flags: int, payload: bytes) -> None:
        self._hear_noise()
        if len(payload) != 5 or not number:
            raise ProtocolError(frames.FRAME_SIZE_ERROR, "no PRIORITY")

    def _on_reset(self, number: int, flags: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ProtocolError(frames.FRAME_SIZE_ERROR, "no RST_STREAM")
        if not number or (number > self._last_stream and not self._last_call_over):
            raise ProtocolError(frames.PROTOCOL_ERROR, "RST_STREAM of a stream that was never begun")
        self._hear_noise(NOISE_OF_RESET)  # Work was begun for it.
        stream = self.streams.pop(number, None)
        if stream is not None:
            self._waiting.pop(number, None)
            stream.receiver.cancelled()
            self._end_if_over()

    def _on_settings(self, number: int, flags: int, payload: bytes) -> None:
        self._hear_noise()
        if number:
            raise ProtocolError(frames.PROTOCOL_ERROR, "SETTINGS of a stream")
        if flags & frames.ACK:
            return
        for name, value in frames.read_settings(payload):
            if name == frames.INITIAL_WINDOW_SIZE:
                self._resize_windows(value)
            elif name == frames.MAX_FRAME_SIZE:
                self._peer_frame = min(value, 4 * frames.DEFAULT_FRAME)
        self._transport.write(frames.frame(frames.SETTINGS, frames.ACK, 0, b""))
        self._pump_all()

    def _resize_windows(self, size: int) -> None:
        grown, self._peer_window = size - self._peer_window, size
        for stream in self.streams.values():
            stream.send_window += grown
            if stream.send_window > frames.MAX_WINDOW:
                raise ProtocolError(frames.FLOW_CONTROL_ERROR, "a window over 2^31-1")

    def _on_push(self, number: int, flags: int, payload: bytes) -> None:
        raise ProtocolError(frames.PROTOCOL_ERROR, "a client that pushes")

    def _on_ping(self, number: int, flags: int, payload: bytes) -> None:
        self._hear_noise()
        if len(payload) != 8 or number:
            raise ProtocolError(frames.FRAME_SIZE_ERROR, "no PING")
        if not flags & frames.ACK:
            self._transport.write(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif payload == _LAST_PING and self._leaving_since is not None:
            self._last_call()

    def _on_goaway(self, number: int, flags: int, payload: bytes) -> None:
        """Finish what is running: the client begins nothing more here."""
        self._hear_noise()
        self.leave()

    def _on_window(self, number: int, flags: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ProtocolError(frames.FRAME_SIZE_ERROR, "no WINDOW_UPDATE")
        self._hear_noise()
        more = int.from_bytes(payload) & frames.MAX_WINDOW
        if not more:
            raise ProtocolError(frames.PROTOCOL_ERROR, "a WINDOW_UPDATE of nothing")
        if not number:
            self._send_window += more
            if self._send_window > frames.MAX_WINDOW:
                raise ProtocolError(frames.FLOW_CONTROL_ERROR, "a window over 2^31-1")
            self._pump_all()
            return
        if number > self._last_stream and not self._last_call_over:
            raise ProtocolError(frames.PROTOCOL_ERROR, "a window of a stream that was never begun")
        stream = self.streams.get(number)
        if stream is not None:
            stream.send_window += more
            if stream.send_window > frames.MAX_WINDOW:
                raise ProtocolError(frames.FLOW_CONTROL_ERROR, "a window over 2^31-1")
            if number in self._waiting:
                self._pump(stream)

    def _hear_noise(self, weight: int = 1) -> None:
        """Bear so many frames that are no part of a call, and no more."""
        self._noise -= weight
        if self._noise >= 0:
            return
        self._noise = min(self._noise + (self._heard - self._noise_since) * NOISE_PER_SECOND, NOISE_BURST)
        self._noise_since = self._heard
        if self._noise < 0:
            raise ProtocolError(frames.ENHANCE_YOUR_CALM, "too many frames that are no part of a call")

    # --- Answers -----------------------------------------------------------------------------------------------

    def answer(self, stream: Stream, head: bytes, body: bytes, trailers: bytes) -> None:
        """Send a whole answer: at once if the windows have room for it."""
        size, number = len(body), stream.number
        if number not in self.streams:
            return  # It was taken back.
        if size <= stream.send_window and size <= self._send_window and size <= self._peer_frame and not self._waiting:
            self._send_window -= size
            last = frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, number, trailers)
            if size:
                last = frames.frame(frames.DATA, 0, number, body) + last
            if head:
                last = frames.frame(frames.HEADERS, frames.END_HEADERS, number, head) + last
            self._transport.write(last)
            self._close(stream)
            return
        self.send(stream, head=head, data=body, trailers=trailers)

    def send(self, stream: Stream, *, head: bytes = b"", data: bytes = b"", trailers: bytes = b"") -> None:
        """Send parts of an answer as the windows allow; the trailers end it."""
        if stream.number not in self.streams:
            return
        if head:
            stream.is_begun = True
            self._transport.write(frames.frame(frames.HEADERS, frames.END_HEADERS, stream.number, head))
        if data:
            stream.unsent = [*stream.unsent, memoryview(data)]
        if trailers:
            stream.trailers = trailers
        self._pump(stream)

    def _pump(self, stream: Stream) -> None:
        while stream.unsent and not self._paused:
            part = stream.unsent[0]
            size = min(len(part), stream.send_window, self._send_window, self._peer_frame)
            if size <= 0:
                break
            stream.send_window -= size
            self._send_window -= size
            stream.moved = self._loop.time()
            self._noise = min(self._noise + NOISE_PER_PART, NOISE_BURST)
            self._transport.write(frames.frame(frames.DATA, 0, stream.number, bytes(part[:size])))
            if size == len(part):
                stream.unsent = stream.unsent[1:]
            else:
                stream.unsent = [part[size:], *stream.unsent[1:]]
        if stream.unsent:
            if stream.number not in self._waiting:
                stream.moved = self._loop.time()
                self._waiting[stream.number] = stream
            return
        self._waiting.pop(stream.number, None)
        if stream.trailers:
            flags = frames.END_HEADERS | frames.END_STREAM
            self._transport.write(frames.frame(frames.HEADERS, flags, stream.number, stream.trailers))
            self._close(stream)

    def _pump_all(self) -> None:
        for stream in list(self._waiting.values()):
            if self._paused or self._send_window <= 0:
                return
            self._pump(stream)

    def _close(self, stream: Stream) -> None:
        stream.is_answered = True
        if not stream.is_whole:  # Its client need not send the rest.
            self._transport.write(frames.reset(stream.number, frames.NO_ERROR))
        del self.streams[stream.number]
        if stream.when_sent is not None:
            stream.when_sent()
        if self._noise < NOISE_BURST:
            self._noise = min(self._noise + NOISE_PER_CALL, NOISE_BURST)
        if self._last_call_over:
            self._end_if_over()

    def give_up(self, stream: Stream) -> None:
        """End a stream in the midst of its answer."""
        if self.streams.pop(stream.number, None) is None:
            return
        self._waiting.pop(stream.number, None)
        stream.unsent = ()
        self._transport.write(frames.reset(stream.number, frames.ENHANCE_YOUR_CALM))
        self._end_if_over()

    # --- The end -----------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Ask the client to connect elsewhere, and end when all is answered that it has asked till then."""
        if self._leaving_since is not None or self._transport.is_closing():
            return
        self._leaving_since = self._loop.time()
        self._transport.write(
            frames.goaway(frames.MAX_WINDOW, frames.NO_ERROR) + frames.frame(frames.PING, 0, 0, _LAST_PING)
        )
        self._loop.call_later(LAST_CALL_SECONDS, self._last_call)

    def _last_call(self) -> None:
        if self._last_call_over or self._transport.is_closing():
            return
        self._last_call_over = True
        self._transport.write(frames.goaway(self._last_stream, frames.NO_ERROR))
        for stream in list(self.streams.values()):
            stream.receiver.leave()
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self._last_call_over and not self.streams:
            self._transport.close()

    def abort(self) -> None:
        """End now."""
        self._transport.abort()

    def _fail(self, error: ProtocolError) -> None:
        """Say why, and go on reading for a moment: a client that still sends would else find a broken connection."""
        self._has_failed = True
        self._unread = b""
        self._transport.write(frames.goaway(self._last_stream, error.code, error.message))
        self._loop.call_later(LINGER_SECONDS, self._transport.close)
        self._cancel_all()

    def check(self, now: float) -> None:
        """End what does not move. Called every few seconds."""
        if (not self._greeted and now - self._began > GREETING_SECONDS) or self._is_stuck(now):
            self.abort()
        elif (not self.streams and now - self._heard > IDLE_SECONDS) or now - self._began > self._age:
            self.leave()

    def _is_stuck(self, now: float) -> bool:
        if self._leaving_since is not None and now - self._leaving_since > LEAVING_SECONDS:
            return True
        if (self._has_failed or self._transport.is_closing()) and now - self._heard > GREETING_SECONDS:
            return True
        if self._paused and self._transport.get_write_buffer_size() and now - self._heard > UNFINISHED_SECONDS:
            return True
        return any(
            now - stream.moved > UNFINISHED_SECONDS and (stream.unsent or not (stream.is_whole or stream.is_patient))
            for stream in self.streams.values()
        )
