"""How gRPC writes messages, deadlines and statuses into HTTP/2. Pure.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import re
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from model_server.errors import BodyTooLarge, InvalidArgument, Unimplemented
from model_server.http2.frames import literal
from model_server.rpc.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX_BYTES: Final = 5
MAX_MESSAGE_BYTES: Final = 4000
"""Of an error's text: clients take 8 KiB of headers."""
ENCODINGS: Final = "identity,gzip,deflate"
OK_HEAD: Final = b"\x88" + literal("content-type", "application/grpc") + literal("grpc-accept-encoding", ENCODINGS)
"""`:status: 200` and what every answer begins with."""
GZIP_HEAD: Final = OK_HEAD + literal("grpc-encoding", "gzip")
OK_STATUS: Final = literal("grpc-status", "0")
_ACCEPTS: Final = literal("content-type", "application/grpc")
_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])", re.ASCII)
_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_WINDOW_BITS: Final = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
_SHORT: Final = 64
_CUT_OFF = re.compile(r"%[0-9A-F]?$")
_SAFE: Final = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


_written = lru_cache(256)(literal)
"""Most of what is short comes again."""


def read_timeout(value: bytes) -> float:
    """Read `grpc-timeout`, in seconds. Raises `InvalidArgument`."""
    match = _TIMEOUT.fullmatch(value)
    if match is None:
        raise InvalidArgument("grpc-timeout is no time: up to 8 digits and one of H, M, S, m, u, n")
    return int(match[1]) * _SECONDS[match[2]]


def read_size(start: bytes) -> int:
    """Read how long a message is from its first 5 bytes."""
    return int.from_bytes(start[1:PREFIX_BYTES])


def unpack(prefixed: bytes, encoding: str, limit: int) -> bytes:
    """Take a whole message out of its prefix, and undo its compression.

    Raises `InvalidArgument`, `Unimplemented` (no such compression), or `BodyTooLarge` (over `limit` when unpacked).
    """
    flag, message = prefixed[0], prefixed[PREFIX_BYTES:]
    if not flag:
        return message
    if flag != 1 or encoding == "identity":
        raise InvalidArgument("the message is marked as compressed, but there is no grpc-encoding")
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise Unimplemented(f"grpc-encoding {encoding[:40]!r}: this server has {ENCODINGS}")
    unpacker = zlib.decompressobj(bits)
    try:
        plain = unpacker.decompress(message, limit + 1)
    except zlib.error as error:
        raise InvalidArgument(f"the message is no {encoding}") from error
    if len(plain) > limit:
        raise BodyTooLarge(f"the message is over {limit} bytes when unpacked: send less in one call")
    if not unpacker.eof:
        raise InvalidArgument(f"the message is cut off: its {encoding} has no end")
    return plain


def pack(message: bytes) -> bytes:
    """Put the prefix before a message."""
    return b"\x00" + len(message).to_bytes(4) + message


def pack_gzip(message: bytes) -> bytes:
    """Compress a message, with its prefix."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    packed = packer.compress(message) + packer.flush()
    return b"\x01" + len(packed).to_bytes(4) + packed


def status(code: Code, message: str = "", trailing: Iterable[tuple[str, str]] = ()) -> bytes:
    """Write the trailers that end a call."""
    block = OK_STATUS if code is Code.OK else literal("grpc-status", str(int(code)))
    if message:
        text = quote(message[:MAX_MESSAGE_BYTES], safe=_SAFE, errors="replace")[:MAX_MESSAGE_BYTES]
        block += literal("grpc-message", _CUT_OFF.sub("", text))
    for name, value in trailing:
        block += _written(name, value) if len(value) <= _SHORT else literal(name, value)
    return block


def failure(code: Code, message: str, trailing: Iterable[tuple[str, str]] = ()) -> bytes:
    """Write the one block of headers of an answer that has nothing but a status."""
    return b"\x88" + _ACCEPTS + status(code, message, trailing)


def other_media_type() -> bytes:
    """Write the answer to a request that is no call: HTTP's own code, as the protocol asks for."""
    return literal(":status", "415")
