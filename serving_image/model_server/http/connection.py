"""One connection: requests are answered in the order they came, one at a time.

What takes memory is bounded: of requests that a client sends before it has its answer a few wait parsed and a few as
text, and then the socket is not read. Nothing more is computed for a client that takes no answers.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from model_server.errors import RequestError, Unavailable
from model_server.http import encoding
from model_server.http.limits import RequestTimeout
from model_server.http.messages import Head, Peer, Request, Response
from model_server.http.reader import RequestReader
from model_server.http.writer import CONTINUE, write_head
from model_server.running import Run
from model_server.telling import told

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Final

    from model_server.http.messages import Answering
    from model_server.http.server import Shared

_JOIN_BYTES: Final = 64 * 2**10
"""Up to so many bytes the head and the body of an answer are copied together, which is cheaper than two buffers."""

_STASH_BYTES: Final = 16 * 2**10
"""From so many bytes on that wait unparsed the socket is not read. Until then it is, so that a client is missed that
hangs up."""


class Awaited(Enum):
    """What a connection waits for, with patience of its own for each."""

    REQUEST = "request"
    """The rest of one; or the first."""
    ANSWER = "answer"
    """Of this server."""
    NEXT = "next"
    """Request, on a kept connection."""
    TAKING = "taking"
    """Of what was written."""
    END = "end"
    """Of a client that was told so."""


class _Waiting(NamedTuple):
    """A request that was read, or an error, which may end the connection."""

    head: Head | None
    body: bytes
    held: int
    keep_alive: bool
    error: RequestError | None


class Connection(asyncio.BufferedProtocol):
    """A protocol of asyncio. All connections of a port read into one buffer, as each is done with it at once."""

    __slots__ = (
        *(
            "_answering",
            "_awaited",
            "_closing",
            "_has_more",
            "_loop",
            "_paused",
            "_queue",
            "_reader",
            "_running",
            "_shared",
            "_stash",
        ),
        *("_transport", "_write_paused", "deadline"),
    )

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._loop = shared.loop
        self._queue: list[_Waiting] = []
        self._answering: _Waiting | None = None
        self._running: asyncio.Task[Response] | Run[Response] | None = None
        self._stash = b""
        """What came and is not parsed yet."""
        self._paused = False
        """Whether the socket is not read."""
        self._write_paused = False
        """Whether the client takes nothing just now."""
        self._has_more = False
        """Whether more was read than is parsed just now."""
        self._closing = False
        """Whether what comes is thrown away."""
        self._awaited = Awaited.REQUEST
        self.deadline = shared.clock.now + shared.patience[Awaited.REQUEST]

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # It is one for streams.
        """Wait for a request, but not for ever."""
        self._transport = transport
        name, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        scheme = "https" if transport.get_extra_info("sslcontext") is not None else "http"
        peer = Peer(str(name[0]) if name else "", (str(own[0]), int(own[1])) if own else None, scheme)
        self._reader = RequestReader(peer, self._shared.bodies, self)
        self._shared.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Forget everything; nobody waits for an answer any more."""
        self._shared.lost(self)
        self._reader.give_back()
        if self._reader.head is not None and not self._reader.over:
            self._shared.handler.gone(self._reader.head)
        self._closing = self._reader.over = True
        if self._running is not None:
            self._running.cancel()
        elif self._answering is not None:
            self._release()
        for waiting in self._queue:
            self._shared.bodies.held -= waiting.held
        self._queue.clear()
        self._stash = b""

    def get_buffer(self, sizehint: int) -> memoryview[int]:
        """Give room to read into."""
        return self._shared.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Read what has come."""
        if self._closing or self._reader.over:
            return
        if not self._queue:
            self._feed(self._shared.buffer[:nbytes])
            return
        self._stash += self._shared.buffer[:nbytes]
        if len(self._stash) >= _STASH_BYTES and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Take the end of what the client sends as its end: it is all that is seen of a client that hangs up."""
        return False

    def pause_writing(self) -> None:
        """Answer no more until the client has taken what is written."""
        self._write_paused = True
        self._wait()

    def resume_writing(self) -> None:
        """Go on."""
        self._write_paused = False
        self._wait()
        self._go_on()

    # Reading.

    def _feed(self, data: memoryview[int]) -> None:
        reader = self._reader
        while data and not reader.over:
            data = data[reader.feed(data) :]
            self._has_more = bool(data)
            self._answer_queue()
            if data and self._queue:
                self._stash = bytes(data)
                break
        self._has_more = False
        if reader.awaits_continue:
            self._invite()
        self._wait()

    def _invite(self) -> None:
        """Tell the client to send the body, when all before it is answered."""
        if self._answering is None and not self._queue:
            self._reader.awaits_continue = False
            self._transport.write(CONTINUE)

    def limit(self, head: Head) -> int:
        """Ask the handler. Raises `RequestError`."""
        return self._shared.handler.limit(head)

    def whole(self, head: Head, body: bytes, held: int, error: RequestError | None, *, keep_alive: bool) -> None:
        """Take a request from the reader."""
        self._queue.append(_Waiting(head, body, held, keep_alive, error))

    def refused(self, head: Head | None, error: RequestError) -> None:
        """Take an error from the reader: it is told in its turn."""
        self._queue.append(_Waiting(head, b"", 0, keep_alive=False, error=error))

    # Answering.

    def _answer_queue(self) -> None:
        """Answer what waits, as far as that goes at once."""
        while self._queue and self._answering is None and not self._write_paused and not self._closing:
            self._answer(self._queue.pop(0))

    def _go_on(self) -> None:
        """Answer what waits, and what was kept unread; then read on."""
        self._answer_queue()
        while self._stash and not self._queue and not self._closing:
            stash, self._stash = self._stash, b""
            self._feed(memoryview(stash))
        if not self._stash and not self._closing:
            self._resume_reading()
            if self._reader.awaits_continue:
                self._invite()
        self._wait()

    def _resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self._transport.resume_reading()

    def _answer(self, waiting: _Waiting) -> None:
        self._answering = waiting
        self._await(Awaited.ANSWER)
        head, handler = waiting.head, self._shared.handler
        if head is None or waiting.error is not None:
            self._respond(handler.refuse(head, waiting.error or RequestError()))
            return
        answer: Answering
        try:
            if waiting.body and head.header(b"content-encoding") is not None:
                answer = self._unpack(head, waiting.body)
            else:
                answer = handler.answer(Request(head, waiting.body))
        except Exception as error:  # The handler's own, which it should have seen.
            answer = self._failed(head, error)
        if isinstance(answer, Run):
            if not answer.begin(self._ran):
                self._running = answer
                return
            answer = self._failed(head, answer.error) if answer.error is not None else answer.result
        if isinstance(answer, Response):
            self._pack_and_respond(answer)
        else:
            self._work(answer)

    def _work(self, answer: Coroutine[Any, Any, Response]) -> None:
        self._running = task = self._loop.create_task(answer)
        task.add_done_callback(self._done)

    def _failed(self, head: Head | None, error: BaseException | None) -> Response:
        if isinstance(error, asyncio.CancelledError):
            error = Unavailable("the server gave the request up: try again")
        return self._shared.handler.refuse(head, told(error))

    async def _unpack(self, head: Head, body: bytes) -> Response:
        """Undo the Content-Encoding, and answer. Raises `RequestError`."""
        handler, bodies = self._shared.handler, self._shared.bodies
        packed = (head.header(b"content-encoding") or "").strip().lower()
        if len(body) <= encoding.INLINE_BYTES:
            plain = encoding.unpack(body, packed, head.limit)
        else:
            plain = await asyncio.to_thread(encoding.unpack, body, packed, head.limit)
        held = len(plain)
        bodies.check(held, 0, head.limit)
        bodies.held += held
        try:
            head.headers = [header for header in head.headers if header[0] != b"content-encoding"]
            answer = handler.answer(Request(head, plain))
            return answer if isinstance(answer, Response) else await answer
        finally:
            bodies.held -= held

    def _pack_and_respond(self, response: Response) -> None:
        """Apply the Content-Encoding that the client prefers, if that pays."""
        head = self._answering.head if self._answering is not None else None
        size = len(response.body)
        if size >= encoding.PACK_FROM and head is not None and (chosen := encoding.choose(head, response)):
            if size > encoding.INLINE_BYTES:
                self._work(self._pack(response, chosen))
                return
            encoding.apply(response, chosen)
        self._respond(response)

    @staticmethod
    async def _pack(response: Response, chosen: str) -> Response:
        await asyncio.to_thread(encoding.apply, response, chosen)
        return response

    def _done(self, task: asyncio.Task[Response]) -> None:
        # To ask for it is needed in any case: else asyncio would tell that nobody has.
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._finish(None if failure else task.result(), failure)

    def _ran(self, run: Run[Response]) -> None:
        self._finish(None if run.error else run.result, run.error)

    def _finish(self, response: Response | None, failure: BaseException | None) -> None:
        self._running = None
        waiting = self._answering
        if self._closing or waiting is None:
            self._release()
            self._transport.close()
            return
        if response is not None:
            self._pack_and_respond(response)
        else:
            self._respond(self._failed(waiting.head, failure))
        self._go_on()

    def _respond(self, response: Response) -> None:
        """Write an answer, and be ready for the next request, or close."""
        waiting = self._answering
        assert waiting is not None  # noqa: S101  # It is what is answered.
        head, shared = waiting.head, self._shared
        last = not (self._queue or self._stash or self._has_more)
        close = not waiting.keep_alive or ((response.close or shared.is_ending) and last)
        keep = head is not None and head.version == "1.0"
        body = response.body
        text = write_head(response, len(body), shared.clock, close=close, keep=keep)
        if head is not None and head.method == "HEAD":
            body = b""
        if len(body) <= _JOIN_BYTES:
            self._transport.write(text + body)
        else:
            self._transport.writelines((text, body))
        self._release()
        if close:
            self._end(linger=True)

    def _release(self) -> None:
        """Make room: the request is answered."""
        if self._answering is not None:
            self._shared.bodies.held -= self._answering.held
            self._answering = None

    # The end.

    def _end(self, *, linger: bool) -> None:
        self._reader.over = self._closing = True
        for waiting in self._queue:
            self._shared.bodies.held -= waiting.held
        self._queue.clear()
        self._stash = b""
        self._await(Awaited.END)
        if linger and self._transport.can_write_eof():
            self._resume_reading()
            self._transport.write_eof()
        else:
            self._transport.close()

    def _wait(self) -> None:
        """Find out what is awaited, now that something has happened."""
        if self._closing:
            self._await(Awaited.END)
        elif self._write_paused:
            self._await(Awaited.TAKING)
        elif self._answering is not None:
            self._await(Awaited.ANSWER)
        else:
            self._await(Awaited.REQUEST if self._reader.begun else Awaited.NEXT)

    def _await(self, what: Awaited) -> None:
        if what is not self._awaited:
            self._awaited = what
            self.deadline = self._shared.clock.now + self._shared.patience[what]

    def expire(self) -> None:
        """Give up: called when the deadline is over."""
        if self._awaited is Awaited.END and self._transport.get_write_buffer_size():
            self._await(Awaited.TAKING)  # It still has an answer to take.
        elif self._awaited in {Awaited.TAKING, Awaited.END}:
            self._transport.abort()
        elif self._awaited is Awaited.REQUEST:
            seconds = self._shared.patience[Awaited.REQUEST]
            self._reader.refuse(RequestTimeout(f"the request did not end within {seconds:g} s"))
            self._answer_queue()
        else:
            self._end(linger=False)

    def finish(self) -> None:
        """Close as soon as nothing is left to answer; at once if that is now."""
        if self._answering is None and not self._queue and not self._reader.begun and not self._closing:
            self._end(linger=False)

    def stop(self) -> None:
        """End now, whatever is going on."""
        self._transport.abort()
