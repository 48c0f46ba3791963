"""TensorFlow Serving's REST API, version 1: paths, requests and answers. Pure.

POST /v1/models/M[/versions/N|/labels/L]:predict    `{"instances": […]}` → `{"predictions": […]}` (by rows), or
                                                    `{"inputs": …}` → `{"outputs": …}` (by columns)
GET  /v1/models/M[/versions/N|/labels/L]            status
GET  /v1/models/M[/versions/N|/labels/L]/metadata   signatures
POST /v1/models/M/feedback                          this server's own: labels of predictions

Texts are JSON strings, binary values `{"b64": "…"}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from model_server import wire
from model_server.errors import BodyTooLarge, InvalidArgument, NotFound, Unimplemented
from model_server.protocols.json_tensors import from_json, to_json
from model_server.tensors import DEFAULT_SIGNATURE, STRING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.tensors import Array, Signature, TensorSpec

MAX_INSTANCES: Final = 16_384
"""In one request: a model may take 30 KB of memory for each. They are not split, as a model may look at all at once."""
_PATH = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(?:/versions/(?P<version>[0-9]{1,19})|/labels/(?P<label>[^/:]+))?"
    r"(?P<rest>|/metadata|/feedback|:[a-z]+)",
    re.ASCII,
)


class Method(StrEnum):
    """What a request asks for. The values are those of the metrics' label `method`."""

    PREDICT = "predict"
    STATUS = "status"
    METADATA = "metadata"
    FEEDBACK = "feedback"
    OTHER = "other"


_METHODS: Final = {
    ("POST", ":predict"): Method.PREDICT,
    ("GET", ""): Method.STATUS,
    ("GET", "/metadata"): Method.METADATA,
    ("POST", "/feedback"): Method.FEEDBACK,
}


_ENDS: Final = {method: end for (_, end), method in _METHODS.items()}


@dataclass(frozen=True, slots=True)
class Target:
    """What a path points at."""

    method: Method
    model: str
    version: str | None = None
    label: str | None = None

    @property
    def route(self) -> str:
        """The pattern of the path: the same for all models and versions."""
        versions = "/versions/{version}" if self.version else "/labels/{label}" if self.label else ""
        return f"/v1/models/{{model}}{versions}{_ENDS[self.method]}"


def read_path(verb: str, path: str) -> Target:
    """Understand a request line. Raises `RequestError`."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise NotFound(f"no such path: {path}. Predictions are asked for with POST /v1/models/MODEL:predict")
    rest = match["rest"]
    method = _METHODS.get(("GET" if verb == "HEAD" else verb, rest))
    if method is None and rest in {":classify", ":regress"}:
        raise Unimplemented(f"this server has :predict, not {rest}")
    if method is None or (method is Method.FEEDBACK and (match["version"] or match["label"])):
        raise InvalidArgument(f"Malformed request: {verb} {path}")
    return Target(method, match["model"], match["version"], match["label"])


def check_target(target: Target, *, model: str, version: str, revision: str) -> None:
    """Refuse requests for what this server does not have. Raises `RequestError`.

    The one label of a version is the name of its revision.
    """
    if target.model != model:
        raise NotFound(f"Servable not found for request: Latest({target.model}); this server has {model}")
    if target.version is not None and int(target.version) != int(version):
        raise NotFound(
            f"Servable not found for request: Specific({model}, {target.version}); this server has {version}"
        )
    if target.label is not None and target.label != revision:
        raise InvalidArgument(f"Unrecognized servable version label: {target.label}; this server has {revision}")


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """A request, ready for the model."""

    signature: str
    inputs: dict[str, Array]
    by_rows: bool


def read_predict(body: bytes, signatures: Mapping[str, Signature]) -> PredictRequest:
    """Understand the body of a prediction. Raises `InvalidArgument` or `BodyTooLarge`."""
    request = wire.load(body)
    if not isinstance(request, dict):
        raise InvalidArgument('the body is a JSON object, as {"instances": [...]}')
    name = request.get("signature_name") or DEFAULT_SIGNATURE
    signature = signatures.get(name) if isinstance(name, str) else None
    if signature is None:
        raise InvalidArgument(f"Serving signature name: {name!r} not found; there are: {', '.join(signatures)}")
    if ("instances" in request) == ("inputs" in request):
        raise InvalidArgument("a request has either 'instances' (by rows) or 'inputs' (by columns)")
    if "inputs" in request:
        columns = _columns(request["inputs"], signature.inputs)
        for key, spec in signature.inputs.items():
            if not _is_signal(spec):
                _check_number(columns[key])
        return PredictRequest(name, _arrays(columns, signature.inputs), by_rows=False)
    _check_number(request["instances"])
    inputs = _arrays(_rows_to_columns(request["instances"], signature.inputs), signature.inputs)
    return PredictRequest(name, inputs, by_rows=True)


def _check_number(rows: Any) -> None:
    if isinstance(rows, list) and len(rows) > MAX_INSTANCES:
        raise BodyTooLarge(f"{len(rows)} instances are too many for one request: send at most {MAX_INSTANCES}")


def _is_signal(spec: TensorSpec) -> bool:
    """Tell whether an input may be one sound or the like: a single row of numbers, or a shape that is fixed."""
    return spec.shape is not None and (spec.shape[:1] != (None,) or (len(spec.shape) == 1 and spec.dtype != STRING))


def _columns(value: Any, specs: Mapping[str, TensorSpec]) -> dict[str, Any]:
    if isinstance(value, dict) and set(value) != {"b64"}:
        _check_names(value, specs, "'inputs'")
        return value
    if len(specs) != 1:
        raise InvalidArgument(f"'inputs' is an object with the model's inputs: {', '.join(specs)}")
    return dict.fromkeys(specs, value)


def _rows_to_columns(rows: Any, specs: Mapping[str, TensorSpec]) -> dict[str, Any]:
    if not isinstance(rows, list) or not rows:
        raise InvalidArgument("'instances' is a list with at least one element")
    if not (isinstance(rows[0], dict) and set(rows[0]) != {"b64"}):
        if len(specs) != 1:
            raise InvalidArgument(f"each element of 'instances' is an object with the inputs: {', '.join(specs)}")
        return dict.fromkeys(specs, rows)
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InvalidArgument(f"the elements of 'instances' differ in form: number {number} is no object")
        _check_names(row, specs, f"element {number} of 'instances'")
    return {name: [row[name] for row in rows] for name in specs}


def _check_names(given: Mapping[str, Any], specs: Mapping[str, TensorSpec], where: str) -> None:
    missing, unknown = [name for name in specs if name not in given], [name for name in given if name not in specs]
    if missing or unknown:
        wrong = [f"lacks {', '.join(missing)}"] * bool(missing) + [f"has unknown {', '.join(unknown)}"] * bool(unknown)
        raise InvalidArgument(f"{where} {' and '.join(wrong)}; the model's inputs are {', '.join(specs)}")


def _arrays(columns: Mapping[str, Any], specs: Mapping[str, TensorSpec]) -> dict[str, Array]:
    return {name: from_json(columns[name], spec) for name, spec in specs.items()}


def write_predict(request: PredictRequest, outputs: Mapping[str, Array]) -> bytes:
    """Write the answer to a prediction. Raises `InvalidArgument` if rows were asked for and there are none."""
    dump = wire.dump if wire.all_finite(outputs.values()) else wire.dump_with_nan
    columns = {name: to_json(name, array) for name, array in outputs.items()}
    single = next(iter(columns.values())) if len(columns) == 1 else None
    if not request.by_rows:
        return dump({"outputs": columns if single is None else single})
    sizes = {array.shape[:1] for array in outputs.values()}
    if len(sizes) != 1 or () in sizes:
        raise InvalidArgument("the model's outputs are not rows: ask by columns, with 'inputs' instead of 'instances'")
    if single is not None:
        return dump({"predictions": single})
    (rows,) = sizes.pop()
    return dump({"predictions": [{name: column[row] for name, column in columns.items()} for row in range(rows)]})


def write_status(version: str, *, available: bool, remark: str = "") -> bytes:
    """Write the status of the model."""
    status = {
        "version": version,
        "state": "AVAILABLE" if available else "LOADING",
        "status": {"error_code": "OK", "error_message": remark},
    }
    return wire.dump({"model_version_status": [status]})


def write_metadata(model: str, version: str, signatures: Mapping[str, Signature]) -> bytes:
    """Write the signatures of the model."""
    definitions = {
        name: {
            "inputs": {key: _tensor_info(spec) for key, spec in signature.inputs.items()},
            "outputs": {key: _tensor_info(spec) for key, spec in signature.outputs.items()},
            "method_name": "tensorflow/serving/predict",
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
        "name": spec.name,
    }


def write_error(message: str) -> bytes:
    """Write an error as TensorFlow Serving does."""
    return wire.dump({"error": message})
