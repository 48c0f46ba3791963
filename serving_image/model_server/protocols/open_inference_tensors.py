"""Tensors as the Open Inference Protocol names, packs and unpacks them, over HTTP and gRPC alike. Pure.

Packed: numbers in little-endian order, truth values in one byte each, BYTES as a length of 4 bytes before each element,
BF16 as the upper half of a float32.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from model_server.errors import InvalidArgument
from model_server.tensors import NUMPY_TYPES, STRING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.tensors import Array, TensorSpec

DATATYPES: Final = {
    "DT_BOOL": "BOOL",
    "DT_UINT8": "UINT8",
    "DT_UINT16": "UINT16",
    "DT_UINT32": "UINT32",
    "DT_UINT64": "UINT64",
    "DT_INT8": "INT8",
    "DT_INT16": "INT16",
    "DT_INT32": "INT32",
    "DT_INT64": "INT64",
    "DT_HALF": "FP16",
    "DT_BFLOAT16": "BF16",
    "DT_FLOAT": "FP32",
    "DT_DOUBLE": "FP64",
    STRING: "BYTES",
}
"""The protocol's names by TensorFlow's."""
_BFLOAT16: Final = "DT_BFLOAT16"
_LENGTH: Final = struct.Struct("<I")
_VARIABLE: Final = -1
_MAX_DIMENSIONS: Final = 32
_MAX_VALUES: Final = 2**40
"""Far more than any body may hold."""


def datatype(spec: TensorSpec) -> str:
    """Name the type of an input or output."""
    return DATATYPES.get(spec.dtype, spec.dtype)


def has_name(spec: TensorSpec) -> bool:
    """Tell whether the protocol has this type: it has no complex numbers."""
    return spec.dtype in DATATYPES


def variable_shape(spec: TensorSpec) -> list[int]:
    """Write a shape with −1 for what may vary. Of an unknown number of dimensions it names one."""
    if spec.shape is None:
        return [_VARIABLE]
    return [_VARIABLE if size is None else size for size in spec.shape]


def unpack(data: bytes | memoryview, spec: TensorSpec, shape: Sequence[int]) -> Array:
    """Make the array of packed values. Raises `InvalidArgument`.

    Numbers are not copied if they lie well: the array cannot be written to.
    """
    count = count_of(shape, spec)
    if spec.dtype == STRING:
        return _unpack_bytes(memoryview(data), count, spec).reshape(shape)
    wanted = np.dtype(np.uint16 if spec.dtype == _BFLOAT16 else NUMPY_TYPES[spec.dtype])
    if len(data) != count * wanted.itemsize:
        raise InvalidArgument(
            f"input {spec.name!r} has {len(data)} bytes, but {datatype(spec)} of the shape {list(shape)} has "
            f"{count * wanted.itemsize}"
        )
    array: Array = np.frombuffer(data, wanted.newbyteorder("<")).reshape(shape)
    if spec.dtype == _BFLOAT16:
        widened: Array = (array.astype(np.uint32) << 16).view(np.float32)
        return widened
    if wanted.kind == "b" and array.size and int(array.view(np.uint8).max()) > 1:
        clean: Array = array.view(np.uint8) != 0  # Any other byte would be a truth value that is neither.
        return clean
    return array if array.flags.aligned else array.copy()  # TensorFlow takes only what lies at even addresses.


def count_of(shape: Sequence[int], spec: TensorSpec) -> int:
    """Tell how many values a shape has. Raises `InvalidArgument` if it is none that any array could have."""
    count = room = 1
    for size in shape:
        if size < 0:
            raise InvalidArgument(f"input {spec.name!r} has the shape {list(shape)}: in a request all sizes are known")
        count *= size
        room *= size or 1  # Even where one size is 0, NumPy multiplies the others.
    if len(shape) > _MAX_DIMENSIONS or room > _MAX_VALUES:
        raise InvalidArgument(f"input {spec.name!r} has a shape that is too large")
    return count


def _unpack_bytes(data: memoryview, count: int, spec: TensorSpec) -> Array:
    if len(data) < count * _LENGTH.size:
        raise InvalidArgument(f"input {spec.name!r} has {len(data)} bytes, too few for the lengths of {count} elements")
    array = np.empty(count, dtype=object)
    place = 0
    for number in range(count):
        if place + _LENGTH.size > len(data):
            raise InvalidArgument(f"input {spec.name!r} ends within element {number} of {count}")
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        if place + length > len(data):
            raise InvalidArgument(f"input {spec.name!r} ends within element {number} of {count}")
        array[number] = bytes(data[place : place + length])
        place += length
    if place != len(data):
        raise InvalidArgument(f"input {spec.name!r} has {len(data) - place} bytes after its {count} elements")
    return array


def pack(array: Array, dtype: str) -> bytes:
    """Pack the values of an output; `dtype` is TensorFlow's name."""
    if dtype == STRING:
        return b"".join(part for value in array.reshape(-1).tolist() for part in (_LENGTH.pack(len(value)), value))
    if dtype == _BFLOAT16:
        return _narrow(np.ascontiguousarray(array, np.float32)).tobytes()
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def _narrow(array: Array) -> Array:
    """Round float32 to the nearest bfloat16, ties to even; what is no number stays so."""
    bits = array.view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    narrow: Array = np.where(np.isnan(array), 0x7FC0, rounded).astype("<u2")
    return narrow
