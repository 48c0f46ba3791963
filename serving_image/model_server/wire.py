"""JSON: quick, and with the NaN and Infinity of the standard library where the quick way has none."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from model_server.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model_server.tensors import Array


def load(body: bytes) -> Any:
    """Read JSON, with NaN and Infinity. Raises `InvalidArgument`."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(body)
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
    return text if b"null" not in text or all_finite(arrays) else dump_with_nan(value)


def dump_with_nan(value: object) -> bytes:
    """Write JSON in which NaN and infinities stand as NaN, Infinity and -Infinity, as TensorFlow Serving does."""
    return json.dumps(value, default=_plain, separators=(",", ":")).encode()


def all_finite(arrays: Iterable[Array]) -> bool:
    """Tell whether no array holds NaN or an infinity."""
    return all(bool(np.isfinite(array).all()) for array in arrays if array.dtype.kind in "fc")


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind == "f" and value.dtype.itemsize < 8:
            # By way of its shortest decimals: a float32 of 0.2 is to be 0.2, and not 0.20000000298023224.
            return np.asarray(value).astype(str).astype(np.float64).tolist()
        return value.tolist()
    raise TypeError(type(value).__name__)
