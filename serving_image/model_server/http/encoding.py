"""Content-Encoding: bodies of requests unpacked within a limit, bodies of answers packed where that pays."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import zstandard

from model_server.errors import BodyTooLarge, InvalidArgument
from model_server.http.limits import shown

if TYPE_CHECKING:
    from model_server.http.messages import Head, Response

PACK_FROM: Final = 4096
"""Bytes of an answer from which on it is packed: below, the time costs more than two packets fewer gain."""
INLINE_BYTES: Final = 32 * 2**10
"""What is longer is packed and unpacked in a thread, so that others are answered meanwhile."""
KNOWN: Final = "gzip, zstd"
_GZIP: Final = 16 + zlib.MAX_WBITS
_GZIP_LEVEL: Final = 1
_ZSTD_LEVEL: Final = 1
_MAX_WINDOW: Final = 8 * 2**20
"""Of zstd, as RFC 9659 has it for HTTP: a frame may ask for more memory than that before it holds a byte."""
_TEXTS: Final = ("application/json", "application/openmetrics-text", "application/yaml", "text/")
_STEP: Final = 256
"""Bytes of zstd that are unpacked at a time. Four of them may become 128 KiB: so much, 64 times, comes at most of one
step, and then the limit is looked at."""


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo a Content-Encoding. Raises `InvalidArgument`, or `BodyTooLarge` as soon as it is over the limit."""
    if encoding in {"gzip", "x-gzip"}:
        return _gunzip(body, limit)
    if encoding == "zstd":
        return _unzstd(body, limit)
    if encoding in {"", "identity"}:
        return body
    raise InvalidArgument(f"Content-Encoding: {encoding} is none that this server knows; send {KNOWN} or none")


def _gunzip(body: bytes, limit: int) -> bytes:
    unzip = zlib.decompressobj(_GZIP)
    try:
        unzipped = unzip.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidArgument(f"the body is no gzip: {error}") from None
    if len(unzipped) > limit:
        raise _too_large(limit)
    if not unzip.eof or unzip.unused_data:
        raise InvalidArgument("the body is no whole gzip, or has more behind it")
    return unzipped


def _unzstd(body: bytes, limit: int) -> bytes:
    pieces: list[bytes] = []
    size, at = 0, 0
    unzip = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()
    try:
        while at < len(body) and not unzip.eof:
            pieces.append(unzip.decompress(body[at : at + _STEP]))
            size, at = size + len(pieces[-1]), at + _STEP
            if size > limit:
                raise _too_large(limit)
    except zstandard.ZstdError as error:
        raise InvalidArgument(f"the body is no zstd: {error}") from None
    if not unzip.eof or unzip.unused_data or at < len(body):
        raise InvalidArgument("the body is no whole zstd, or has more behind it")
    return b"".join(pieces)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body is over {shown(limit)} when it is unpacked: send less in one request")


def choose(head: Head, response: Response) -> str:
    """Choose how to pack an answer: zstd, gzip, or not, which is an empty text. Notes that it was a choice."""
    names = {name.lower() for name, _ in response.headers}
    if "content-encoding" in names or not response.content_type.startswith(_TEXTS):
        return ""
    if "vary" not in names:
        response.headers.append(("Vary", "Accept-Encoding"))
    return accepted(head.header(b"accept-encoding") or "")


def apply(response: Response, chosen: str) -> None:
    """Pack the body of an answer as was chosen."""
    response.body = pack(response.body, chosen)
    response.headers.append(("Content-Encoding", chosen))


@lru_cache(256)
def accepted(header: str) -> str:
    """Choose from Accept-Encoding: zstd, gzip, or nothing."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        name, _, parameters = part.partition(";")
        weights[name.strip()] = _weight(parameters)
    others = weights.get("*", 0.0)
    best = max(("zstd", "gzip"), key=lambda name: weights.get(name, others))
    return best if weights.get(best, others) > 0 else ""


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def pack(body: bytes, encoding: str) -> bytes:
    """Apply zstd or gzip."""
    if encoding == "zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()
