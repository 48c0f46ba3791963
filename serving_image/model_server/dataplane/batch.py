"""Puts the rows of several requests together, and takes the answers apart. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_server.tensors import Array, Signature

    Shapes = tuple[tuple[int, ...], ...]
    """Of one row, by input."""


def can_batch(signature: Signature) -> bool:
    """Tell whether any number of rows can go in, and as many come out."""
    ends = [*signature.inputs.values(), *signature.outputs.values()]
    return bool(signature.inputs) and all(end.shape is not None and end.shape[:1] == (None,) for end in ends)


def rows_of(inputs: Mapping[str, Array]) -> int | None:
    """Count the rows; None where the inputs do not agree on it."""
    count: int | None = None
    for array in inputs.values():
        if not array.ndim or count not in (None, len(array)):
            return None
        count = len(array)
    return count


def form(inputs: Mapping[str, Array]) -> Shapes:
    """Tell what has to be equal for rows to go together: the shapes of one row."""
    return tuple([array.shape[1:] for array in inputs.values()])


def longest(first: Shapes, second: Shapes) -> Shapes:
    """Give the shapes to which rows of both forms can be filled up."""
    return tuple(tuple(map(max, zip(*pair, strict=True))) for pair in zip(first, second, strict=True))


def values_of(rows: int, shapes: Shapes) -> int:
    """Count the numbers or texts in so many rows."""
    return rows * sum(map(math.prod, shapes))


def join(requests: Sequence[Mapping[str, Array]], size: int) -> dict[str, Array]:
    """Put rows together and fill up to `size` of them with copies of the first; shorter rows with zeros."""
    return {name: _join([request[name] for request in requests], size) for name in requests[0]}


def _join(arrays: list[Array], size: int) -> Array:
    if len(arrays) == 1 and len(arrays[0]) == size:
        return arrays[0]
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) > 1:
        longest = tuple(map(max, zip(*shapes, strict=True)))
        arrays = [_lengthened(array, longest) for array in arrays]
    missing = size - sum(map(len, arrays))
    if missing:
        arrays = [*arrays, np.repeat(arrays[0][:1], missing, axis=0)]
    return np.concatenate(arrays)


def _lengthened(array: Array, shape: tuple[int, ...]) -> Array:
    filler: object = b"" if array.dtype == object else 0
    longer = np.full((len(array), *shape), filler, array.dtype)
    longer[tuple(map(slice, array.shape))] = array
    return longer


def are_rows(outputs: Mapping[str, Array], size: int) -> bool:
    """Tell whether there is an answer for each row."""
    for array in outputs.values():  # noqa: SIM110  # Each request comes by here, and `all` takes twice as long.
        if not array.ndim or len(array) != size:
            return False
    return True


def split(outputs: Mapping[str, Array], counts: Sequence[int]) -> list[dict[str, Array]]:
    """Take the answers apart again: so many rows for each request."""
    parts = []
    start = 0
    for count in counts:
        parts.append({name: array[start : start + count] for name, array in outputs.items()})
        start += count
    return parts
