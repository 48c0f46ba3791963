"""Reads the headers of requests: HPACK (RFC 7541), with limits.

The tables of the standard are those of the package hpack. Its decoder is not used: it takes 30 µs for the headers of a
call, more than all else in a small one, and `tests/unit/test_server_http2_headers.py` holds this one to it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from hpack.exceptions import HPACKError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from model_server.http2.frames import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ProtocolError

MAX_HEADER_BYTES: Final = 16 * 2**10
"""Of all names and values of a request, with 32 bytes more for each, as HTTP/2 counts them."""
TABLE_BYTES: Final = 4096
"""Of what a client may have remembered; the standard's own."""
_ENTRY_BYTES: Final = 32
_STATIC: Final[tuple[tuple[bytes, bytes], ...]] = tuple((name, value) for name, value in HeaderTable.STATIC_TABLE)
_REMEMBERED: Final = 32
_REMEMBERED_BYTES: Final = 512
_LONGEST_INTEGER: Final = 4
"""Bytes after the first: enough for 2^28."""


class Headers(list[tuple[bytes, bytes]]):
    """Names and values. The same block gives the same ones again, with what was found out about them."""

    __slots__ = ("meaning",)

    def __init__(self) -> None:
        super().__init__()
        self.meaning: Any = None
        """To whoever answers."""


class HeaderReader:
    """Of one connection.

    Clients send the same block again and again, once all that is in it has a place in the table. What it meant is
    remembered, as long as the table stays as it is.
    """

    def __init__(self) -> None:
        self._table: deque[tuple[bytes, bytes]] = deque()
        """The newest first."""
        self._size = 0
        self._most = TABLE_BYTES
        self._known: dict[bytes, Headers] = {}

    def read(self, block: bytes) -> Headers:
        """Understand a block. Raises `ProtocolError`."""
        known = self._known.get(block)
        if known is not None:
            return known
        try:
            headers, stayed = self._read(block)
        except (IndexError, HPACKError) as error:
            raise ProtocolError(COMPRESSION_ERROR, "headers that cannot be read") from error
        if not stayed:
            self._known.clear()
        elif len(self._known) < _REMEMBERED and len(block) <= _REMEMBERED_BYTES:
            self._known[block] = headers
        return headers

    def _read(self, block: bytes) -> tuple[Headers, bool]:
        """Return the headers, and whether the table is as it was. Raises `ProtocolError`, IndexError or HPACKError."""
        headers = Headers()
        position, end, total, stayed = 0, len(block), 0, True
        while position < end:
            first = block[position]
            if first & 0x80:
                index, position = _integer(block, position, 0x7F)
                header = self._at(index)
            elif first & 0x60 == 0x20:
                if headers:
                    raise ProtocolError(COMPRESSION_ERROR, "a table that changes its size amid headers")
                position, stayed = self._resize(block, position), False
                continue
            else:
                header, position = self._literal(block, position, 0x3F if first & 0x40 else 0x0F)
                if first & 0x40:
                    self._add(header)
                    stayed = False
            total += len(header[0]) + len(header[1]) + _ENTRY_BYTES
            if total > MAX_HEADER_BYTES:
                raise ProtocolError(ENHANCE_YOUR_CALM, f"the headers are over {MAX_HEADER_BYTES} bytes")
            headers.append(header)
        return headers, stayed

    def _at(self, index: int) -> tuple[bytes, bytes]:
        if not index:
            raise IndexError(index)
        return _STATIC[index - 1] if index <= len(_STATIC) else self._table[index - len(_STATIC) - 1]

    def _literal(self, block: bytes, position: int, mask: int) -> tuple[tuple[bytes, bytes], int]:
        index, position = _integer(block, position, mask)
        if index:
            name = self._at(index)[0]
        else:
            name, position = _text(block, position)
        value, position = _text(block, position)
        return (name, value), position

    def _add(self, header: tuple[bytes, bytes]) -> None:
        self._size += len(header[0]) + len(header[1]) + _ENTRY_BYTES
        self._table.appendleft(header)
        self._shrink()

    def _resize(self, block: bytes, position: int) -> int:
        size, position = _integer(block, position, 0x1F)
        if size > TABLE_BYTES:
            raise ProtocolError(COMPRESSION_ERROR, f"a table of {size} bytes")
        self._most = size
        self._shrink()
        return position

    def _shrink(self) -> None:
        while self._size > self._most:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + _ENTRY_BYTES


def _integer(block: bytes, position: int, mask: int) -> tuple[int, int]:
    """Read a number, and where it ends. Raises IndexError or `ProtocolError`."""
    value = block[position] & mask
    position += 1
    if value < mask:
        return value, position
    for shift in range(0, 7 * _LONGEST_INTEGER, 7):
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ProtocolError(COMPRESSION_ERROR, "a number in the headers that is too large")


def _text(block: bytes, position: int) -> tuple[bytes, int]:
    """Read a text, and where it ends. Raises IndexError, HPACKError or `ProtocolError`."""
    packed = block[position] & 0x80
    size, position = _integer(block, position, 0x7F)
    end = position + size
    if end > len(block):
        raise IndexError(end)
    text = block[position:end]
    return decode_huffman(text) if packed else text, end
