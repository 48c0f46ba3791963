"""Packed numbers in the usual case: as many as the shape says, of a type that NumPy has. Pure.

All that is not usual is left to `open_inference_tensors`, which also says what is wrong.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Final

import numpy as np

from model_server.tensors import NUMPY_TYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.tensors import Array

USUAL_DIMENSIONS: Final = 8
_TYPES: Final = {
    name: np.dtype(kind)
    for name, kind in NUMPY_TYPES.items()
    if name not in {"DT_BOOL", "DT_BFLOAT16"} and sys.byteorder == "little"
}


def unpack_numbers(content: bytes, dtype: str, shape: Sequence[int]) -> Array | None:
    """Read numbers without copying them; None if they need more care."""
    kind = _TYPES.get(dtype)
    if kind is None or not 0 < len(shape) <= USUAL_DIMENSIONS or min(shape) < 1:
        return None
    if len(content) != math.prod(shape) * kind.itemsize:
        return None
    return np.frombuffer(content, kind).reshape(shape)


def pack_numbers(array: Array, dtype: str) -> bytes | None:
    """Write numbers; None if they need more care."""
    return array.tobytes() if array.dtype == _TYPES.get(dtype) else None
