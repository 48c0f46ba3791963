"""Requests and responses of HTTP, as handlers see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from model_server.errors import RequestError
    from model_server.running import Run

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Peer:
    """The two ends of a connection."""

    client: str
    """Address of the client's end."""
    server: tuple[str, int] | None = None
    """Address and port of this end."""
    scheme: str = "http"


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
    peer: Peer
    started: float
    """`time.perf_counter()` when it was read."""
    version: str = "1.1"
    limit: int = 0
    """Bytes that the body may have, as the handler has said."""
    target: Any = None
    """What the handler has found out about it when it was asked for the limit, so that it need not look again."""

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


@dataclass(slots=True)
class Response:
    """An answer."""

    body: bytes = b""
    status: int = 200
    content_type: str = JSON
    """Empty: none is told."""
    headers: list[tuple[str, str]] = field(default_factory=list)
    """More of them. None of Content-Type, Content-Length, Connection, Date and Transfer-Encoding."""
    close: bool = False
    """Whether the client should make another connection next time."""


Answering: TypeAlias = "Response | Run[Response] | Coroutine[Any, Any, Response]"


class Handler(Protocol):
    """What answers the requests of a port. Nothing here raises but what is said to."""

    def limit(self, head: Head) -> int:
        """Tell how many bytes the body may have, packed and unpacked. Raises `RequestError` to refuse it unread."""

    def answer(self, request: Request) -> Answering:
        """Answer: at once, or by what is cancelled when the client hangs up: a coroutine gets a task of its own."""

    def refuse(self, head: Head | None, error: RequestError) -> Response:
        """Tell the client why its request is not answered. There is no head if it was no HTTP."""

    def gone(self, head: Head) -> None:
        """Note that the client hung up before its request was there as a whole."""
