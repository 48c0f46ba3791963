"""What a model takes and gives, in words that need no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.generic]

DEFAULT_SIGNATURE: Final = "serving_default"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output. `dtype` is TensorFlow's name (DT_FLOAT); a dimension of unknown size is None."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    """None when not even the number of dimensions is known."""

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


class Model(Protocol):
    """A loaded model. `predict` blocks and may be called from several threads at once."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The functions by name; `serving_default` is the one that is called when none is named."""

    def predict(self, signature_name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Call one signature. Raises `RequestError` when the model refuses the inputs."""
