"""What a model takes and gives, in words that need no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from model_server.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Array = npt.NDArray[np.generic]

DEFAULT_SIGNATURE: Final = "serving_default"
PREDICT_METHOD: Final = "tensorflow/serving/predict"
"""TensorFlow's name for what a signature is for; the others end in classify and regress."""
NUMPY_TYPES: Final = {
    "DT_FLOAT": np.float32,
    "DT_DOUBLE": np.float64,
    "DT_HALF": np.float16,
    "DT_BFLOAT16": np.float32,  # NumPy has none: the engine narrows it, and widens outputs.
    "DT_INT8": np.int8,
    "DT_INT16": np.int16,
    "DT_INT32": np.int32,
    "DT_INT64": np.int64,
    "DT_UINT8": np.uint8,
    "DT_UINT16": np.uint16,
    "DT_UINT32": np.uint32,
    "DT_UINT64": np.uint64,
    "DT_BOOL": np.bool_,
}
STRING: Final = "DT_STRING"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output. `dtype` is TensorFlow's name (DT_FLOAT); a dimension of unknown size is None."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    """None when not even the number of dimensions is known."""
    tensor: str = ""
    """Its name in the model's graph, which TensorFlow Serving's clients may ask for."""

    def shape_text(self) -> str:
        """Write the shape as users do: `(?, 28, 28)`."""
        if self.shape is None:
            return "(unknown)"
        return "(" + ", ".join("?" if size is None else str(size) for size in self.shape) + ")"


@dataclass(frozen=True, slots=True)
class Signature:
    """A function of the model that can be called: its inputs and outputs by name."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    method: str = PREDICT_METHOD


def check_fits(array: Array, spec: TensorSpec) -> None:
    """Hold an input to the shape that the signature gives it. Raises `InvalidArgument`.

    What should be (n, 1) may be (n,), and goes to the model as it is: TensorFlow Serving does so, and many models have
    been asked in that way. Such a question is not `is_regular`.
    """
    check_shape(array.shape, spec)


def check_shape(shape: tuple[int, ...], spec: TensorSpec) -> None:
    """Do the same before there is an array."""
    if spec.shape is None or _fits(shape, spec.shape):
        return
    if len(spec.shape) == 2 and spec.shape[1] == 1 and _fits(shape, spec.shape[:1]):
        return
    raise InvalidArgument(
        f"input {spec.name!r} has the shape {shape}, but the model takes {spec.shape_text()}, "
        "the first dimension being that of the instances"
    )


def is_regular(inputs: Mapping[str, Array], signature: Signature) -> bool:
    """Tell whether all inputs have as many dimensions as the signature says, and it says so of all.

    Only such inputs may be put behind those of another request: the rows of others may be no rows at all.
    """
    for name, spec in signature.inputs.items():
        if spec.shape is None or inputs[name].ndim != len(spec.shape):
            return False
    return True


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    if len(shape) != len(wanted):
        return False
    for size, want in zip(shape, wanted, strict=True):  # noqa: SIM110  # Each request comes by here: `all` is slower.
        if want is not None and want != size:
            return False
    return True


class Model(Protocol):
    """A loaded model. `predict` blocks and may be called from several threads at once."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The functions by name; `serving_default` is the one that is called when none is named."""

    @property
    def batchable(self) -> frozenset[str]:
        """The signatures whose rows may be put together with those of other requests."""

    @property
    def quick(self) -> Mapping[str, int]:
        """How many rows each signature answers in less time than to wake a thread; absent: none."""

    def predict(self, signature_name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Call one signature. Raises `RequestError` when the model refuses the inputs."""

    def close(self) -> None:
        """Give its memory back. No call may be under way."""
