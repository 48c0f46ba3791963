"""Calls: from the headers of a stream to the status that ends it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from model_server.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    InvalidArgument,
    RequestError,
    Unavailable,
    Unimplemented,
)
from model_server.logs import logger
from model_server.rpc import framing
from model_server.rpc.codes import Code, code_of
from model_server.rpc.conversations import Talk
from model_server.running import Run
from model_server.telling import INTERNAL
from model_server.traces import NO_TRACE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from model_server.http2.headers import Headers
    from model_server.http2.stream import Receiver, Stream
    from model_server.rpc.conversations import Conversation
    from model_server.traces import Trace

    Handler = Callable[["Call"], Awaitable[bytes]]
    Talker = Callable[["Call", "Conversation"], Awaitable[None]]

Given = TypeVar("Given")

GZIP_BYTES: Final = 256
"""An answer of less is not compressed."""
LARGE_BYTES: Final = 256 * 2**10
"""Of more, (un)packing is left to a thread: it would keep all others waiting."""
MAX_SECONDS: Final = 3600.0
"""A longer deadline is none."""
PREDICT: Final = "predict"
"""The kind of those methods that ask the model."""
COPY: Final = "copy"
"""The kind of their calls that are copies."""


@dataclass(frozen=True, slots=True)
class Method:
    """What can be called."""

    kind: str
    """In the metrics' label `method`."""
    limit: int
    """Bytes of a message, packed and unpacked."""
    handler: Handler | None = None
    """Answers a message with a message."""
    talker: Talker | None = None
    """Answers many with many instead."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What the headers of a call say of it: many calls have the same."""

    path: str
    method: Method | None
    """None if there is none of that name."""
    timeout: bytes | None
    encoding: str
    takes_gzip: bool
    """Whether the answer may be compressed."""


class Call:
    """A call of a method."""

    __slots__ = (
        *("client", "deadline", "held", "is_copy", "is_forwarded", "message", "metadata", "path", "room", "started"),
        "trailing",
    )

    def __init__(
        self,
        path: str,
        metadata: Sequence[tuple[bytes, bytes]],
        client: str,
        started: float,
        deadline: float | None,
        room: Calls,
    ) -> None:
        self.path = path
        self.metadata = metadata
        """As it came, with HTTP/2's own headers."""
        self.client = client
        self.started = started
        """`time.perf_counter()` when its headers were read."""
        self.deadline = deadline
        """`time.monotonic()` after which the client waits no more."""
        self.room = room
        """Where what it keeps in memory is counted."""
        self.held = 0
        """Bytes of that."""
        self.message = b""
        self.trailing: list[tuple[str, str]] = []
        """What goes with the status."""
        self.is_forwarded = False
        """Whether another pod has answered."""
        self.is_copy = False
        """Whether another pod has asked, and no client sees the answer."""

    def first(self, name: bytes) -> str | None:
        """Return the first value of a name in lower case."""
        for key, value in self.metadata:
            if key == name:
                return value.decode("latin-1")
        return None

    def hold(self, size: int) -> None:
        """Keep so many bytes more until the end. Raises `Unavailable`."""
        self.room.hold(size)
        self.held += size

    def release(self, size: int) -> None:
        """Keep so many bytes less. None are kept once the call has ended."""
        size = min(size, self.held)
        self.room.release(size)
        self.held -= size


class Refused(Exception):  # noqa: N818  # An answer.
    """An answer without a message, as another pod has given it."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Rules:
    """What holds for every call. Those that serve have their own."""

    def authorize(self, call: Call) -> None:
        """Let the client in or not. Raises `RequestError`."""

    def trailing(self) -> Sequence[tuple[str, str]]:
        """Return what goes with every status, unless the call has it already."""
        return ()

    def is_leaving(self) -> bool:
        """Tell whether clients should connect elsewhere."""
        return False

    def trace(self, call: Call) -> Trace:
        """Begin the trace of a call that is worked on."""
        return NO_TRACE

    def observe(self, method: Method | None, call: Call, code: Code, trace: Trace) -> None:
        """Note an answered call."""


class Calls:
    """Answers the streams of all connections."""

    def __init__(self, methods: Mapping[str, Method], rules: Rules, in_flight_bytes: int) -> None:
        self._methods = {path.encode(): method for path, method in methods.items()}
        self.rules = rules
        self._most = in_flight_bytes
        self._held = 0

    def begin(self, stream: Stream) -> Receiver:
        """Take a call whose headers are there."""
        opening: Opening | None = stream.headers.meaning or self._understand(stream.headers)
        if opening is None:
            stream.connection.answer(stream, b"", b"", framing.other_media_type())
            return IGNORED
        method = opening.method
        call = Call(opening.path, stream.headers, stream.connection.client, time.perf_counter(), None, self)
        task = Task(self, stream, call, method)
        try:
            if method is None:
                raise Unimplemented(f"this server has no method {call.path[:200]}")
            self.rules.authorize(call)
            if opening.timeout is not None:
                task.expire_after(framing.read_timeout(opening.timeout))
        except RequestError as error:
            task.refuse(error)
            return IGNORED
        if method.talker is not None:
            stream.is_patient = True
            return Talk(task, method.talker, method.limit, opening.encoding)
        return _Unary(task, method, opening)

    def _understand(self, headers: Headers) -> Opening | None:
        """Find out what is called; None if it is no call of gRPC."""
        named = dict(headers)
        if not named.get(b"content-type", b"").startswith(b"application/grpc") or named.get(b":method") != b"POST":
            return None
        path, encoding = named.get(b":path", b""), named.get(b"grpc-encoding", b"identity")
        takes_gzip = encoding == b"gzip" and b"gzip" in named.get(b"grpc-accept-encoding", b"")
        headers.meaning = opening = Opening(
            path.decode("latin-1"),
            self._methods.get(path),
            named.get(b"grpc-timeout"),
            encoding.decode("latin-1"),
            takes_gzip,
        )
        return opening

    def hold(self, size: int) -> None:
        """Give room to what has come. Raises `Unavailable`."""
        if self._held + size > self._most:
            raise Unavailable(f"calls of over {self._most // 2**20} MiB are in memory: try again")
        self._held += size

    def release(self, size: int) -> None:
        """Take the room back."""
        self._held -= size


def _ran(run: Run[None]) -> None:
    """Tell of a call that has ended in no way a call should."""
    if run.error is not None and not isinstance(run.error, asyncio.CancelledError):
        logger.error("a call failed", exc_info=run.error)


async def _unimplemented(call: Call) -> bytes:
    raise Unimplemented(f"{call.path} is not done here")


class _Ignored:
    """Takes what is still on its way of a call that is answered."""

    def data(self, chunk: bytes, *, last: bool) -> None:
        """Do nothing."""

    def cancelled(self) -> None:
        """Do nothing."""

    def leave(self) -> None:
        """Do nothing."""


IGNORED: Final = _Ignored()


class Task:
    """What a call of any kind goes through: its deadline, its work, its status."""

    __slots__ = (
        *("_calls", "_expired", "_expiry", "_is_taken_back", "_method", "_runs", "_trace", "_work"),
        *("call", "stream"),
    )

    def __init__(self, calls: Calls, stream: Stream, call: Call, method: Method | None) -> None:
        self._calls = calls
        self.stream = stream
        self.call = call
        self._method = method
        self._expiry: asyncio.TimerHandle | None = None
        self._expired = self._is_taken_back = False
        self._runs = False
        """Whether the work has begun: a task that is cancelled before does nothing at all, not even end the call."""
        self._work: asyncio.Task[None] | Run[None] | None = None
        self._trace = NO_TRACE

    def expire_after(self, seconds: float) -> None:
        """Answer in time, whatever the state of the work is then."""
        if seconds <= MAX_SECONDS:
            self.call.deadline = time.monotonic() + seconds
            self._expiry = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        self._expired = True
        if not self._runs:
            with self._trace:
                self.refuse(DeadlineExceeded("the call did not come as a whole within its deadline"))
        if self._work is not None:
            self._work.cancel()

    def start(self, work: Callable[[Given], Awaitable[None]], given: Given) -> None:
        """Work on the call with what is given."""
        trace = self._calls.rules.trace(self.call)
        if trace is NO_TRACE and self._method is not None and self._method.kind == PREDICT:
            self._runs = True
            run = Run(self._finish_with(work, given))  # A prediction waits for its model and for nothing else.
            if not run.begin(_ran):
                self._work = run
            elif run.error is not None:
                _ran(run)
            return
        self._trace = trace
        self._work = asyncio.get_running_loop().create_task(self._run(work, given))

    async def _run(self, work: Callable[[Given], Awaitable[None]], given: Given) -> None:
        self._runs = True
        with self._trace:
            await self._finish_with(work, given)

    async def _finish_with(self, work: Callable[[Given], Awaitable[None]], given: Given) -> None:
        try:
            await work(given)
        except RequestError as error:
            self.refuse(error)
        except Refused as refusal:
            self.end(refusal.code, refusal.message)
        except asyncio.CancelledError:
            if self._is_taken_back:
                raise
            if self._expired:
                self.refuse(DeadlineExceeded("the answer was not there within the call's deadline"))
            else:
                self.refuse(Unavailable("the server gave the call up: try again"))
        except Exception:
            logger.exception("a call failed")
            self.end(Code.INTERNAL, INTERNAL)

    def cancel(self) -> None:
        """Stop: nobody waits."""
        self._is_taken_back = True
        self._finish()
        if not self._runs:
            with self._trace:
                pass
        if self._work is not None:
            self._work.cancel()

    def _finish(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self.call.release(self.call.held)
        self.call.message = b""

    def refuse(self, error: RequestError) -> None:
        """End with an error."""
        self.end(code_of(error), str(error))

    def answer(self, head: bytes, prefixed: bytes) -> None:
        """Send the one message of an answer, and end."""
        self._note(Code.OK)
        self.stream.connection.answer(self.stream, head, prefixed, framing.status(Code.OK, "", self._trailing()))
        if self.stream.unsent:
            self._keep(len(prefixed))
        self._leave()

    def _keep(self, size: int) -> None:
        """Count an answer that its client does not take yet as in memory, or give it up where there is no room."""
        try:
            self.call.hold(size)
        except Unavailable:
            self.stream.connection.give_up(self.stream)
        else:
            self.stream.when_sent = self._finish

    def end(self, code: Code, message: str = "") -> None:
        """End with a status."""
        self._note(code)
        trailing = self._trailing()
        if self.stream.is_begun:
            self.stream.connection.send(self.stream, trailers=framing.status(code, message, trailing))
        else:
            self.stream.connection.answer(self.stream, b"", b"", framing.failure(code, message, trailing))
        self._leave()

    def _trailing(self) -> list[tuple[str, str]]:
        given = self.call.trailing
        for pair in self._calls.rules.trailing():
            if not any(pair[0] == name for name, _ in given):
                given.append(pair)
        return given

    def _note(self, code: Code) -> None:
        self._finish()
        self._calls.rules.observe(self._method, self.call, code, self._trace)

    def _leave(self) -> None:
        if self._calls.rules.is_leaving():
            self.stream.connection.leave()


class _Unary:
    """Takes one message and answers with one."""

    __slots__ = ("_chunks", "_method", "_opening", "_size", "_task")

    def __init__(self, task: Task, method: Method, opening: Opening) -> None:
        self._task = task
        self._method = method
        self._opening = opening
        self._chunks: list[bytes] | None = None
        """Parts, if the message does not come as a whole."""
        self._size = 0

    def data(self, chunk: bytes, *, last: bool) -> None:
        """Collect the message, and begin when it is whole."""
        try:
            if self._chunks is not None or not last:
                self._collect(chunk)
                if not last:
                    return
                chunk = b"".join(self._chunks or ())
                self._chunks = None
            else:
                self._take(len(chunk), chunk)
            if len(chunk) < framing.PREFIX_BYTES or framing.read_size(chunk) != len(chunk) - framing.PREFIX_BYTES:
                raise InvalidArgument("the call is to have one message, and it as a whole")
        except RequestError as error:
            self._chunks = None
            self._task.refuse(error)
            return
        self._task.start(self._work, chunk)

    def _collect(self, chunk: bytes) -> None:
        if self._chunks is None:
            self._chunks = []
        self._size += len(chunk)
        self._take(len(chunk), b"" if self._chunks else chunk)
        self._chunks.append(chunk)

    def _take(self, size: int, start: bytes) -> None:
        """Make room for a part; `start`: how the message begins. Raises `RequestError`."""
        announced = framing.read_size(start) if len(start) >= framing.PREFIX_BYTES else 0
        if max(announced, self._size - framing.PREFIX_BYTES, size - framing.PREFIX_BYTES) > self._method.limit:
            raise BodyTooLarge(f"the message is over {self._method.limit} bytes: send less in one call")
        self._task.call.hold(size)

    async def _work(self, prefixed: bytes) -> None:
        call, opening, limit = self._task.call, self._opening, self._method.limit
        if not prefixed[0]:
            call.message = prefixed[framing.PREFIX_BYTES :]
        else:
            if len(prefixed) > LARGE_BYTES // 16:  # It may become much more.
                call.message = await asyncio.to_thread(framing.unpack, prefixed, opening.encoding, limit)
            else:
                call.message = framing.unpack(prefixed, opening.encoding, limit)
            call.hold(len(call.message))
        del prefixed
        answer = await (self._method.handler or _unimplemented)(call)
        if not opening.takes_gzip or len(answer) < GZIP_BYTES:
            self._task.answer(framing.OK_HEAD, framing.pack(answer))
        elif len(answer) < LARGE_BYTES:
            self._task.answer(framing.GZIP_HEAD, framing.pack_gzip(answer))
        else:
            self._task.answer(framing.GZIP_HEAD, await asyncio.to_thread(framing.pack_gzip, answer))

    def cancelled(self) -> None:
        """Stop."""
        self._chunks = None
        self._task.cancel()

    def leave(self) -> None:
        """Come to the answer as ever."""
