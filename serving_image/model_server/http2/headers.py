"""Reads the headers of requests: HPACK (RFC 7541) by its library, with limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hpack import Decoder, HPACKError, OversizedHeaderListError

from model_server.http2.frames import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_HEADER_BYTES: Final = 16 * 2**10
"""Of all names and values of a request, with 32 bytes more for each, as HTTP/2 counts them."""
_REMEMBERED: Final = 32
_REMEMBERED_BYTES: Final = 512


class HeaderReader:
    """Of one connection.

    Clients send the same block again and again, once all that is in it has a place in the table. What it meant is
    remembered, as long as the table stays as it is: reading it takes a third of what a small call costs.
    """

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=MAX_HEADER_BYTES)
        self._known: dict[bytes, Sequence[tuple[bytes, bytes]]] = {}

    def read(self, block: bytes) -> Sequence[tuple[bytes, bytes]]:
        """Understand a block. Raises `ProtocolError`."""
        known = self._known.get(block)
        if known is not None:
            return known
        entries = self._decoder.header_table.dynamic_entries
        newest, count = entries[0] if entries else None, len(entries)
        try:
            # Theirs is a tuple of two with a mark; `raw` keeps the bytes.
            headers = [(name, value) for name, value in self._decoder.decode(block, raw=True)]
        except OversizedHeaderListError as error:
            raise ProtocolError(ENHANCE_YOUR_CALM, f"the headers are over {MAX_HEADER_BYTES} bytes") from error
        except HPACKError as error:
            raise ProtocolError(COMPRESSION_ERROR, "headers that cannot be read") from error
        resizes = block[:1] and block[0] & 0xE0 == 0x20
        if resizes or len(entries) != count or (entries and entries[0] is not newest):
            self._known.clear()
        elif len(self._known) < _REMEMBERED and len(block) <= _REMEMBERED_BYTES:
            self._known[block] = headers
        return headers
