"""Makes up requests, and finds out with them whether rows of several requests may be put together. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from model_server.errors import RequestError
from model_server.tensors import NUMPY_TYPES, STRING

if TYPE_CHECKING:
    from model_server.tensors import Array, Model, Signature, TensorSpec

_RELATIVE, _ABSOLUTE = 1e-3, 1e-5
"""By which answers may differ: calls of other sizes add numbers up in another order."""
_TEXTS: Final = (b"a", b"b c")
_NUMBERS: Final = (0.25, 1.0)
"""Of two rows; as whole numbers 0 and 1, which are in range for most things that are counted."""


def made_up(signature: Signature, rows: int, size: int) -> dict[str, Array]:
    """Make inputs of zeros and empty texts, of so many rows and with this size where any is allowed."""
    return {name: _filled(spec, rows, size, b"", 0.0) for name, spec in signature.inputs.items()}


def rows_are_independent(model: Model, signature: str, size: int) -> bool:
    """Tell whether two rows get the same answers together as each by itself.

    A model that looks at all rows at once, as to scale them by their largest, must not see those of another request.
    What refuses made-up rows is taken at its signature's word.
    """
    inputs = model.signatures[signature].inputs
    first, second = (
        {name: _filled(spec, 1, size, text, number) for name, spec in inputs.items()}
        for text, number in zip(_TEXTS, _NUMBERS, strict=True)
    )
    try:
        apart = [model.predict(signature, row) for row in (first, second)]
        joint = model.predict(signature, {name: np.concatenate([first[name], second[name]]) for name in first})
    except RequestError:
        return True
    return all(_same(joint[name], [answer[name] for answer in apart]) for name in joint)


def _same(joint: Array, apart: list[Array]) -> bool:
    expected = np.concatenate(apart) if all(array.ndim for array in apart) else np.array([])
    if joint.shape != expected.shape:
        return False
    if joint.dtype.kind in "fc":
        return bool(np.allclose(joint, expected, _RELATIVE, _ABSOLUTE, equal_nan=True))
    return bool(np.array_equal(joint, expected))


def _filled(spec: TensorSpec, rows: int, size: int, text: bytes, number: float) -> Array:
    wanted = (None,) if spec.shape is None else spec.shape
    shape = [(size if place else rows) if dimension is None else dimension for place, dimension in enumerate(wanted)]
    if spec.dtype == STRING:
        return np.full(shape, text, dtype=object)
    return np.full(shape, number).astype(NUMPY_TYPES[spec.dtype])
