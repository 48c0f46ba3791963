"""uvicorn's HTTP, with limits: on the head of a request, and on the time until a request is there as a whole."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from model_server.protocols.tensorflow_rest import write_error

if TYPE_CHECKING:
    import asyncio

MAX_HEAD_BYTES: Final = 64 * 2**10
"""Of the request line and the headers."""
UNFINISHED_SECONDS: Final = 60.0
"""How long a client may take to send a request."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    _head_bytes = 0
    """Of a head that is not there as a whole; what came together with its first byte is not among them."""
    _in_head = True
    _large_head = False
    _whole = True
    """Whether nothing has come since the last whole request."""
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # As uvicorn has it.
        """Wait for a request, but not for ever."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self.transport.is_closing():
            return
        went_on, self._whole = self._in_head, False
        if went_on:
            self._head_bytes += len(data)
        super().data_received(data)
        if went_on and self._in_head and self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are over 64 KiB")
        if self._whole:
            self._stop_waiting()
        elif self._timer is None:
            self._wait()

    def on_message_begin(self) -> None:
        """Count anew."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._wait()

    def on_headers_complete(self) -> None:
        """Refuse a head that is too large although it came at once."""
        self._in_head = False
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            self._large_head = True
            raise ValueError("the parser stops")  # And calls `send_400_response`.
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait no longer: what takes time now is the answer."""
        super().on_message_complete()
        self._whole = True

    def send_400_response(self, msg: str) -> None:
        """Tell what is wrong with a request that is none."""
        if self._large_head:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are over 64 KiB")
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            body = write_error(message)
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()

    def _wait(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(UNFINISHED_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if self.flow.read_paused:  # It is this server that does not read on, as it answers an earlier request.
            self._wait()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the request did not end within {UNFINISHED_SECONDS:g} s")
