"""Heads that come again on a connection: they mean what they meant to the parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_server.http import reader as module
from model_server.http.limits import Bodies, HttpError
from model_server.http.messages import Peer
from model_server.http.reader import RequestReader

if TYPE_CHECKING:
    from model_server.errors import RequestError
    from model_server.http.messages import Head

FIRST = b"POST /p?q=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\nContent-Type: t\r\n\r\n0123456789"


class Noted:
    """What a reader has read."""

    def __init__(self) -> None:
        self.read: list[object] = []
        self.refuses = False

    def limit(self, head: Head) -> int:
        if self.refuses:
            raise HttpError("not you")
        return 1000

    def whole(self, head: Head, body: bytes, held: int, error: RequestError | None, *, keep_alive: bool) -> None:
        about = (head.method, head.path, head.query, head.version, list(head.headers), head.limit)
        self.read.append((*about, body, held, error and str(error), keep_alive))
        head.headers = []  # As it is when a body was unpacked.

    def refused(self, head: Head | None, error: RequestError) -> None:
        self.read.append(str(error))


def read(*pieces: bytes, parsed: list[int] | None = None) -> list[object]:
    """What comes of these pieces; `parsed` gets their lengths that went through the parser."""
    sink = Noted()
    reader = RequestReader(Peer(""), Bodies(), sink)
    parse = reader._parse

    def note(data: memoryview[int] | bytes) -> None:
        if parsed is not None:
            parsed.append(len(data))
        parse(data)

    RequestReader._parse = lambda _, data: note(data)  # type: ignore[method-assign, assignment]  # It has slots.
    try:
        for piece in pieces:
            data = memoryview(bytearray(piece))
            while data and not reader.over:
                data = data[reader.feed(data) :]
    finally:
        RequestReader._parse = PARSE  # type: ignore[method-assign]
    return [*sink.read, reader.begun, reader.over, reader._bodies.held]


PARSE = RequestReader._parse


def with_body(body: bytes) -> bytes:
    return (
        FIRST[: FIRST.index(b"10\r")] + str(len(body)).encode() + FIRST[FIRST.index(b"\r\nContent-Type") : -10] + body
    )


@pytest.mark.parametrize("body", [b"x", b"0123456789", b"\r\n" * 50, b"y" * 900])
def test_a_head_that_comes_again_is_not_parsed_whatever_the_length_of_the_body(body: bytes) -> None:
    parsed: list[int] = []
    again = with_body(body)
    assert read(FIRST, again, again, parsed=parsed) == read(FIRST)[:1] + read(again, again)[:2] + [
        False,
        False,
        10 + 2 * len(body),
    ]
    assert parsed == [len(FIRST)]


@pytest.mark.parametrize(
    "again",
    [
        FIRST + FIRST,
        FIRST[:-1],
        FIRST + b"\r\n",
        b"\r\n" + FIRST,
        FIRST.replace(b": 10", b": 010"),
        FIRST.replace(b": 10", b": +10"),
        FIRST.replace(b": 10", b": 9"),
        FIRST.replace(b": 10", b":  10"),
        FIRST.replace(b": 10", b": 10, 10"),
        FIRST.replace(b": 10", b": 10\r\nContent-Length: 10"),
        FIRST.replace(b"Host: h", b"Host: i"),
        FIRST.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"),
        FIRST.replace(b": 10\r\n", b": 10\n"),
        with_body(b"z" * 1001),
        with_body(b""),
    ],
)
def test_all_else_goes_through_the_parser(again: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    known = read(FIRST, again, FIRST, parsed=parsed)
    assert sum(parsed[:2]) >= min(len(FIRST) + len(again), len(FIRST) + 10)
    monkeypatch.setattr(module, "_TRIALS", 0)
    assert known == read(FIRST, again, FIRST)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_what_comes_after_is_read_as_by_a_parser_that_remembers_nothing(data: st.DataObject) -> None:
    pieces = [FIRST]
    for _ in range(data.draw(st.integers(1, 3))):
        body = data.draw(st.binary(max_size=20))
        changed = bytearray(with_body(body) * data.draw(st.integers(1, 2)))
        for _ in range(data.draw(st.integers(0, 2))):
            place = data.draw(st.integers(0, len(changed) - 1))
            changed[place : place + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
        pieces.append(bytes(changed))
    known = read(*pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TRIALS", 0)
        assert known == read(*pieces)


def test_a_client_whose_heads_never_come_again_is_not_tried_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []
    monkeypatch.setattr(module, "repeated", lambda text, head, body: tried.append(text))
    read(*[FIRST] * 20)
    assert len(tried) == 4


def test_who_may_not_ask_any_more_is_refused() -> None:
    sink = Noted()
    reader = RequestReader(Peer(""), Bodies(), sink)
    reader.feed(memoryview(bytearray(FIRST)))
    reader.feed(memoryview(bytearray(FIRST)))
    sink.refuses = True
    reader.feed(memoryview(bytearray(FIRST)))
    assert [one[-2] for one in sink.read if isinstance(one, tuple)] == [None, None, "not you"]
