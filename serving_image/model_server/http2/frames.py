"""Frames of HTTP/2 (RFC 9113), and the headers that this server sends. Pure."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_BYTES: Final = 9

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6

NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
FLOW_CONTROL_ERROR: Final = 3
STREAM_CLOSED: Final = 5
FRAME_SIZE_ERROR: Final = 6
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
COMPRESSION_ERROR: Final = 9
ENHANCE_YOUR_CALM: Final = 11

MAX_WINDOW: Final = 2**31 - 1
DEFAULT_WINDOW: Final = 65_535
DEFAULT_FRAME: Final = 16_384
LARGEST_FRAME: Final = 2**24 - 1

_HEAD = struct.Struct(">HBBBL")
_SETTING = struct.Struct(">HL")
unpack_head: Final = _HEAD.unpack_from
"""Reads the head of a frame at a position: size of the payload without its lowest byte, that byte, kind, flags, stream
with a bit that means nothing."""


class ProtocolError(Exception):
    """The other side does not keep to the protocol, or floods: the connection ends with this code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def head(kind: int, flags: int, stream: int, size: int) -> bytes:
    """Write the head of a frame with `size` bytes of payload."""
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Write a frame."""
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    """Write the settings of this side."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(name, value) for name, value in values))


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """Read the other side's settings. Raises `ProtocolError`."""
    if len(payload) % _SETTING.size:
        raise ProtocolError(FRAME_SIZE_ERROR, "SETTINGS of a size that no settings have")
    values = list(_SETTING.iter_unpack(payload))
    for name, value in values:
        if name == INITIAL_WINDOW_SIZE and value > MAX_WINDOW:
            raise ProtocolError(FLOW_CONTROL_ERROR, "an initial window over 2^31-1")
        if name == MAX_FRAME_SIZE and not DEFAULT_FRAME <= value <= LARGEST_FRAME:
            raise ProtocolError(PROTOCOL_ERROR, "a frame size out of bounds")
    return values


def window_update(stream: int, size: int) -> bytes:
    """Let the other side send so many bytes more."""
    return frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4))


def reset(stream: int, code: int) -> bytes:
    """End a stream."""
    return frame(RST_STREAM, 0, stream, code.to_bytes(4))


def goaway(last: int, code: int, message: str = "") -> bytes:
    """Tell that no stream after `last` is answered."""
    return frame(GOAWAY, 0, 0, last.to_bytes(4) + code.to_bytes(4) + message.encode())


def content(payload: bytes, flags: int, *, priority: bool = False) -> bytes:
    """Return what is in DATA or HEADERS, without padding and priority. Raises `ProtocolError`."""
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise ProtocolError(FRAME_SIZE_ERROR, "padding without its length")
        start, end = 1, end - payload[0]
    if priority and flags & HAS_PRIORITY:
        start += 5
    if start > end:
        raise ProtocolError(PROTOCOL_ERROR, "more padding than the frame has room for")
    return payload[start:end]


def literal(name: str, value: str) -> bytes:
    """Write a header as it is: it takes no place in the other side's table."""
    return _name(name) + _text(value.encode("latin-1", "replace"))


@lru_cache(256)
def _name(name: str) -> bytes:
    return b"\x00" + _text(name.encode("latin-1"))


def _text(text: bytes) -> bytes:
    size = len(text)
    if size < 0x7F:
        return size.to_bytes(1) + text
    prefix, size = bytearray(b"\x7f"), size - 0x7F
    while size >= 0x80:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + text
