"""JSON, read and written."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from model_server import wire
from model_server.errors import InvalidArgument

WORDS = [(b"true", b"r"), (b"false", b"f"), (b"null", b"u")]


@given(
    st.sampled_from(WORDS),
    st.lists(st.sampled_from([b"true", b"false", b"null", b"tr", b"ru", b"f", b"u", b"r", b"1.5, " * 60]), max_size=12),
)
@example(WORDS[0], [b"r", b"1.5, " * 60, b"true"])
@example(WORDS[0], [b"r" * 9, b"1.5, " * 60, b"true"])
@example(WORDS[2], [b"u", b"null"])
def test_a_word_is_found_by_its_letter_wherever_it_stands(word: tuple[bytes, bytes], parts: list[bytes]) -> None:
    text = b"".join(parts)
    assert wire.has_word(text, *word) == (word[0] in text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_than_utf_8_are_refused(encoding: str) -> None:
    with pytest.raises(InvalidArgument, match="Parse error"):
        wire.load('{"instances": [true]}'.encode(encoding))  # true would not be found there, and pass for 1.


def test_a_byte_order_mark_and_half_a_surrogate_pair_are_read() -> None:
    assert wire.load('{"x": [NaN]}'.encode("utf-8-sig")).keys() == {"x"}
    assert wire.load(b'["\\ud800"]') == ["\ud800"]
    assert wire.load(b'["\xed\xa0\x80"]') == ["\ud800"]


@pytest.mark.parametrize("rows", [1, 1000])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 0.5])
def test_what_is_no_number_is_written_as_such(rows: int, value: float) -> None:
    array = np.full((rows, 2), 0.25, np.float32)
    array[-1, -1] = value
    text = wire.dump_arrays({"predictions": array}, [array])
    np.testing.assert_array_equal(np.array(json.loads(text)["predictions"], np.float32), array)


def test_null_in_a_name_is_no_reason_to_write_slowly() -> None:
    array = np.array([0.2], np.float32)
    assert wire.dump_arrays({"null": array}, [array]) == b'{"null":[0.2]}'
