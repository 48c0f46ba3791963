"""TensorFlow's `TensorProto` in and out of NumPy. Pure.

Elements come packed in `tensor_content`, or one by one in the field of their type, where the last of them stands for
all that are left out and none at all for zeros, as TensorFlow has it. Answers are packed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_server.errors import InvalidArgument
from model_server.protocols.open_inference_tensors import count_of, pack, unpack
from model_server.protocols.packed import pack_numbers, unpack_numbers
from model_server.tensors import NUMPY_TYPES, STRING, check_fits, check_shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.tensors import Array, TensorSpec

MAX_TENSOR_BYTES: Final = 256 * 2**20
"""In memory."""
MAX_FILLED_BYTES: Final = 64 * 2**20
"""In memory, where a few elements stand for many."""
BFLOAT16: Final = "DT_BFLOAT16"
HALF: Final = "DT_HALF"
NUMBERS: Final = {
    "DT_FLOAT": 1,
    "DT_DOUBLE": 2,
    "DT_INT32": 3,
    "DT_UINT8": 4,
    "DT_INT16": 5,
    "DT_INT8": 6,
    STRING: 7,
    "DT_INT64": 9,
    "DT_BOOL": 10,
    BFLOAT16: 14,
    "DT_UINT16": 17,
    HALF: 19,
    "DT_UINT32": 22,
    "DT_UINT64": 23,
}
"""Of `tensorflow.DataType`."""
_NAMES: Final = {number: name for name, number in NUMBERS.items()}
_FIELDS: Final = {
    "DT_FLOAT": "float_val",
    "DT_DOUBLE": "double_val",
    HALF: "half_val",
    BFLOAT16: "half_val",
    "DT_INT8": "int_val",
    "DT_INT16": "int_val",
    "DT_INT32": "int_val",
    "DT_INT64": "int64_val",
    "DT_UINT8": "int_val",
    "DT_UINT16": "int_val",
    "DT_UINT32": "uint32_val",
    "DT_UINT64": "uint64_val",
    "DT_BOOL": "bool_val",
    STRING: "string_val",
}


def from_tensor(proto: Any, spec: TensorSpec) -> Array:
    """Read an input. Raises `InvalidArgument`."""
    number = NUMBERS.get(spec.dtype)
    if number is None or proto.dtype != number:
        given = _NAMES.get(proto.dtype, f"of the type {proto.dtype}")
        raise InvalidArgument(f"input {spec.name!r} is {given}, but the model takes {spec.dtype}")
    given_shape = proto.tensor_shape
    if given_shape.unknown_rank:
        raise InvalidArgument(f"input {spec.name!r} does not say which shape it has")
    sizes = [dimension.size for dimension in given_shape.dim]
    packed = unpack_numbers(proto.tensor_content, spec.dtype, sizes)
    if packed is not None:
        check_fits(packed, spec)
        return packed
    shape = _check_shape(spec, sizes)
    if spec.dtype == STRING:
        array = _texts(proto, spec, shape)
    elif proto.tensor_content:
        array = unpack(proto.tensor_content, spec, shape)
    else:
        array = _listed(getattr(proto, _FIELDS[spec.dtype]), spec, shape)
    return array


def _check_shape(spec: TensorSpec, sizes: Sequence[int]) -> tuple[int, ...]:
    """Refuse shapes that the model does not take, or that would take too much memory. Raises `InvalidArgument`."""
    if count_of(sizes, spec) * _width(spec) > MAX_TENSOR_BYTES:
        raise _too_large(spec, sizes, MAX_TENSOR_BYTES)
    check_shape(tuple(sizes), spec)
    return tuple(sizes)


def _width(spec: TensorSpec) -> int:
    return 8 if spec.dtype == STRING else np.dtype(NUMPY_TYPES[spec.dtype]).itemsize


def _too_large(spec: TensorSpec, sizes: Sequence[int], most: int) -> InvalidArgument:
    return InvalidArgument(f"input {spec.name!r} of the shape {list(sizes)} is over {most // 2**20} MiB")


def _widen(array: Array) -> Array:
    """Make float32 of the bits of bfloat16."""
    return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)


def _listed(values: Any, spec: TensorSpec, shape: tuple[int, ...]) -> Array:
    count, dtype = math.prod(shape), spec.dtype
    _check_count(spec, len(values), shape)
    wanted = np.dtype(NUMPY_TYPES[dtype])
    if dtype in {HALF, BFLOAT16}:
        bits = _narrowed(values, np.dtype(np.uint16), spec)
        given: Array = _widen(bits) if dtype == BFLOAT16 else bits.view(np.float16)
    elif _FIELDS[dtype] == "int_val":
        given = _narrowed(values, wanted, spec)
    else:
        given = np.fromiter(values, wanted, len(values))
    if len(given) == count:
        return given.reshape(shape)
    array = np.zeros(shape, wanted)
    if len(given):
        flat = array.reshape(-1)
        flat[: len(given)] = given
        flat[len(given) :] = given[-1]
    return array


def _narrowed(values: Any, wanted: np.dtype[Any], spec: TensorSpec) -> Array:
    wide = np.fromiter(values, np.int32, len(values))
    narrow: Array = wide.astype(wanted)
    if not np.array_equal(narrow.astype(np.int64), wide.astype(np.int64)):
        raise InvalidArgument(f"input {spec.name!r} has values beyond {spec.dtype}")
    return narrow


def _texts(proto: Any, spec: TensorSpec, shape: tuple[int, ...]) -> Array:
    if proto.tensor_content:
        raise InvalidArgument(
            f"input {spec.name!r} is DT_STRING: its texts go into string_val, not into tensor_content"
        )
    values = list(proto.string_val)
    _check_count(spec, len(values), shape)
    flat = np.empty(math.prod(shape), dtype=object)
    flat[: len(values)] = values
    flat[len(values) :] = values[-1] if values else b""
    return flat.reshape(shape)


def _check_count(spec: TensorSpec, given: int, shape: tuple[int, ...]) -> None:
    if given > math.prod(shape):
        raise InvalidArgument(
            f"input {spec.name!r} has {given} values, but the shape {list(shape)} has {math.prod(shape)}"
        )
    if given < math.prod(shape) and math.prod(shape) * _width(spec) > MAX_FILLED_BYTES:
        raise _too_large(spec, shape, MAX_FILLED_BYTES)


def to_tensor(array: Array, dtype: str, proto: Any) -> None:
    """Write an output into a message."""
    proto.dtype = NUMBERS[dtype]
    dimensions = proto.tensor_shape.dim
    for size in array.shape:
        dimensions.add(size=size)
    if dtype == STRING:
        proto.string_val.extend(array.reshape(-1).tolist())
    else:
        proto.tensor_content = pack_numbers(array, dtype) or pack(array, dtype)
