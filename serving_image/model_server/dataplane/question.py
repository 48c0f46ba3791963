"""A request once its protocol is taken off, and the answer before one is put on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.tensors import Array


_NONE: Final[Mapping[str, object]] = {}


class Question(NamedTuple):
    """What one request asks of a model."""

    signature: str
    inputs: Mapping[str, Array]
    """All inputs of the signature by name: numbers in the type that `tensors.NUMPY_TYPES` gives, texts and other bytes
    as an object array of `bytes`. Whoever reads a protocol has held them to the signature (`tensors.check_fits`)."""
    outputs: tuple[str, ...] = ()
    """Those that are wanted; empty: all."""
    deadline: float | None = None
    """`time.monotonic()` after which nobody waits for the answer any more."""
    parameters: Mapping[str, object] = _NONE
    """What the request says besides its inputs. Labels may be told apart by it (`contract.Env.SLICE_FIELD`)."""


class Answer(NamedTuple):
    """What the model said."""

    outputs: Mapping[str, Array]
    rows: int
    """Instances of the request: the first dimension of the outputs, or 1."""
    prediction_id: str | None
    """The token of this request, or None where labels could not be compared with the outputs."""
    audited: bool = False
    """Whether it was picked at random, so that its truth should be found out (`contract.AUDIT_HEADER`)."""
