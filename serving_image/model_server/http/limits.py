"""What clients may take of this server: memory and time."""

from __future__ import annotations

from typing import Final

from model_server.errors import BodyTooLarge, RequestError, Unavailable

MAX_HEAD_BYTES: Final = 64 * 2**10
"""Of the request line and the headers, and of all else between two pieces of a body."""
IN_FLIGHT_BYTES: Final = 256 * 2**20
"""Of bodies that arrive, wait or are worked on."""
FEEDBACK_BYTES: Final = 4 * 2**20
"""Enough for the most labels that one request may have. They are read by the thread that answers everybody."""
SMALL_BYTES: Final = 64 * 2**10
"""Of requests that need no body, or a short one."""

UNFINISHED_SECONDS: Final = 60.0
"""How long a client may take to send a request, or to take an answer."""
KEEP_ALIVE_SECONDS: Final = 75.0
"""Longer than the 60 s of usual load balancers, so that they close idle connections and never find one closed."""
LINGER_SECONDS: Final = 2.0
"""How long the rest of a request that was refused is taken and thrown away: a client that still sends would otherwise
find the connection broken, and not read why."""
FINISH_SECONDS: Final = 20.0
"""For running requests, after draining."""


class BadRequest(RequestError):  # noqa: N818  # Named after HTTP's codes, as are the next ones.
    """What came is no HTTP, or is ambiguous."""

    status = 400


class HttpError(RequestError):
    """An error with headers of its own."""

    def __init__(self, message: str, *headers: tuple[str, str]) -> None:
        super().__init__(message)
        self.headers = headers


class MethodNotAllowed(HttpError):  # noqa: N818
    """The path is there, but not for this method."""

    status = 405


class RequestTimeout(RequestError):  # noqa: N818
    """The request did not end."""

    status = 408


class ExpectationFailed(RequestError):  # noqa: N818
    """The client expects what this server does not do."""

    status = 417


class HeadTooLarge(RequestError):  # noqa: N818
    """The headers are over the limit."""

    status = 431


class VersionNotSupported(RequestError):  # noqa: N818
    """Neither HTTP/1.1 nor HTTP/1.0."""

    status = 505


class Bodies:
    """The bodies in memory. What counts is what has arrived: an announcement alone takes no room from others."""

    def __init__(self, most: int = IN_FLIGHT_BYTES) -> None:
        self.most = most
        self.held = 0

    @classmethod
    def share(cls, processes: int, largest: int) -> Bodies:
        """Make those of one of so many processes: all have as much room together as one has alone, and each for one."""
        return cls(max(IN_FLIGHT_BYTES // processes, largest))

    def check(self, size: int, held: int, limit: int) -> None:
        """Refuse a body of this size, of which so much is held already. Raises `BodyTooLarge` or `Unavailable`."""
        if size > limit:
            raise BodyTooLarge(f"the body is over {shown(limit)}: send less in one request")
        if self.held - held + size > self.most:
            raise Unavailable(f"requests of over {shown(self.most)} are in memory: try again")


def shown(size: int) -> str:
    """Write a number of bytes as users do."""
    return f"{size // 2**20} MiB" if size % 2**20 == 0 else f"{size} bytes"
