"""JSON values to arrays and back, with messages that say what does not fit. Pure."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_server.errors import InvalidArgument
from model_server.tensors import NUMPY_TYPES, STRING, check_fits

if TYPE_CHECKING:
    from model_server.tensors import Array, TensorSpec

MAX_DIMENSIONS: Final = 64
"""NumPy's own limit."""


def from_json(value: Any, spec: TensorSpec) -> Array:
    """Make the array for one input. Raises `InvalidArgument`."""
    array = _strings(value, spec) if spec.dtype == STRING else _numbers(value, spec)
    check_fits(array, spec)
    return array


def _numbers(value: Any, spec: TensorSpec) -> Array:
    wanted = NUMPY_TYPES.get(spec.dtype)
    if wanted is None:
        raise InvalidArgument(f"input {spec.name!r} has the type {spec.dtype}, which JSON requests cannot carry")
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):
        raise InvalidArgument(f"input {spec.name!r} is ragged: lists at the same depth have equal lengths") from None
    kinds = {"f": "iuf", "b": "b"}.get(np.dtype(wanted).kind, "iu")
    if array.dtype.kind not in kinds and array.size:
        raise InvalidArgument(f"input {spec.name!r} takes {spec.dtype}, but holds other values{_hint(array)}")
    with np.errstate(over="ignore"):
        narrowed: Array = array.astype(wanted)
    if np.dtype(wanted).kind in "iu" and not np.array_equal(narrowed, array):
        raise InvalidArgument(f"input {spec.name!r} takes {spec.dtype}, but holds numbers beyond its range")
    return narrowed


def _hint(array: Array) -> str:
    names = {
        "f": "numbers with a fraction",
        "i": "whole numbers",
        "b": "true or false",
        "U": "text",
        "O": "null, or mixed",
    }
    return f" ({names[array.dtype.kind]})" if array.dtype.kind in names else ""


def _strings(value: Any, spec: TensorSpec) -> Array:
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
    if isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            raise InvalidArgument(f"input {spec.name!r} holds a b64 that is no base64") from None
    raise InvalidArgument(f'input {spec.name!r} takes DT_STRING: texts, or {{"b64": "..."}} for binary values')


def to_json(name: str, array: Array) -> Any:
    """Make what `wire.dump` can write. Outputs whose names end in `_bytes` are binary, other strings are texts."""
    if array.dtype.kind in "OSU":
        return _texts(array.tolist(), binary=name.endswith("_bytes"))
    if array.dtype.kind == "c":
        raise InvalidArgument(f"the output {name!r} is complex, which JSON cannot carry")
    return np.ascontiguousarray(array) if array.ndim else array.item()


def _texts(value: Any, *, binary: bool) -> Any:
    if isinstance(value, list):
        return [_texts(element, binary=binary) for element in value]
    if not binary:
        try:
            return value.decode()
        except UnicodeDecodeError:
            pass  # Not a text after all.
    return {"b64": base64.b64encode(value).decode()}
