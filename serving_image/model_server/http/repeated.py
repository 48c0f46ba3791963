"""Requests whose heads are those of the one before, but for the length of the body. Pure.

A client that keeps its connection sends the same head again and again. What the parser has made of it once, it would
make of it again: it begins each request of a connection in the same state.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from model_server.http.messages import Head

MOST_BYTES: Final = 2048
"""Of such a head."""
_LENGTH: Final = re.compile(rb"\r\ncontent-length: ?([1-9][0-9]{0,8})\r\n", re.IGNORECASE)
_MOST_DIGITS: Final = 9
_END: Final = b"\r\n\r\n"
_NAME: Final = b"content-length"


@dataclass(frozen=True, slots=True)
class Repeated:
    """A head that may come again."""

    method: str
    path: str
    query: str
    version: str
    headers: tuple[tuple[bytes, bytes], ...]
    before: bytes
    """What stands before the length of the body."""
    after: bytes
    place: int
    """Of the length among the headers."""

    def read(self, text: bytes) -> tuple[list[tuple[bytes, bytes]], bytes] | None:
        """Read a whole request with this head: its headers and body. None if it is something else, or not all."""
        start = len(self.before)
        if not text.startswith(self.before):
            return None
        end = text.find(b"\r", start, start + _MOST_DIGITS + 1)
        if end < 0 or not text.startswith(self.after, end):
            return None
        length, body = text[start:end], text[end + len(self.after) :]
        if not length.isdigit() or length.startswith(b"0") or int(length) != len(body):
            return None
        headers = [*self.headers]
        headers[self.place] = (_NAME, length)
        return headers, body


def repeated(text: bytes, head: Head, body: bytes) -> Repeated | None:
    """Remember the head of a request that came as a whole in `text`; None if it is none that is worth it."""
    size = len(text) - len(body)
    lengths = [place for place, (name, _) in enumerate(head.headers) if name == _NAME]
    found = _LENGTH.search(text, 0, size)
    # The first empty line is to be the one before the body: a parser skips some before and after a request.
    if size > MOST_BYTES or found is None or len(lengths) != 1 or text.find(_END) != size - len(_END):
        return None
    if not text.endswith(body) or int(found[1]) != len(body):
        return None
    before, after = text[: found.start(1)], text[found.end(1) : size]
    return Repeated(head.method, head.path, head.query, head.version, tuple(head.headers), before, after, lengths[0])
