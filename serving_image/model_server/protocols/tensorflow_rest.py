"""TensorFlow Serving's REST API, version 1: requests and answers. Pure.

POST /v1/models/M[/versions/N|/labels/L]:predict    `{"instances": […]}` → `{"predictions": […]}` (by rows), or
                                                    `{"inputs": …}` → `{"outputs": …}` (by columns)
GET  /v1/models/M[/versions/N|/labels/L]            status
GET  /v1/models/M[/versions/N|/labels/L]/metadata   signatures
POST /v1/models/M[…]:classify, :regress             in `examples`
POST /v1/models/M/feedback                          this server's own, in `feedback_rest`: labels of predictions

Texts are JSON strings, binary values `{"b64": "…"}`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from model_server import wire
from model_server.dataplane.question import Question
from model_server.errors import BodyTooLarge, InvalidArgument
from model_server.protocols.json_tensors import from_json, has_truth_values, is_base64, to_json
from model_server.protocols.limits import MAX_INSTANCES, check_inputs
from model_server.protocols.signatures import find_signature, request_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from model_server.dataplane.servable import VersionStatus
    from model_server.tensors import Array, Signature, TensorSpec


class Method(StrEnum):
    """What a request asks for, over whatever protocol. The values are those of the metrics' label `method`."""

    PREDICT = "predict"
    COPY = "copy"
    """A prediction that another pod asked for, and whose answer no client sees."""
    STATUS = "status"
    METADATA = "metadata"
    FEEDBACK = "feedback"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """A request, ready for the model."""

    signature: str
    inputs: dict[str, Array]
    by_rows: bool
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def question(self) -> Question:
        """Put it as every protocol does."""
        return Question(self.signature, self.inputs, parameters=self.parameters)


def read_predict(body: bytes, signatures: Mapping[str, Signature]) -> PredictRequest:
    """Understand the body of a prediction. Raises `InvalidArgument` or `BodyTooLarge`."""
    request = wire.load(body)
    if not isinstance(request, dict):
        raise InvalidArgument('the body is a JSON object, as {"instances": [...]}')
    name, signature = find_signature(request, signatures)
    by_rows = "instances" in request
    if by_rows == ("inputs" in request):
        raise InvalidArgument("a request has either 'instances' (by rows) or 'inputs' (by columns)")
    columns = _rows(request["instances"], signature) if by_rows else _columns(request["inputs"], signature.inputs)
    truth = has_truth_values(body)
    inputs = {name: from_json(columns[name], spec, truth=truth) for name, spec in signature.inputs.items()}
    check_inputs(inputs, signature)
    return PredictRequest(name, inputs, by_rows, request_parameters(request))


def _columns(value: Any, specs: Mapping[str, TensorSpec]) -> Mapping[str, Any]:
    if not isinstance(value, dict) or is_base64(value):
        if len(specs) != 1:
            raise InvalidArgument(f"'inputs' is an object with the model's inputs: {', '.join(specs)}")
        return dict.fromkeys(specs, value)
    for name in specs:
        if name not in value:
            raise InvalidArgument(f"Missing named input: {name} in 'inputs' object; the inputs are {', '.join(specs)}")
    return value


def _rows(rows: Any, signature: Signature) -> Mapping[str, Any]:
    specs = signature.inputs
    if not isinstance(rows, list) or not rows:
        raise InvalidArgument("'instances' is a list with at least one element")
    if len(rows) > MAX_INSTANCES:
        raise BodyTooLarge(f"{len(rows)} instances are too many for one request: send at most {MAX_INSTANCES}")
    if not isinstance(rows[0], dict) or is_base64(rows[0]):
        if len(specs) != 1:
            raise InvalidArgument(f"each element of 'instances' is an object with the inputs: {', '.join(specs)}")
        return dict.fromkeys(specs, rows)
    names = specs.keys()
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InvalidArgument(f"the elements of 'instances' differ in form: number {number} is no object")
        if row.keys() != names:
            raise _wrong_names(row, specs, f"element {number} of 'instances'")
    return {name: [row[name] for row in rows] for name in specs}


def _wrong_names(given: Mapping[str, Any], specs: Mapping[str, TensorSpec], where: str) -> InvalidArgument:
    missing, unknown = [name for name in specs if name not in given], [name for name in given if name not in specs]
    wrong = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown {', '.join(unknown)}"] * bool(unknown)
    return InvalidArgument(f"{where} {' and '.join(wrong)}; the model's inputs are {', '.join(specs)}")


def write_predict(request: PredictRequest, outputs: Mapping[str, Array]) -> bytes:
    """Write the answer to a prediction. Raises `InvalidArgument` if rows were asked for and there are none."""
    columns = {name: to_json(name, array) for name, array in outputs.items()}
    if not request.by_rows:
        document = {"outputs": next(iter(columns.values())) if len(columns) == 1 else columns}
        return wire.dump_arrays(document, outputs.values())
    sizes = {array.shape[:1] for array in outputs.values()}
    if len(sizes) != 1 or () in sizes:
        raise InvalidArgument("the model's outputs are not rows: ask by columns, with 'inputs' instead of 'instances'")
    if len(columns) == 1:
        return wire.dump_arrays({"predictions": next(iter(columns.values()))}, outputs.values())
    (count,) = sizes.pop()
    rows = [{name: column[row] for name, column in columns.items()} for row in range(count)]
    return wire.dump_arrays({"predictions": rows}, outputs.values())


def write_status(statuses: Iterable[VersionStatus]) -> bytes:
    """Write the states of a model's versions. A remark on a healthy one stands where an error would."""
    return wire.dump(
        {
            "model_version_status": [
                {
                    "version": str(status.version),
                    "state": status.state,
                    "status": {
                        "error_code": "UNKNOWN" if status.error else "OK",
                        "error_message": status.error or status.remark,
                    },
                }
                for status in statuses
            ]
        }
    )


def write_metadata(model: str, version: str, signatures: Mapping[str, Signature]) -> bytes:
    """Write the signatures of a model, as protobuf writes TensorFlow's `SignatureDef`."""
    definitions = {
        name: {
            "inputs": {key: _tensor_info(spec) for key, spec in signature.inputs.items()},
            "outputs": {key: _tensor_info(spec) for key, spec in signature.outputs.items()},
            "method_name": signature.method,
            "defaults": {},
        }
        for name, signature in signatures.items()
    }
    spec = {"name": model, "signature_name": "", "version": version}
    return wire.dump({"model_spec": spec, "metadata": {"signature_def": {"signature_def": definitions}}})


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    sizes = [{"size": str(-1 if size is None else size), "name": ""} for size in spec.shape or ()]
    return {
        "dtype": spec.dtype,
        "tensor_shape": {"dim": sizes, "unknown_rank": spec.shape is None},
        "name": spec.tensor,
    }
