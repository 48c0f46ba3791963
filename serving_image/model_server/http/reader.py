"""Reads requests from bytes, on httptools: strict where requests could be smuggled, with limits on all that is kept."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote, urlsplit

import httptools

from model_server.errors import RequestError
from model_server.http.limits import (
    MAX_HEAD_BYTES,
    SMALL_BYTES,
    BadRequest,
    ExpectationFailed,
    HeadTooLarge,
    VersionNotSupported,
)
from model_server.http.messages import Head
from model_server.http.repeated import repeated

if TYPE_CHECKING:
    from model_server.http.limits import Bodies
    from model_server.http.messages import Peer
    from model_server.http.repeated import Repeated

_PIECE: Final = 4096
"""Bytes that are parsed at once outside of bodies, so that few requests are read beyond the one that is answered."""

_TRIALS: Final = 4

_CHECKED: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})


class Sink(Protocol):
    """Who wants the requests."""

    def limit(self, head: Head) -> int:
        """Tell how long the body may be. Raises `RequestError`."""

    def whole(self, head: Head, body: bytes, held: int, error: RequestError | None, *, keep_alive: bool) -> None:
        """Take a request; `held` bytes are to be given back to `Bodies`. `error`: it is to be told, and no more."""

    def refused(self, head: Head | None, error: RequestError) -> None:
        """Take the end: nothing is read any more."""


class _Refused(Exception):  # noqa: N818  # It stops the parser, no more.
    pass


class RequestReader:
    """Reads what one connection brings. The methods `on_…` are the parser's."""

    __slots__ = (
        *(
            "_bodies",
            "_body",
            "_error",
            "_headers",
            "_held",
            "_left",
            "_limit",
            "_parser",
            "_peer",
            "_repeated",
            "_resumes_body",
            "_silent",
        ),
        *("_sink", "_text", "_trials", "_url", "awaits_continue", "begun", "head", "over"),
    )

    def __init__(self, peer: Peer, bodies: Bodies, sink: Sink) -> None:
        self._peer = peer
        self._bodies = bodies
        self._sink = sink
        self._parser = httptools.HttpRequestParser(self)
        self.begun = False
        """Whether something has come since the last whole request."""
        self.over = False
        """Whether a request was refused, or was the last one."""
        self.head: Head | None = None
        """Of the request whose body is awaited."""
        self.awaits_continue = False
        """Whether the client waits to be told that it may send the body."""
        self._silent = 0
        """Bytes since something of use has come."""
        self._held = 0
        """Bytes of the body that has not come as a whole."""
        self._left = 0
        """Bytes of the body that are to come, if that is known."""
        self._repeated: Repeated | None = None
        """The head of an earlier request."""
        self._trials = _TRIALS
        """How many more heads are remembered, if they do not come again."""
        self._text: memoryview[int] | None = None
        """What is being parsed, if it begins with a request whose head may be remembered."""
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: bytes | bytearray = b""
        self._limit = 0
        self._error: RequestError | None = None
        self._resumes_body = False

    def feed(self, data: memoryview[int]) -> int:
        """Read a piece of the data; returns its length."""
        size = len(data)
        if self._repeated is not None and not self.begun and size <= _PIECE and self._repeats(bytes(data)):
            return size
        if size > _PIECE and size > (most := max(_PIECE, self._left)):
            data, size = data[:most], most
        self._text = data if self._trials and not self.begun else None
        self.begun = True
        self._silent += size
        self._parse(data)
        if self._silent > MAX_HEAD_BYTES and not self.over:
            self.refuse(HeadTooLarge(f"the headers are over {MAX_HEAD_BYTES // 2**10} KiB"))
        return size

    def _repeats(self, text: bytes) -> bool:
        """Take a request whose head came before; false if it is none, or one that is to be refused."""
        known = self._repeated
        read = known.read(text) if known is not None else None
        if known is None or read is None:
            return False
        headers, body = read
        started = time.perf_counter()
        head = Head(known.method, known.path, known.query, headers, self._peer, started, known.version)
        try:
            head.limit = self._sink.limit(head)
            self._bodies.check(len(body), 0, head.limit)
        except RequestError:
            return False
        self._trials = _TRIALS
        self._bodies.held += len(body)
        self._sink.whole(head, body, len(body), None, keep_alive=True)
        return True

    def _parse(self, data: memoryview[int] | bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Refused):
                raise
        except httptools.HttpParserError as error:
            if not self.over:
                self.refuse(BadRequest(f"no HTTP/1.1 request: {error}"))

    def refuse(self, error: RequestError) -> None:
        """Read nothing more, and say why."""
        self.over = True
        self.give_back()
        self._body = b""
        self._sink.refused(self.head, error)

    def give_back(self) -> None:
        """Make room: the body will not come as a whole."""
        self._bodies.held -= self._held
        self._held = 0

    def _stop(self, error: RequestError) -> None:
        self.refuse(error)
        raise _Refused

    # What the parser calls, in this order.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.begun = True
        if not self._resumes_body:
            self._reset()

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        if not self._resumes_body:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a trailer, which is of no use."""
        if self.head is None:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Check the head, and ask whether the body is wanted."""
        self._silent = 0
        if self._resumes_body:
            return
        try:
            self._take_head()
        except RequestError as error:
            self._stop(error)

    def _take_head(self) -> None:
        started = time.perf_counter()
        parser, headers = self._parser, self._headers
        version, method = parser.get_http_version(), parser.get_method().decode()
        length, chunked, expects = check_headers(version, len(self._url), headers)
        path, query = read_target(self._url)
        if method == "CONNECT":
            raise BadRequest("this server is no proxy")
        self.head = head = Head(method, path, query, headers, self._peer, started, version)
        self._left = length
        has_body = chunked or length > 0
        try:
            self._limit = head.limit = self._sink.limit(head)
        except RequestError as error:
            if chunked or expects or length > SMALL_BYTES:
                raise
            self._error, self._limit = error, SMALL_BYTES  # What is short is read, so that the connection can stay.
        self._bodies.check(length, 0, self._limit)
        self.awaits_continue = expects and has_body
        self._resumes_body = has_body and parser.should_upgrade()

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body, within the limits."""
        if self.over:
            return
        self.awaits_continue = False
        size = self._held + len(piece)
        try:
            self._bodies.check(size, self._held, self._limit)
        except RequestError as error:
            self._stop(error)
        self._silent = 0
        self._left -= len(piece)
        self._held = size
        self._bodies.held += len(piece)
        if not self._body:
            self._body = piece
        elif isinstance(self._body, bytearray):
            self._body += piece
        else:
            self._body = bytearray(self._body)
            self._body += piece

    def on_message_complete(self) -> None:
        """Hand over the request."""
        if self._resumes_body or self.over:
            return
        head, body, held = self.head, self._body, self._held
        assert head is not None  # noqa: S101  # The parser has called `on_headers_complete`, which stops it otherwise.
        keep_alive = self._parser.should_keep_alive()
        self._silent = self._left = self._held = 0
        self.head, self._body = None, b""
        self.begun = self.awaits_continue = False
        self.over = not keep_alive
        body = bytes(body)
        if self._text is not None and keep_alive and self._error is None and body:
            self._trials -= 1
            self._repeated = repeated(bytes(self._text), head, body) or self._repeated
        self._text = None
        self._sink.whole(head, body, held, self._error, keep_alive=keep_alive)

    def _decline_upgrade(self, rest: memoryview[int] | bytes) -> None:
        """Go on with HTTP/1.1, as a server may that is asked for h2c or a WebSocket.

        The parser takes what follows the head for another protocol; but there, Java's client sends the body.
        """
        if self.over:
            return
        if self._resumes_body:
            chunked = any(name == b"transfer-encoding" for name, _ in self._headers)
            length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % self._left
            self._parser = httptools.HttpRequestParser(self)
            self._parser.feed_data(b"POST / HTTP/1.1\r\nConnection: close\r\n%b\r\n\r\n" % length)
            self._resumes_body = False
        if rest:
            self.begun = True
            self._parse(rest)


def check_headers(version: str, size: int, headers: list[tuple[bytes, bytes]]) -> tuple[int, bool, bool]:
    """Check what decides where a request ends; `size` is that of the request line.

    Returns the length of the body, whether it comes in chunks, and whether its client waits for `100 Continue`.
    Raises `RequestError`.
    """
    if version not in {"1.1", "1.0"}:
        raise VersionNotSupported(f"HTTP/{version} is not spoken here: use HTTP/1.1")
    hosts = length = 0
    chunked = expects = False
    for name, value in headers:
        size += len(name) + len(value) + 4
        if name not in _CHECKED:
            continue
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            length = int(value)
        elif name == b"transfer-encoding":
            chunked = _is_chunked(value, version)
        else:
            expects = _expects(value, version)
    if size > MAX_HEAD_BYTES:
        raise HeadTooLarge(f"the headers are over {MAX_HEAD_BYTES // 2**10} KiB")
    if hosts != 1 and (hosts or version == "1.1"):
        raise BadRequest("a request of HTTP/1.1 has one header Host")
    return length, chunked, expects


def _is_chunked(value: bytes, version: str) -> bool:
    if value.lower() != b"chunked" or version == "1.0":
        raise BadRequest("Transfer-Encoding is chunked, in HTTP/1.1, or not there")
    return True


def _expects(value: bytes, version: str) -> bool:
    if value.lower() != b"100-continue":
        raise ExpectationFailed("of all expectations this server knows 100-continue alone")
    return version == "1.1"  # Older clients are not to be told.


@lru_cache(1024)
def _read_path(url: bytes) -> tuple[str, str]:
    path, _, query = url.decode("ascii").partition("?")
    return (unquote(path) if "%" in path else path), query


def read_target(url: bytes) -> tuple[str, str]:
    """Take a request's target apart: path and query. Raises `BadRequest`."""
    try:
        if not url.startswith(b"/") and url != b"*":  # As clients write it for proxies, and all servers have to read.
            whole = urlsplit(url.decode("ascii"))
            url = ((whole.path or "/") + (f"?{whole.query}" if whole.query else "")).encode()
        return _read_path(url) if len(url) <= 256 else _read_path.__wrapped__(url)
    except ValueError:
        raise BadRequest("the request's target is no path") from None
