"""Limits of all protocols. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from model_server.errors import BodyTooLarge, InvalidArgument
from model_server.tensors import STRING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.tensors import Array, Signature, TensorSpec

MAX_INSTANCES: Final = 16_384
"""In one request: a model may take 30 KB of memory for each. They are not split, as a model may look at all at once."""


def check_inputs(inputs: Mapping[str, Array], signature: Signature) -> None:
    """Refuse inputs of too many instances, or that do not go together. Raises `BodyTooLarge` or `InvalidArgument`.

    One input alone may be (n,) in place of (n, 1) (`tensors.check_fits`); beside others its n rows would meet all rows
    of another.
    """
    for name, spec in signature.inputs.items():
        if len(inputs) > 1 and spec.shape is not None and inputs[name].ndim != len(spec.shape):
            raise InvalidArgument(
                f"input {name!r} has the shape {inputs[name].shape}, but the model takes {spec.shape_text()}"
            )
        rows = len(inputs[name]) if inputs[name].ndim else 1
        if rows > MAX_INSTANCES and not _is_signal(spec):
            raise BodyTooLarge(f"{rows} instances are too many for one request: send at most {MAX_INSTANCES}")


def _is_signal(spec: TensorSpec) -> bool:
    """Tell whether an input may be one sound or the like: a single row of numbers, or a shape that is fixed."""
    return spec.shape is not None and (spec.shape[:1] != (None,) or (len(spec.shape) == 1 and spec.dtype != STRING))
