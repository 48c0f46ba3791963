"""Requests and responses of HTTP, as handlers see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

JSON: Final = "application/json"


@dataclass(slots=True)
class Head:
    """A request before its body has come."""

    method: str
    path: str
    """Decoded, without the query."""
    query: str
    """As it came, without the question mark."""
    headers: Sequence[tuple[bytes, bytes]]
    """Names in lower case, in the order they came."""
    client: str
    """Address of the client's end of the connection."""

    def header(self, name: bytes) -> str | None:
        """Return the first value of a header; `name` is in lower case."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None


@dataclass(slots=True)
class Request:
    """A whole request."""

    head: Head
    body: bytes
    """With its Content-Encoding undone."""
    started: float
    """`time.perf_counter()` when its head was read."""


@dataclass(slots=True)
class Response:
    """An answer."""

    body: bytes = b""
    status: int = 200
    content_type: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)
    close: bool = False
    """Whether the client should make another connection next time."""


class Handler(Protocol):
    """What answers the requests of a port."""

    def limit(self, head: Head) -> int:
        """Tell how many bytes the body may have, packed and unpacked. Raises `RequestError` to refuse it unread."""

    def answer(self, request: Request) -> Awaitable[Response]:
        """Answer. Never raises but when it is cancelled, which is what happens when the client hangs up."""
