"""HPACK as the server reads it, held to the library's decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given, settings
from hypothesis import strategies as st
from model_server.http2.frames import COMPRESSION_ERROR, ENHANCE_YOUR_CALM, ProtocolError, literal
from model_server.http2.headers import MAX_HEADER_BYTES, HeaderReader

if TYPE_CHECKING:
    from collections.abc import Sequence

Block = list[tuple[bytes, bytes]]

names = st.one_of(st.sampled_from([b":path", b":method", b"grpc-timeout", b"x", b"te"]), st.binary(max_size=12))
values = st.one_of(st.sampled_from([b"POST", b"trailers", b""]), st.binary(max_size=40), st.just(b"v" * 3000))
blocks = st.lists(st.tuples(names, values), max_size=5)


def libraries(data: Sequence[bytes]) -> list[Block | None]:
    """What the library reads; None where it refuses, after which a connection has ended."""
    decoder = Decoder(max_header_list_size=MAX_HEADER_BYTES)
    read: list[Block | None] = []
    for block in data:
        try:
            read.append([(name, value) for name, value in decoder.decode(block, raw=True)])
        except HPACKError:
            return [*read, None]
    return read


def ours(data: Sequence[bytes]) -> list[Block | None]:
    reader = HeaderReader()
    read: list[Block | None] = []
    for block in data:
        try:
            read.append(list(reader.read(block)))
        except ProtocolError:
            return [*read, None]
    return read


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(blocks, st.booleans(), st.sampled_from([None, None, 0, 64, 100, 4096]), st.integers(1, 3))),
)
def test_what_encoders_write_is_read_as_it_was(calls: list[tuple[Block, bool, int | None, int]]) -> None:
    encoder = Encoder()
    data, wanted = [], []
    for headers, huffman, size, times in calls:
        if size is not None:
            encoder.header_table_size = size
        for _ in range(times):  # The second time it is in the table, the third time the block was seen before.
            data.append(encoder.encode(headers, huffman=huffman))
            wanted.append(headers)

    assert ours(data) == wanted


pieces = st.one_of(
    st.binary(max_size=6),
    st.integers(0x80, 0xFF).map(lambda byte: bytes((byte,))),  # From the tables.
    st.sampled_from([b"\x20", b"\x3f\x45", b"\x3f\xe1\x1f", b"\x3f\xe2\x1f", b"\x40\x01x\x01y", b"\x41\x02yz"]),
    st.sampled_from([b"\x40\x81\xff\x01y", b"\xff\x80\x80\x80\x80\x80\x01", b"\x0f\x10\x00", b"\x7f\x00\x01a"]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(pieces, max_size=5).map(b"".join), max_size=4))
def test_whatever_comes_is_read_or_refused_as_the_library_does(data: list[bytes]) -> None:
    assert ours(data) == libraries(data)


def test_the_examples_of_the_standard() -> None:
    """RFC 7541, appendix C.4: requests with Huffman coding, one after the other."""
    data = [
        bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff"),
        bytes.fromhex("828684be5886a8eb10649cbf"),
        bytes.fromhex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"),
    ]
    get = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]

    assert ours(data) == [
        get,
        [*get, (b"cache-control", b"no-cache")],
        [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":path", b"/index.html"),
            (b":authority", b"www.example.com"),
            (b"custom-key", b"custom-value"),
        ],
    ]


@pytest.mark.parametrize(
    ("block", "code"),
    [
        (b"\x80", COMPRESSION_ERROR),
        (b"\xbe", COMPRESSION_ERROR),
        (b"\x40", COMPRESSION_ERROR),
        (b"\x40\x05x", COMPRESSION_ERROR),
        (b"\x82\x20", COMPRESSION_ERROR),
        (b"\x3f\xe2\x1f", COMPRESSION_ERROR),
        (b"\x7f" + b"\x80" * 100 + b"\x01", COMPRESSION_ERROR),
        (literal("x", "y" * MAX_HEADER_BYTES), ENHANCE_YOUR_CALM),
        (b"\x40\x01x\x7f\xa1\x1e" + bytes(4000) + b"\xbe" * 5, ENHANCE_YOUR_CALM),
    ],
)
def test_what_is_wrong_or_too_much_is_refused(block: bytes, code: int) -> None:
    with pytest.raises(ProtocolError) as raised:
        HeaderReader().read(block)
    assert raised.value.code == code


def test_what_is_remembered_is_bounded() -> None:
    reader = HeaderReader()
    for number in range(10_000):
        reader.read(b"\x40" + literal("x", f"{number:020}")[1:])
        reader.read(literal("y", f"{number}"))

    assert reader._size <= 4096
    assert len(reader._known) <= 32
