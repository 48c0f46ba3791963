"""Reads the bodies of requests within limits: on one, and on all that are in memory at once."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from model_server.errors import BodyTooLarge, Unavailable
from model_server.traces import NO_TRACE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from model_server.traces import Trace

IN_FLIGHT_BYTES: Final = 256 * 2**20
"""Of bodies that arrive, wait or are worked on."""
FEEDBACK_BYTES: Final = 4 * 2**20
"""Enough for the most labels that one request may have. They are read by the thread that answers everybody."""
SMALL_BYTES: Final = 64 * 2**10
"""Of requests that need no body, or a short one."""


class Bodies:
    """The bodies in memory. What counts is what has arrived: an announcement alone takes no room from others."""

    def __init__(self, most: int = IN_FLIGHT_BYTES) -> None:
        self._most = most
        self._held = 0

    @contextlib.asynccontextmanager
    async def read(self, request: Request, limit: int, trace: Trace = NO_TRACE) -> AsyncIterator[bytes]:
        """Read a whole body, and keep its place until the request is answered.

        Raises `BodyTooLarge`, `Unavailable` or `ClientDisconnect`.
        """
        announced = request.headers.get("content-length", "0")
        self._check(int(announced) if announced.isdecimal() else 0, 0, limit)
        chunks: list[bytes] = []
        size = 0
        try:
            with trace.stage("read body"):
                async for chunk in request.stream():
                    self._check(size + len(chunk), size, limit)
                    size += len(chunk)
                    self._held += len(chunk)
                    chunks.append(chunk)
            body = b"".join(chunks)
            chunks.clear()
            yield body
        finally:
            self._held -= size

    def _check(self, size: int, held: int, limit: int) -> None:
        if size > limit:
            raise BodyTooLarge(f"the body is over {_shown(limit)}: send less in one request")
        if self._held - held + size > self._most:
            raise Unavailable(f"requests of over {_shown(self._most)} are in memory: try again")


def _shown(size: int) -> str:
    return f"{size // 2**20} MiB" if size % 2**20 == 0 else f"{size} bytes"
