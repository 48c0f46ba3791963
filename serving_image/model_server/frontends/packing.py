"""Questions, answers and what they are made of as plain tuples, which go from one process to another. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_server import errors
from model_server.contract import FeedbackRejection
from model_server.dataplane.question import Answer, Question
from model_server.errors import LabelRejected, RequestError
from model_server.feedback import Label
from model_server.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_server.feedback import Result
    from model_server.tensors import Array

    Packed = tuple[Any, ...]

_ERRORS: Final = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.RequestError)
}


def pack_question(question: Question) -> Packed:
    """Write a question."""
    return (
        question.signature,
        _pack_arrays(question.inputs),
        question.outputs,
        question.deadline,
        dict(question.parameters),
    )


def unpack_question(packed: Packed) -> Question:
    """Read one. The clock of its deadline is the machine's."""
    signature, inputs, outputs, deadline, parameters = packed
    return Question(signature, _unpack_arrays(inputs), outputs, deadline, parameters)


def pack_answer(answer: Answer) -> Packed:
    """Write an answer."""
    return _pack_arrays(answer.outputs), answer.rows, answer.prediction_id, answer.audited


def unpack_answer(packed: Packed) -> Answer:
    """Read one."""
    outputs, rows, prediction_id, audited = packed
    return Answer(_unpack_arrays(outputs), rows, prediction_id, audited)


def pack_error(error: RequestError) -> Packed:
    """Write why there is none."""
    return type(error).__name__, str(error)


def unpack_error(packed: Packed) -> RequestError:
    """Read that."""
    name, text = packed
    return _ERRORS.get(name, RequestError)(text)


def pack_signatures(signatures: Mapping[str, Signature]) -> Packed:
    """Write what can be called."""
    return tuple(
        (name, _pack_specs(signature.inputs), _pack_specs(signature.outputs), signature.method)
        for name, signature in signatures.items()
    )


def unpack_signatures(packed: Packed) -> dict[str, Signature]:
    """Read it."""
    return {
        name: Signature(_unpack_specs(inputs), _unpack_specs(outputs), method)
        for name, inputs, outputs, method in packed
    }


def pack_labels(labels: Sequence[Label]) -> Packed:
    """Write labels, whatever they are: nothing in them is checked yet."""
    return tuple(map(tuple, labels))


def unpack_labels(packed: Packed) -> list[Label]:
    """Read them."""
    return [Label(*one) for one in packed]


def pack_results(results: Sequence[Result]) -> Packed:
    """Write what became of labels."""
    return tuple(None if result is None else (str(result.reason), result.message) for result in results)


def unpack_results(packed: Packed) -> list[Result]:
    """Read it."""
    return [None if one is None else LabelRejected(FeedbackRejection(one[0]), one[1]) for one in packed]


def _pack_arrays(arrays: Mapping[str, Array]) -> Packed:
    return tuple(
        (name, None, array.shape, array.reshape(-1).tolist())
        if array.dtype.hasobject
        else (name, array.dtype.str, array.shape, array.tobytes())
        for name, array in arrays.items()
    )


def _unpack_arrays(packed: Packed) -> dict[str, Array]:
    return {
        name: _texts(shape, content) if dtype is None else np.ndarray(shape, dtype, content)
        for name, dtype, shape, content in packed
    }


def _texts(shape: tuple[int, ...], content: list[bytes]) -> Array:
    array = np.empty(len(content), dtype=object)
    array[:] = content
    return array.reshape(shape)


def _pack_specs(specs: Mapping[str, TensorSpec]) -> Packed:
    return tuple((name, spec.name, spec.dtype, spec.shape, spec.tensor) for name, spec in specs.items())


def _unpack_specs(packed: Packed) -> dict[str, TensorSpec]:
    return {name: TensorSpec(*spec) for name, *spec in packed}
