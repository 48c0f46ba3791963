"""Classification and regression, TensorFlow Serving's way: examples in, classes or values out. Pure.

    {"signature_name": "…", "context": {feature: value or list}, "examples": [{feature: value or list}, …]}

Each example is made a `tf.Example`: texts and `{"b64": "…"}` are bytes, numbers with a point floats of 32 bits, other
numbers, true and false are int64; a list is of one kind. The model takes them serialised, in its only input `inputs`,
and gives `classes` and `scores`, one of these, or `outputs`. The answer is `{"results": […]}`, as TensorFlow Serving's
code has it (its page says `result` in one place): pairs of label and score for each example, or one number for each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_server import wire
from model_server.dataplane.question import Question
from model_server.errors import BodyTooLarge, InvalidArgument, RequestError
from model_server.protocols.json_tensors import from_base64, is_base64
from model_server.protocols.limits import MAX_INSTANCES
from model_server.protocols.signatures import find_signature, request_parameters
from model_server.tensors import STRING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from model_server.tensors import Array, Signature

INPUT: Final = "inputs"
CLASSES: Final = "classes"
SCORES: Final = "scores"
VALUES: Final = "outputs"
MAX_CONTEXT_BYTES: Final = 64 * 2**20
"""Of the context, as often as there are examples: each of them gets it."""
_FLOAT_MAX: Final = float(np.finfo(np.float32).max)
_INT64: Final = range(-(2**63), 2**63)


class Task(StrEnum):
    """What is asked of the examples."""

    CLASSIFY = "classify"
    REGRESS = "regress"


@dataclass(frozen=True, slots=True)
class ExamplesRequest:
    """A request, ready for the model."""

    task: Task
    signature: str
    inputs: dict[str, Array]
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def question(self) -> Question:
        """Put it as every protocol does."""
        return Question(self.signature, self.inputs, parameters=self.parameters)


def read_examples(task: Task, body: bytes, signatures: Mapping[str, Signature]) -> ExamplesRequest:
    """Understand the body of a classification or regression. Raises `InvalidArgument` or `BodyTooLarge`."""
    request = wire.load(body)
    if not isinstance(request, dict):
        raise InvalidArgument('the body is a JSON object, as {"examples": [{...}]}')
    name, signature = find_signature(request, signatures)
    check_signature(task, name, signature)
    context = request.get("context", {})
    examples = request.get("examples")
    if not isinstance(examples, list) or not examples:
        raise InvalidArgument("'examples' is a list with at least one example")
    shared = _features(context, "'context'")
    check_context(len(serialize(shared)) if shared else 0, len(examples))
    serialized = (
        serialize({**shared, **_features(example, f"example {number}")}) for number, example in enumerate(examples)
    )
    return ExamplesRequest(task, name, examples_input(serialized, len(examples)), request_parameters(request))


def check_signature(task: Task, name: str, signature: Signature) -> None:
    """Refuse a signature that is for something else. Raises `InvalidArgument`."""
    wanted = {CLASSES, SCORES} if task is Task.CLASSIFY else {VALUES}
    if set(signature.inputs) != {INPUT} or not signature.outputs.keys() <= wanted:
        raise InvalidArgument(
            f"signature {name!r} is not for {task}: it would have the input {INPUT!r} and the outputs "
            f"{' and '.join(sorted(wanted))}, but it takes {', '.join(signature.inputs)} and gives "
            f"{', '.join(signature.outputs)}; name another in 'signature_name', or use predict"
        )
    if signature.inputs[INPUT].dtype != STRING:
        raise InvalidArgument(
            f"signature {name!r} takes {signature.inputs[INPUT].dtype} and no serialised tf.Example: use predict"
        )


def examples_input(serialized: Iterable[bytes], count: int) -> dict[str, Array]:
    """Make the model's input of so many serialised examples. Raises `InvalidArgument` or `BodyTooLarge`."""
    if not count:
        raise InvalidArgument("Input is empty.")
    if count > MAX_INSTANCES:
        raise BodyTooLarge(f"{count} examples are too many for one request: send at most {MAX_INSTANCES}")
    array = np.empty(count, dtype=object)
    for number, example in enumerate(serialized):
        array[number] = example
    return {INPUT: array}


def check_context(size: int, count: int) -> None:
    """Refuse a context of so many bytes for so many examples if that is too much. Raises `BodyTooLarge`."""
    if size * count > MAX_CONTEXT_BYTES:
        raise BodyTooLarge(
            f"{count} examples with their context are over {MAX_CONTEXT_BYTES // 2**20} MiB: send fewer at once"
        )


def _features(document: Any, where: str) -> dict[str, list[bytes] | list[float] | list[int]]:
    if not isinstance(document, dict):
        raise InvalidArgument(f"{where} is a JSON object: its features by name")
    return {name: _values(value, f"feature {name!r} of {where}") for name, value in document.items()}


def _values(value: Any, where: str) -> list[bytes] | list[float] | list[int]:
    values = [_value(each, where) for each in (value if isinstance(value, list) else [value])]
    kinds = {type(each) for each in values}
    if len(kinds) > 1:
        raise InvalidArgument(f"{where} mixes texts, whole numbers and numbers with a point: a feature is of one kind")
    return values  # type: ignore[return-value]  # Of one kind, as was just seen.


def _value(value: Any, where: str) -> bytes | float | int:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, int):
        if value in _INT64:
            return int(value)
        raise InvalidArgument(f"{where} holds a whole number beyond 64 bits")
    if isinstance(value, float):
        if not -_FLOAT_MAX <= value <= _FLOAT_MAX and np.isfinite(value):
            raise InvalidArgument(f"{where} holds a number beyond the range of 32 bits")
        return value
    if is_base64(value):
        return from_base64(value, where)
    raise InvalidArgument(f"{where} holds something that is neither text nor number")


def serialize(features: Mapping[str, Sequence[bytes] | Sequence[float] | Sequence[int]]) -> bytes:
    """Make a serialised `tf.Example`, of TensorFlow's messages, which `model_server.runtime` makes importable."""
    from tensorflow.core.example.example_pb2 import Example

    example = Example()
    for name, values in features.items():
        feature = example.features.feature[name]  # Made by being looked up, also where there are no values.
        if not values:
            continue
        if isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        elif isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    text: bytes = example.SerializeToString()
    return text


def classifications(outputs: Mapping[str, Array], rows: int) -> list[list[tuple[str, np.float32]]]:
    """Read label and score of each class for each example: "" or 0 where the model has none. Raises `RequestError`."""
    labels, scores = outputs.get(CLASSES), outputs.get(SCORES)
    for name, array in ((CLASSES, labels), (SCORES, scores)):
        if array is not None and (array.ndim != 2 or array.shape[0] != rows):
            raise RequestError(
                f"the output {name!r} has the shape {array.shape}: for {rows} examples it would be ({rows}, classes)"
            )
    if labels is not None and scores is not None and labels.shape != scores.shape:
        raise RequestError(f"the model gave {labels.shape[1]} classes, but {scores.shape[1]} scores")
    count = next(array.shape[1] for array in (labels, scores) if array is not None)
    texts = [[""] * count] * rows if labels is None else [[_text(label) for label in row] for row in labels.tolist()]
    numbers = np.zeros((rows, count), np.float32) if scores is None else scores.astype(np.float32)
    return [list(zip(*pair, strict=True)) for pair in zip(texts, numbers, strict=True)]


def _text(label: bytes) -> str:
    return label.decode("utf-8", "replace")


def regressions(outputs: Mapping[str, Array], rows: int) -> Array:
    """Read the value for each example, float32. Raises `RequestError`."""
    values = outputs[VALUES]
    if values.shape not in {(rows,), (rows, 1)} or values.dtype.kind != "f":
        raise RequestError(
            f"the output {VALUES!r} is {values.dtype} of the shape {values.shape}: for {rows} examples it would be "
            f"numbers of the shape ({rows},) or ({rows}, 1)"
        )
    return values.reshape(rows).astype(np.float32)


def write_results(request: ExamplesRequest, outputs: Mapping[str, Array]) -> bytes:
    """Write the answer. Raises `RequestError` if the model gave something else."""
    rows = len(request.inputs[INPUT])
    if request.task is Task.REGRESS:
        values = regressions(outputs, rows)
        return wire.dump_arrays({"results": values}, [values])
    scores = outputs.get(SCORES)
    return wire.dump_arrays({"results": classifications(outputs, rows)}, () if scores is None else (scores,))
