"""JSON values to arrays and back, with messages that say what does not fit. Pure.

Numbers take one of two ways. What has the form that the model asks for, as nearly all requests do, is packed by
`struct` in one step, which refuses what is no number or out of range, in half the time that NumPy takes. The other way
finds out what is wrong, and takes what `struct` cannot: truth values, and inputs of any shape.
"""

from __future__ import annotations

import base64
import binascii
import struct
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_server.errors import InvalidArgument
from model_server.tensors import NUMPY_TYPES, STRING, check_fits
from model_server.wire import has_word

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from model_server.tensors import Array, TensorSpec

MAX_DIMENSIONS: Final = 64
"""NumPy's own limit."""
_LETTERS: Final = {
    "DT_FLOAT": "f",
    "DT_DOUBLE": "d",
    "DT_HALF": "e",
    "DT_BFLOAT16": "f",
    "DT_INT8": "b",
    "DT_INT16": "h",
    "DT_INT32": "i",
    "DT_INT64": "q",
    "DT_UINT8": "B",
    "DT_UINT16": "H",
    "DT_UINT32": "I",
    "DT_UINT64": "Q",
}
"""How `struct` packs them, with `<` before: its native way lets numbers that are too large become infinite."""
_KINDS: Final = {
    str: "text",
    type(None): "null",
    bool: "true or false",
    float: "numbers with a fraction",
    dict: "objects",
}


def has_truth_values(body: bytes) -> bool:
    """Tell whether true or false may be among the values of a JSON text; Python takes these for numbers."""
    return has_word(body, b"true", b"r") or has_word(body, b"false", b"f")


def from_json(value: Any, spec: TensorSpec, *, truth: bool = True) -> Array:
    """Make the array for one input. Raises `InvalidArgument`.

    `truth` is what `has_truth_values` says of the text: without such values it is quicker.
    """
    if spec.dtype == STRING:
        return _strings(value, spec)
    if not truth:
        packed = _packed(value, spec)
        if packed is not None:
            return packed
    array = _numbers(value, spec)
    check_fits(array, spec)
    return array


def _packed(value: Any, spec: TensorSpec) -> Array | None:
    """Make the array if the value has just the form of the input; else None."""
    if spec.dtype not in _LETTERS or not spec.shape or type(value) is not list:
        return None
    flat: Any = value
    shape = [len(value)]
    try:
        for _ in spec.shape[1:]:
            size = _common_length(flat)
            if size is None:
                return None
            flat = flat[0] if len(flat) == 1 else _joined(flat)
            shape.append(size)
        if any(want not in (None, size) for want, size in zip(spec.shape, shape, strict=True)):
            return None
    except (TypeError, KeyError):
        return None
    return pack_numbers(flat, spec.dtype, tuple(shape))


def pack_numbers(flat: Sequence[Any], dtype: str, shape: tuple[int, ...]) -> Array | None:
    """Make an array of numbers in the order of rows; None if these are no numbers of this type, or none at all.

    True and False pass for 1 and 0: whoever calls has seen that there are none (`has_truth_values`).
    """
    letter = _LETTERS.get(dtype)
    if letter is None:
        return None
    try:
        return np.ndarray(shape, NUMPY_TYPES[dtype], struct.pack(f"<{len(flat)}{letter}", *flat))
    except (TypeError, struct.error, OverflowError):
        return None


def _joined(lists: Iterable[Iterable[Any]]) -> list[Any]:
    """Put lists behind each other; in a third of the time that `itertools.chain` takes, which goes by single values."""
    joined: list[Any] = []
    for each in lists:
        joined.extend(each)
    return joined


def _common_length(values: Any) -> int | None:
    if len(values) == 1:
        return len(values[0])
    sizes = set(map(len, values))
    return sizes.pop() if len(sizes) == 1 else None


def _numbers(value: Any, spec: TensorSpec) -> Array:
    wanted = NUMPY_TYPES.get(spec.dtype)
    if wanted is None:
        raise InvalidArgument(f"input {spec.name!r} has the type {spec.dtype}, which JSON requests cannot carry")
    # As objects: to find a common type, NumPy would make all texts as long as the longest, terabytes of them.
    array = np.array(value, dtype=object)
    kinds = set(map(type, array.reshape(-1).tolist()))
    if list in kinds:
        raise InvalidArgument(
            f"input {spec.name!r} is ragged: lists at the same depth have equal lengths, and there are at most "
            f"{MAX_DIMENSIONS} dimensions"
        )
    kind = np.dtype(wanted).kind
    allowed: dict[str, set[type]] = {"f": {int, float}, "b": {bool}}
    if not kinds <= allowed.get(kind, {int}):
        raise InvalidArgument(f"input {spec.name!r} takes {spec.dtype}, but holds other values{_hint(kinds, kind)}")
    try:
        with np.errstate(over="raise"):
            return array.astype(wanted)
    except (OverflowError, FloatingPointError):
        raise InvalidArgument(f"input {spec.name!r} takes {spec.dtype}, but holds numbers beyond its range") from None


def _hint(kinds: set[type], kind: str) -> str:
    names = {int: "whole numbers"} | _KINDS if kind == "b" else _KINDS
    given = [name for type_, name in names.items() if type_ in kinds and not (kind == "f" and type_ is float)]
    return f" ({', '.join(given)})" if given else ""


def _strings(value: Any, spec: TensorSpec) -> Array:
    if type(value) is list and spec.shape is not None and len(spec.shape) == 1:
        try:
            flat = [text.encode() for text in value]
        except (AttributeError, UnicodeEncodeError):
            pass  # Binary values, or something else: found out below.
        else:
            array = np.empty(len(flat), dtype=object)
            array[:] = flat
            check_fits(array, spec)
            return array
    array = _any_strings(value, spec)
    check_fits(array, spec)
    return array


def _any_strings(value: Any, spec: TensorSpec) -> Array:
    sizes: list[int] = []
    level = value
    while isinstance(level, list):
        sizes.append(len(level))
        level = level[0] if level else None
    if len(sizes) > MAX_DIMENSIONS:
        raise InvalidArgument(f"input {spec.name!r} has over {MAX_DIMENSIONS} dimensions")
    flat: list[bytes] = []
    _flatten(value, sizes, flat, spec)
    array = np.empty(len(flat), dtype=object)
    array[:] = flat
    return array.reshape(sizes)


def _flatten(value: Any, sizes: list[int], flat: list[bytes], spec: TensorSpec) -> None:
    if not sizes:
        flat.append(_bytes(value, spec))
        return
    if not isinstance(value, list) or len(value) != sizes[0]:
        raise InvalidArgument(f"input {spec.name!r} is ragged: lists at the same depth have equal lengths")
    for element in value:
        _flatten(element, sizes[1:], flat, spec)


def _bytes(value: Any, spec: TensorSpec) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if is_base64(value):
        return from_base64(value, f"input {spec.name!r}")
    raise InvalidArgument(f'input {spec.name!r} takes DT_STRING: texts, or {{"b64": "..."}} for binary values')


def is_base64(value: Any) -> bool:
    """Tell whether this is `{"b64": "…"}`, which stands for binary values."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def from_base64(value: dict[str, str], where: str) -> bytes:
    """Read `{"b64": "…"}`, with or without the padding. Raises `InvalidArgument`."""
    text = value["b64"].rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument(f"{where} holds a b64 that is no base64") from None


def to_json(name: str, array: Array) -> Any:
    """Make what `wire.dump` can write. Outputs whose names end in `_bytes` are binary, other strings are texts."""
    if array.dtype.kind in "OSU":
        return _texts(array.tolist(), binary=name.endswith("_bytes"))
    if array.dtype.kind == "c":
        raise InvalidArgument(f"the output {name!r} is complex, which JSON cannot carry")
    if array.ndim and array.flags.c_contiguous:
        return array
    return np.ascontiguousarray(array) if array.ndim else array[()]


def _texts(value: Any, *, binary: bool) -> Any:
    if isinstance(value, list):
        return [_texts(element, binary=binary) for element in value]
    if not binary:
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass  # Not a text after all.
    return {"b64": base64.b64encode(value).decode()}
