"""Writes answers as HTTP/1.1 has them."""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from model_server.http.messages import Response

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: ".encode() for status in HTTPStatus
}
_CLOSE: Final = b"\r\nConnection: close"
_KEEP: Final = b"\r\nConnection: keep-alive"
_END: Final = b"\r\n\r\n"


class Clock:
    """The time, as connections need it: looked up once a second, not for each request."""

    def __init__(self) -> None:
        self.tick()

    def tick(self) -> None:
        """Look at the time."""
        self.now = time.monotonic()
        self.date = f"\r\nDate: {formatdate(usegmt=True)}".encode()


@lru_cache(256)
def _content_type(value: str) -> bytes:
    return f"\r\nContent-Type: {value}".encode("latin-1") if value else b""


def write_head(response: Response, size: int, clock: Clock, *, close: bool, keep: bool = False) -> bytes:
    """Write the status line and the headers. `keep`: the client, of HTTP/1.0, wants to be told that it may go on."""
    parts = [
        _STATUS.get(response.status) or _unusual(response.status),
        b"%d" % size,
        _content_type(response.content_type),
        clock.date,
    ]
    if response.headers:
        parts.append(_lines(response.headers))
    if close:
        parts.append(_CLOSE)
    elif keep:
        parts.append(_KEEP)
    parts.append(_END)
    return b"".join(parts)


def _lines(headers: list[tuple[str, str]]) -> bytes:
    lines = "".join([f"\r\n{name}: {value}" for name, value in headers])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        # One that goes on in a line of its own would be a header, or an answer, that somebody else has written.
        return _lines([(name, value) for name, value in headers if not {"\r", "\n"} & {*name, *value}])
    return lines.encode("latin-1", "replace")


def _unusual(status: int) -> bytes:
    """Write a code that HTTP does not know; another revision may have answered so."""
    return f"HTTP/1.1 {status} \r\nContent-Length: ".encode()
