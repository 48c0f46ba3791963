"""One request of HTTP/2 and its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.http2.connection import Connection
    from model_server.http2.headers import Headers


class Receiver(Protocol):
    """What takes the body of a request."""

    def data(self, chunk: bytes, *, last: bool) -> None:
        """Take what has come; after the last of it comes nothing more. Never raises."""

    def cancelled(self) -> None:
        """Give up: nobody waits for the answer any more."""

    def leave(self) -> None:
        """Come to an end, if this is an answer without one: the connection ends."""


class Stream:
    """One request."""

    __slots__ = (
        "connection",
        "headers",
        "is_answered",
        "is_begun",
        "is_patient",
        "is_whole",
        "moved",
        "number",
        "receive_window",
        "receiver",
        "send_window",
        "trailers",
        "unsent",
        "when_sent",
    )

    receiver: Receiver

    def __init__(
        self,
        connection: Connection,
        number: int,
        headers: Headers,
        send_window: int,
        receive_window: int,
        now: float,
    ) -> None:
        self.connection = connection
        self.number = number
        self.headers = headers
        self.send_window = send_window
        self.receive_window = receive_window
        self.is_whole = False
        """Whether the client has sent all of it."""
        self.is_begun = False
        """Whether the head of the answer is out; only trailers can end it then."""
        self.is_answered = False
        self.is_patient = False
        """Whether its client may take its time for sending: a conversation, not a single question."""
        self.moved = now
        """When it began, or when the last part of the answer went out."""
        self.unsent: list[memoryview] | tuple[()] = ()
        self.trailers = b""
        self.when_sent: Callable[[], None] | None = None
        """Called once the whole answer is out."""
