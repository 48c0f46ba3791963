"""The Open Inference Protocol, version 2, over gRPC: requests to questions, answers to responses. Pure.

The elements of inputs come in `contents`, in the field of their type, or packed in `raw_input_contents`, as the clients
of Triton send them; outputs go back in the same way. What the parameters mean is the same as over HTTP.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_server.dataplane.question import Question
from model_server.errors import InvalidArgument
from model_server.protocols.limits import check_inputs
from model_server.protocols.open_inference_pb2 import ModelInferResponse, ModelMetadataResponse
from model_server.protocols.open_inference_rest import PLATFORM, read_timeout
from model_server.protocols.open_inference_tensors import (
    DATATYPES,
    count_of,
    datatype,
    has_name,
    pack,
    unpack,
    variable_shape,
)
from model_server.protocols.packed import pack_numbers, unpack_numbers
from model_server.protocols.signatures import find_signature
from model_server.protocols.usual_messages import gap
from model_server.tensors import DEFAULT_SIGNATURE, NUMPY_TYPES, STRING, check_fits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_server.dataplane.question import Answer
    from model_server.dataplane.servable import Servable
    from model_server.tensors import Array, Signature, TensorSpec

_FIELDS: Final = {
    "DT_BOOL": "bool_contents",
    "DT_INT8": "int_contents",
    "DT_INT16": "int_contents",
    "DT_INT32": "int_contents",
    "DT_INT64": "int64_contents",
    "DT_UINT8": "uint_contents",
    "DT_UINT16": "uint_contents",
    "DT_UINT32": "uint_contents",
    "DT_UINT64": "uint64_contents",
    "DT_FLOAT": "fp32_contents",
    "DT_DOUBLE": "fp64_contents",
    STRING: "bytes_contents",
}
"""There is none for FP16 and BF16: these are packed."""
_SHORT: Final = 64
"""Characters of a request's id, which may be another in each."""


def read_version(text: str) -> int | None:
    """Read the version of a model; none is the newest. Raises `InvalidArgument`."""
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 20:
        return int(text)
    raise InvalidArgument(f"a version is a whole number, not {text[:40]!r}")


def read_infer(request: Any, servable: Servable, deadline: float | None = None, now: float = 0.0) -> Question:
    """Understand a ModelInferRequest; `now` is `time.monotonic()`. Raises `InvalidArgument`."""
    parameters = {name: _parameter(value) for name, value in request.parameters.items()}
    name, signature = find_signature(parameters, servable.signatures)
    timeout = read_timeout(parameters)
    if timeout is not None:
        deadline = now + timeout if deadline is None else min(deadline, now + timeout)
    raw: Sequence[bytes] = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidArgument(f"there are {len(request.inputs)} inputs, but {len(raw)} raw_input_contents")
    inputs: dict[str, Array] = {}
    for number, tensor in enumerate(request.inputs):
        spec = signature.inputs.get(tensor.name)
        if spec is None or spec.name in inputs:
            raise InvalidArgument(
                f"there is {'no' if spec is None else 'already an'} input {tensor.name!r}; the model's inputs are "
                f"{', '.join(signature.inputs)}"
            )
        inputs[spec.name] = _input(tensor, spec, raw[number] if raw else None)
    missing = [key for key in signature.inputs if key not in inputs]
    if missing:
        raise InvalidArgument(f"'inputs' lacks {', '.join(missing)}")
    inputs = {key: inputs[key] for key in signature.inputs}  # In one order: rows of requests go together by it.
    check_inputs(inputs, signature)
    return Question(name, inputs, _outputs(request.outputs, signature), deadline, parameters)


def _parameter(value: Any) -> object:
    choice = value.WhichOneof("parameter_choice")
    return None if choice is None else getattr(value, choice)


def _input(tensor: Any, spec: TensorSpec, raw: bytes | None) -> Array:
    if tensor.datatype != datatype(spec) or not has_name(spec):
        raise InvalidArgument(
            f"input {spec.name!r} has the datatype {tensor.datatype!r}, but the model takes {datatype(spec)}"
        )
    if raw is not None:
        if tensor.HasField("contents"):
            raise InvalidArgument(f"input {spec.name!r} has contents beside raw_input_contents")
        shape = tuple(tensor.shape)
        packed = unpack_numbers(raw, spec.dtype, shape)
        array = unpack(raw, spec, shape) if packed is None else packed
    else:
        array = _listed(tensor, spec)
    check_fits(array, spec)
    return array


def _listed(tensor: Any, spec: TensorSpec) -> Array:
    field, shape = _FIELDS.get(spec.dtype), tuple(tensor.shape)
    if field is None:
        raise InvalidArgument(f"input {spec.name!r} is {datatype(spec)}, which only raw_input_contents can carry")
    count, values = count_of(shape, spec), getattr(tensor.contents, field)
    if len(values) != count:
        raise InvalidArgument(
            f"input {spec.name!r} has {len(values)} {field}, but the shape {list(shape)} has {count} elements"
        )
    if spec.dtype == STRING:
        texts = np.empty(count, dtype=object)
        texts[:] = list(values)
        return texts.reshape(shape)
    wanted = np.dtype(NUMPY_TYPES[spec.dtype])
    if field not in {"int_contents", "uint_contents"}:
        return np.fromiter(values, wanted, count).reshape(shape)
    wide = np.fromiter(values, np.int64, count)
    narrow: Array = wide.astype(wanted)
    if not np.array_equal(narrow, wide):
        raise InvalidArgument(f"input {spec.name!r} has values beyond {datatype(spec)}")
    return narrow.reshape(shape)


def _outputs(listed: Sequence[Any], signature: Signature) -> tuple[str, ...]:
    if not listed:
        return ()
    names = [output.name for output in listed]
    for name in names:
        if name not in signature.outputs:
            raise InvalidArgument(f"there is no output {name!r}; the model's are {', '.join(signature.outputs)}")
    if len(set(names)) < len(names):
        raise InvalidArgument("an output is asked for twice")
    return tuple(names)


def numbers_of(request: Any) -> bytes:
    """Return the packed numbers of the one tensor of a ModelInferRequest; empty if it has others."""
    raw: Sequence[bytes] = request.raw_input_contents
    return raw[0] if len(raw) == 1 else b""


def write_infer(identity: str, question: Question, answer: Answer, servable: Servable, *, packed: bool) -> bytes:
    """Write a ModelInferResponse, `packed` as the request was. Raises `InvalidArgument` if there is no such type."""
    if packed and len(answer.outputs) == 1 and answer.prediction_id:
        ((name, array),) = answer.outputs.items()
        dtype = servable.signatures[question.signature].outputs[name].dtype
        numbers = pack_numbers(array, dtype)
        if numbers and len(identity) <= _SHORT:
            first, between, last = _around(
                (servable.model, servable.version, servable.revision, identity, answer.audited),
                (name, DATATYPES[dtype], array.shape),
                (len(answer.prediction_id), len(numbers)),
            )
            return b"".join((first, answer.prediction_id.encode(), between, numbers, last))
    return _write_infer(identity, question, answer, servable, packed=packed)


@lru_cache(256)
def _around(
    about: tuple[str, int, str, str, bool], output: tuple[str, str, tuple[int, ...]], sizes: tuple[int, int]
) -> tuple[bytes, bytes, bytes]:
    """Write all but the prediction's id and the numbers of a response with one output."""
    model, version, revision, identity, audited = about
    token, numbers = sizes

    def text(letter: str, filler: bytes) -> bytes:
        response = _begun(model, version, revision, identity, letter * token, audited=audited)
        response.outputs.add(name=output[0], datatype=output[1], shape=output[2])
        response.raw_output_contents.append(filler * numbers)
        return _bytes(response)

    first, rest = gap(text("a", b"\x00"), text("b", b"\x00"), token)
    _, last = gap(text("a", b"\x00"), text("a", b"\xff"), numbers)
    return first, rest[: len(rest) - numbers - len(last)], last


def _begun(model: str, version: int, revision: str, identity: str, token: str | None, *, audited: bool) -> Any:
    response = ModelInferResponse(model_name=model, model_version=str(version), id=identity)
    response.parameters["revision"].string_param = revision
    if token is not None:
        response.parameters["prediction_id"].string_param = token
    if audited:
        response.parameters["prediction_audit"].bool_param = True
    return response


def _write_infer(identity: str, question: Question, answer: Answer, servable: Servable, *, packed: bool) -> bytes:
    token = answer.prediction_id
    response = _begun(servable.model, servable.version, servable.revision, identity, token, audited=answer.audited)
    specs = servable.signatures[question.signature].outputs
    names = question.outputs or tuple(specs)
    packed = packed or any(specs[name].dtype not in _FIELDS for name in names)
    for name in names:
        array, spec = answer.outputs[name], specs[name]
        if not has_name(spec):
            raise InvalidArgument(f"the output {name!r} is {spec.dtype}, which this protocol cannot carry")
        output = response.outputs.add(name=name, datatype=datatype(spec), shape=array.shape)
        if packed:
            response.raw_output_contents.append(pack_numbers(array, spec.dtype) or pack(array, spec.dtype))
        else:
            getattr(output.contents, _FIELDS[spec.dtype]).extend(array.reshape(-1).tolist())
    return _bytes(response)


def write_metadata(servable: Servable, versions: Sequence[int]) -> bytes:
    """Write a ModelMetadataResponse: the inputs and outputs of the default signature."""
    response = ModelMetadataResponse(
        name=servable.model, versions=[str(version) for version in versions], platform=PLATFORM
    )
    signature = servable.signatures[DEFAULT_SIGNATURE]
    _describe(signature.inputs, response.inputs)
    _describe(signature.outputs, response.outputs)
    return _bytes(response)


def _bytes(message: Any) -> bytes:
    text: bytes = message.SerializeToString(deterministic=True)
    return text


def _describe(specs: Mapping[str, TensorSpec], listed: Any) -> None:
    for spec in specs.values():
        listed.add(name=spec.name, datatype=datatype(spec), shape=variable_shape(spec))
