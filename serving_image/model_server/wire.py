"""JSON: quick, and with the NaN and Infinity of the standard library where the quick way has none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from model_server.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model_server.tensors import Array

_RARE: Final = 256
"""A letter stands once in so many bytes: to look at its place takes less time than to search so many for a word."""


def load(body: bytes) -> Any:
    """Read JSON, with NaN and Infinity. Raises `InvalidArgument`."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            # UTF-8 alone, as RFC 8259 has it: from bytes, the library takes UTF-16 too, whose words nobody finds.
            return json.loads(body.decode("utf-8-sig", "surrogatepass"))
        except (ValueError, RecursionError):
            raise InvalidArgument(f"JSON Parse error: {error}") from None


def dump(value: object) -> bytes:
    """Write JSON without NaN; arrays of numbers and truth values may be in it."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # Half a surrogate pair, a whole number beyond 64 bits.
        return dump_with_nan(value)


def dump_arrays(value: object, arrays: Iterable[Array]) -> bytes:
    """Write JSON that holds these arrays of numbers, with NaN and infinities if they hold any."""
    text = dump(value)
    # orjson writes null for what is no number: only then is it worth looking at them all.
    return text if not has_word(text, b"null", b"u") or all_finite(arrays) else dump_with_nan(value)


def dump_with_nan(value: object) -> bytes:
    """Write JSON in which NaN and infinities stand as NaN, Infinity and -Infinity, as TensorFlow Serving does."""
    return json.dumps(value, default=_plain, separators=(",", ":")).encode()


def all_finite(arrays: Iterable[Array]) -> bool:
    """Tell whether no array holds NaN or an infinity."""
    return all(bool(np.isfinite(array).all()) for array in arrays if array.dtype.kind in "fc")


def has_word(text: bytes, word: bytes, letter: bytes) -> bool:
    """Tell whether a word stands in a text, by a letter of it that is rare there: next to numbers, any letter is.

    A letter is found twenty times as fast as a word. Where it is not rare, the word is searched after all.
    """
    place = text.find(letter)
    if place < 0:
        return False
    ahead = word.index(letter)
    for _ in range(len(text) // _RARE):
        if text.startswith(word, max(place - ahead, 0)):
            return True
        place = text.find(letter, place + 1)
        if place < 0:
            return False
    return text.find(word, max(place - ahead, 0)) >= 0


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind == "f" and value.dtype.itemsize < 8:
            # By way of its shortest decimals: a float32 of 0.2 is to be 0.2, and not 0.20000000298023224.
            return np.asarray(value).astype(str).astype(np.float64).tolist()
        return value.tolist()
    raise TypeError(type(value).__name__)
