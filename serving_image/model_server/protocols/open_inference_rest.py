"""The Open Inference Protocol, version 2, over HTTP, with its extension for binary tensors. Pure.

A request is JSON, `{"id": …, "parameters": {…}, "inputs": [{"name", "shape", "datatype", "data"}], "outputs": […]}`.
An input whose `parameters` have `binary_data_size` has no `data`: that many bytes follow the JSON, whose own length is
in the header Inference-Header-Content-Length. Outputs come in the same way if the request asks for it, for all of them
by the parameter `binary_data_output`, for one by its own `binary_data`.

This server's own: the parameter `signature_name` chooses the signature; `timeout`, in microseconds as Triton has it,
ends the waiting; the parameters of an answer have `prediction_id`, `prediction_audit` and `revision`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from model_server import wire
from model_server.dataplane.question import Question
from model_server.errors import InvalidArgument
from model_server.protocols.json_tensors import from_json, has_truth_values, pack_numbers
from model_server.protocols.limits import check_inputs
from model_server.protocols.open_inference_tensors import (
    DATATYPES,
    count_of,
    datatype,
    has_name,
    pack,
    unpack,
    variable_shape,
)
from model_server.protocols.signatures import find_signature, request_parameters
from model_server.protocols.usual_messages import gap
from model_server.tensors import DEFAULT_SIGNATURE, STRING, TensorSpec, check_fits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from model_server.dataplane.question import Answer
    from model_server.tensors import Array, Signature

JSON_LENGTH_HEADER: Final = "Inference-Header-Content-Length"
BINARY: Final = "application/octet-stream"
EXTENSIONS: Final = ("binary_tensor_data",)
PLATFORM: Final = "tensorflow_savedmodel"
_USUAL: Final = DATATYPES.keys() - {STRING}
_MAX_TIMEOUT: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request, ready for the model."""

    id: str | None
    signature: str
    inputs: dict[str, Array]
    outputs: tuple[str, ...]
    """Those that are asked for, in that order."""
    binary: frozenset[str]
    """Those of them that are to follow the JSON."""
    timeout: float | None
    """Seconds that the client waits."""
    parameters: dict[str, Any] = field(default_factory=dict)

    def question(self, now: float) -> Question:
        """Put it as every protocol does; `now` is `time.monotonic()`."""
        deadline = None if self.timeout is None else now + self.timeout
        return Question(self.signature, self.inputs, self.outputs, deadline, self.parameters)


def read_infer(body: bytes, json_length: str | None, signatures: Mapping[str, Signature]) -> InferRequest:
    """Understand a request; `json_length` is the value of `JSON_LENGTH_HEADER`. Raises `InvalidArgument`."""
    text, rest = _split(body, json_length)
    request = wire.load(text)
    if not isinstance(request, dict):
        raise InvalidArgument('the body is a JSON object, as {"inputs": [...]}')
    parameters = request_parameters(request)
    name, signature = find_signature(parameters, signatures)
    inputs = _inputs(request.get("inputs"), signature, rest, truth=has_truth_values(text))
    check_inputs(inputs, signature)
    outputs, binary = _outputs(request.get("outputs"), signature, parameters)
    return InferRequest(_id(request), name, inputs, outputs, binary, read_timeout(parameters), parameters)


def _split(body: bytes, json_length: str | None) -> tuple[bytes, memoryview]:
    if json_length is None:
        return body, memoryview(b"")
    length = int(json_length) if json_length.isascii() and json_length.isdecimal() and len(json_length) < 19 else -1
    if not 0 < length <= len(body):
        raise InvalidArgument(
            f"{JSON_LENGTH_HEADER} is {json_length!r}, but the body has {len(body)} bytes, JSON and tensors together"
        )
    return body[:length], memoryview(body)[length:]


def _id(request: Mapping[str, Any]) -> str | None:
    identity = request.get("id")
    if identity is None or isinstance(identity, str):
        return identity
    raise InvalidArgument("'id' is a text")


def read_timeout(parameters: Mapping[str, Any]) -> float | None:
    """Read how many seconds the client waits; None: it does not say. Raises `InvalidArgument`."""
    timeout = parameters.get("timeout")
    if timeout is None or timeout == 0:
        return None
    if not isinstance(timeout, int) or isinstance(timeout, bool) or not 0 < timeout <= _MAX_TIMEOUT:
        raise InvalidArgument(f"the parameter 'timeout' is a whole number of microseconds, up to {_MAX_TIMEOUT}")
    return timeout / 1e6


def _inputs(listed: Any, signature: Signature, rest: memoryview, *, truth: bool) -> dict[str, Array]:
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise InvalidArgument("'inputs' is a list of objects with name, shape, datatype and data")
    inputs: dict[str, Array] = {}
    for document in listed:
        name = document.get("name")
        spec = signature.inputs.get(name) if isinstance(name, str) else None
        if spec is None or spec.name in inputs:
            raise InvalidArgument(
                f"there is {'no' if spec is None else 'already an'} input {name!r}; the model's inputs are "
                f"{', '.join(signature.inputs)}"
            )
        inputs[spec.name], rest = _input(document, spec, rest, truth=truth)
    missing = [name for name in signature.inputs if name not in inputs]
    if missing:
        raise InvalidArgument(f"'inputs' lacks {', '.join(missing)}")
    if len(rest):
        raise InvalidArgument(f"{len(rest)} bytes after the JSON belong to no input: is binary_data_size missing?")
    return {name: inputs[name] for name in signature.inputs}  # In one order: rows of requests go together by it.


def _input(document: Mapping[str, Any], spec: TensorSpec, rest: memoryview, *, truth: bool) -> tuple[Array, memoryview]:
    if document.get("datatype") != datatype(spec) or not has_name(spec):
        raise InvalidArgument(
            f"input {spec.name!r} has the datatype {document.get('datatype')!r}, but the model takes {datatype(spec)}"
        )
    shape = document.get("shape")
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise InvalidArgument(f"input {spec.name!r} has no 'shape', a list of whole numbers")
    size = _parameters(document, spec.name).get("binary_data_size")
    if size is None:
        array = _from_data(document, spec, shape, truth=truth)
    else:
        if "data" in document or type(size) is not int or not 0 <= size <= len(rest):
            raise InvalidArgument(
                f"input {spec.name!r} has either 'data' or 'binary_data_size', the number of its bytes after the JSON, "
                f"of which {len(rest)} are left"
            )
        array, rest = unpack(rest[:size], spec, shape), rest[size:]
    check_fits(array, spec)
    return array, rest


def _from_data(document: Mapping[str, Any], spec: TensorSpec, shape: list[int], *, truth: bool) -> Array:
    """Read `data`: flat in the order of rows, or nested in any way that has as many values."""
    if "data" not in document:
        raise InvalidArgument(f"input {spec.name!r} has no 'data'")
    count = count_of(shape, spec)
    flat = document["data"] if isinstance(document["data"], list) else [document["data"]]
    if len(flat) == count and not truth:
        packed = pack_numbers(flat, spec.dtype, tuple(shape))
        if packed is not None:
            return packed
    while any(type(each) is list for each in flat):
        if not all(type(each) is list for each in flat):
            raise InvalidArgument(f"input {spec.name!r} has lists beside other values in its 'data'")
        flat = list(chain.from_iterable(flat))
    if len(flat) != count:
        raise InvalidArgument(f"input {spec.name!r} has {len(flat)} values, but the shape {shape} has {count}")
    return from_json(flat, TensorSpec(spec.name, spec.dtype, (None,)), truth=truth).reshape(shape)


def _parameters(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    parameters = document.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidArgument(f"the parameters of {name!r} are a JSON object")
    for unknown in ("shared_memory_region", "classification"):
        if parameters.get(unknown):
            raise InvalidArgument(f"{name!r} has the parameter {unknown}: this server has no such extension")
    return parameters


def _outputs(
    listed: Any, signature: Signature, parameters: Mapping[str, Any]
) -> tuple[tuple[str, ...], frozenset[str]]:
    all_binary = parameters.get("binary_data_output") is True
    if listed is None or listed == []:
        return (), frozenset(signature.outputs if all_binary else ())
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise InvalidArgument("'outputs' is a list of objects with a name")
    names: list[str] = []
    binary = set()
    for document in listed:
        name = document.get("name")
        if not isinstance(name, str) or name not in signature.outputs:
            raise InvalidArgument(f"there is no output {name!r}; the model's are {', '.join(signature.outputs)}")
        if name in names:
            raise InvalidArgument(f"the output {name!r} is asked for twice")
        names.append(name)
        if _parameters(document, name).get("binary_data", all_binary) is True:
            binary.add(name)
    return tuple(names), frozenset(binary)


@dataclass(frozen=True, slots=True)
class InferResponse:
    """An answer as it goes over the wire."""

    body: bytes
    json_length: int | None
    """If tensors follow the JSON: what `JSON_LENGTH_HEADER` says, and the content type is `BINARY`."""


def write_infer(
    request: InferRequest, answer: Answer, *, model: str, version: int, revision: str, signature: Signature
) -> InferResponse:
    """Write an answer. Raises `InvalidArgument` if JSON cannot carry what was asked for."""
    if len(answer.outputs) == 1 and answer.prediction_id is not None and request.id is None:
        ((name, array),) = answer.outputs.items()
        if signature.outputs[name].dtype in _USUAL:
            return _write_usual(
                (model, version, revision), name, array, answer, signature.outputs[name], request.binary
            )
    return _write_infer(request, answer, model=model, version=version, revision=revision, signature=signature)


def _write_usual(
    servable: tuple[str, int, str], name: str, array: Array, answer: Answer, spec: TensorSpec, binary: frozenset[str]
) -> InferResponse:
    """Write an answer with one output of numbers: only these, and the id, are not as in others."""
    token = (answer.prediction_id or "").encode()
    if name in binary:
        numbers = pack(array, spec.dtype)
        before, after, _ = _around(servable, answer.audited, (name, datatype(spec), array.shape), len(numbers))
        return InferResponse(b"".join((before, token, after, numbers)), len(before) + len(token) + len(after))
    before, after, end = _around(servable, answer.audited, (name, datatype(spec), array.shape), None)
    numbers = wire.dump_arrays(np.ascontiguousarray(array).reshape(-1), (array,))
    return InferResponse(b"".join((before, token, after, numbers, end)), None)


@lru_cache(256)
def _around(
    servable: tuple[str, int, str], audited: bool, output: tuple[str, str, tuple[int, ...]], size: int | None
) -> tuple[bytes, bytes, bytes]:
    """Write what stands around the id and the numbers. `size`: of the numbers, if they follow the JSON."""
    model, version, revision = servable
    named = {"name": output[0], "datatype": output[1], "shape": output[2]}
    numbers: dict[str, Any] = {"data": []} if size is None else {"parameters": {"binary_data_size": size}}
    texts = []
    for token in "ab":
        parameters: dict[str, Any] = {"revision": revision, "prediction_id": token}
        if audited:
            parameters["prediction_audit"] = True
        about = {"model_name": model, "model_version": str(version), "parameters": parameters}
        texts.append(wire.dump(about | {"outputs": [named | numbers]}))
    before, rest = gap(texts[0], texts[1], 1)
    if size is not None:
        return before, rest, b""
    after, _, end = rest.rpartition(b"[]")
    return before, after, end


def _write_infer(
    request: InferRequest, answer: Answer, *, model: str, version: int, revision: str, signature: Signature
) -> InferResponse:
    parameters: dict[str, Any] = {"revision": revision}
    if answer.prediction_id is not None:
        parameters["prediction_id"] = answer.prediction_id
    if answer.audited:
        parameters["prediction_audit"] = True
    names = request.outputs or tuple(signature.outputs)
    tensors: list[bytes] = []
    outputs = []
    for name in names:
        array, spec = answer.outputs[name], signature.outputs[name]
        if not has_name(spec):
            raise InvalidArgument(f"the output {name!r} is {spec.dtype}, which this protocol cannot carry")
        output: dict[str, Any] = {"name": name, "datatype": datatype(spec), "shape": list(array.shape)}
        if name in request.binary:
            tensors.append(pack(array, spec.dtype))
            output["parameters"] = {"binary_data_size": len(tensors[-1])}
        else:
            output["data"] = _texts(name, array) if spec.dtype == STRING else np.ascontiguousarray(array).reshape(-1)
        outputs.append(output)
    document: dict[str, Any] = {"model_name": model, "model_version": str(version)}
    if request.id is not None:
        document["id"] = request.id
    document |= {"parameters": parameters, "outputs": outputs}
    text = wire.dump_arrays(document, [answer.outputs[name] for name in names if name not in request.binary])
    return InferResponse(b"".join((text, *tensors)), len(text)) if tensors else InferResponse(text, None)


def _texts(name: str, array: Array) -> list[str]:
    try:
        return [value.decode() for value in array.reshape(-1).tolist()]
    except UnicodeDecodeError:
        raise InvalidArgument(
            f"the output {name!r} holds bytes that are no UTF-8, which JSON cannot carry: ask for it with the "
            "parameter binary_data"
        ) from None


def write_server(name: str, version: str) -> bytes:
    """Write what this server is."""
    return wire.dump({"name": name, "version": version, "extensions": EXTENSIONS})


def write_model(model: str, versions: Iterable[int], signatures: Mapping[str, Signature]) -> bytes:
    """Write the inputs and outputs of the default signature."""
    signature = signatures[DEFAULT_SIGNATURE]
    return wire.dump(
        {
            "name": model,
            "versions": [str(version) for version in versions],
            "platform": PLATFORM,
            "inputs": _described(signature.inputs.values()),
            "outputs": _described(signature.outputs.values()),
        }
    )


def _described(specs: Iterable[TensorSpec]) -> Sequence[dict[str, Any]]:
    return [{"name": spec.name, "datatype": datatype(spec), "shape": variable_shape(spec)} for spec in specs]


def write_live(*, live: bool) -> bytes:
    """Write whether the server runs."""
    return wire.dump({"live": live})


def write_ready(*, ready: bool, model: str | None = None) -> bytes:
    """Write whether the server, or a model of it, can be asked."""
    return wire.dump({"ready": ready} if model is None else {"name": model, "ready": ready})
