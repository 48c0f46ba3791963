"""The OpenAPI document of the data port, as data. `tests/unit/test_server_openapi.py` holds it to the table of routes.

It describes the protocols, not one model: what shapes a model takes is told by its metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from model_server import contract
from model_server.protocols.examples import Task
from model_server.protocols.feedback_rest import MAX_LABELS
from model_server.protocols.open_inference_rest import BINARY, JSON_LENGTH_HEADER
from model_server.protocols.open_inference_tensors import DATATYPES

if TYPE_CHECKING:
    from collections.abc import Sequence

Schema = dict[str, Any]

PATH: Final = "/openapi.json"
_JSON: Final = "application/json"
_ERRORS: Final = {
    400: "The request does not fit the protocol or the model; the message says where.",
    404: "There is no such model, version or path.",
    408: "The body did not arrive in time.",
    409: "The prediction has its label already.",
    410: "The label came too late.",
    403: "The signature of the prediction id does not fit.",
    413: "The body is too large, or has too many instances.",
    415: "The body is packed in a way that this server does not unpack.",
    429: "The model ran out of something while it computed.",
    500: "The model or the server failed; the log of the pod has the details.",
    501: "The model cannot do this.",
    503: "Not now: the model is loading, or too many requests wait. Worth trying again.",
    504: "The answer did not come before the deadline.",
}
_OF_MODELS: Final = (400, 404, 408, 413, 415, 429, 500, 501, 503, 504)
_OF_LOOKS: Final = (400, 404, 413, 500, 503)
_OF_LABELS: Final = (400, 403, 404, 408, 409, 410, 413, 415, 500, 503)


def document(models: Sequence[str] = (), *, secured: bool = False, labels: bool = True) -> Schema:
    """Make the document of a port that serves these models.

    `secured`: requests need a bearer token; `labels`: labels are taken on this port.
    """
    paths = {**_tensorflow(), **_open_inference(), PATH: {"get": _get("This document", _OBJECT)}}
    if labels:
        paths |= _labels()
    parameters = _PARAMETERS
    if models:
        parameters = parameters | {"model": {**parameters["model"], "schema": {"enum": list(models)}}}
    made: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "Model server",
            "version": "1",
            "summary": "TensorFlow Serving's REST API, the Open Inference Protocol, and labels of predictions",
            "description": (
                "Numbers in JSON may also be NaN, Infinity and -Infinity, as in TensorFlow Serving. "
                "Bodies may be packed with gzip or zstd."
            ),
        },
        "paths": paths,
        "components": {"schemas": _SCHEMAS, "headers": _HEADERS, "parameters": parameters},
    }
    if secured:
        made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        made["security"] = [{"token": []}]
        for operations in paths.values():
            for operation in operations.values():
                operation["responses"]["401"] = _error("The bearer token is missing or wrong.")
    return made


def _tensorflow() -> Schema:
    refused = {"400": _error("A model is to be named."), "413": _error(_ERRORS[413])}
    paths: Schema = {"/v1/models": {"get": {"summary": "Nothing", "parameters": [], "responses": refused}}}
    for place, names in (("", ()), ("/versions/{version}", ("version",)), ("/labels/{label}", ("label",))):
        path, names = contract.MODEL_PATH_TEMPLATE + place, ("model", *names)
        predicted = _post("Predict, by rows or by columns", "PredictRequest", "PredictResponse", _OF_MODELS, names)
        paths[path + contract.PREDICT_SUFFIX] = {"post": _with_ids(predicted)}
        for task, answer in ((Task.CLASSIFY, "ClassifyResponse"), (Task.REGRESS, "RegressResponse")):
            asked = _post(f"{task.capitalize()} examples", "ExamplesRequest", answer, _OF_MODELS, names)
            paths[f"{path}:{task}"] = {"post": _with_ids(asked)}
        paths[path] = {"get": _get("Status of the versions", _ref("ModelStatus"), _OF_LOOKS, names)}
        paths[path + contract.METADATA_SUFFIX] = {"get": _get("Signatures", _ref("ModelMetadata"), _OF_LOOKS, names)}
    return paths


def _open_inference() -> Schema:
    paths: Schema = {
        "/v2": {"get": _get("What this server is", _ref("ServerMetadata"))},
        "/v2/health/live": {"get": _get("Whether the server runs", _ref("Live"))},
        "/v2/health/ready": {"get": _ready(_get("Whether models can be asked", _ref("Ready")))},
    }
    for place, names in (("", ()), ("/versions/{version}", ("version",))):
        path, names = contract.V2_MODEL_PATH_TEMPLATE + place, ("model", *names)
        paths[path] = {"get": _get("Inputs and outputs", _ref("V2ModelMetadata"), _OF_LOOKS, names)}
        paths[f"{path}/ready"] = {
            "get": _ready(_get("Whether the model can be asked", _ref("Ready"), _OF_LOOKS, names))
        }
        paths[f"{path}/infer"] = {"post": _infer(names)}
    return paths


def _infer(names: tuple[str, ...]) -> Schema:
    infer = _with_ids(_post("Infer", "InferRequest", "InferResponse", _OF_MODELS, names))
    infer["parameters"] = [*infer["parameters"], {"$ref": f"#/components/parameters/{JSON_LENGTH_HEADER}"}]
    binary = {"schema": {"type": "string", "contentMediaType": BINARY}}
    infer["requestBody"]["content"][BINARY] = binary
    infer["responses"]["200"]["content"][BINARY] = binary
    infer["responses"]["200"]["headers"][JSON_LENGTH_HEADER] = _header(JSON_LENGTH_HEADER)
    return infer


def _labels() -> Schema:
    feedback = _post("Send labels of predictions", "Feedback", "FeedbackResults", _OF_LABELS)
    for code in ("403", "409", "410"):
        feedback["responses"][code] = _answer(_ERRORS[int(code)], _ref("RejectedLabel"))
    return {
        template + contract.FEEDBACK_SUFFIX: {"post": {**feedback, "operationId": f"feedback_{number}"}}
        for number, template in enumerate((contract.MODEL_PATH_TEMPLATE, contract.V2_MODEL_PATH_TEMPLATE), start=1)
    }


def _get(summary: str, schema: Schema, errors: tuple[int, ...] = (413, 500), names: tuple[str, ...] = ()) -> Schema:
    return {"summary": summary, "parameters": _named(names), "responses": _responses(schema, errors)}


def _post(
    summary: str, request: str, answer: str, errors: tuple[int, ...], names: tuple[str, ...] = ("model",)
) -> Schema:
    return {
        "summary": summary,
        "parameters": _named(names),
        "requestBody": {"required": True, "content": {_JSON: {"schema": _ref(request)}}},
        "responses": _responses(_ref(answer), errors),
    }


def _responses(schema: Schema, errors: tuple[int, ...]) -> Schema:
    return {"200": _answer("The answer", schema)} | {str(code): _error(_ERRORS[code]) for code in errors}


def _answer(description: str, schema: Schema) -> Schema:
    return {
        "description": description,
        "content": {_JSON: {"schema": schema}},
        "headers": {contract.REVISION_HEADER: _header(contract.REVISION_HEADER)},
    }


def _error(description: str) -> Schema:
    return _answer(description, _ref("Error"))


def _with_ids(operation: Schema) -> Schema:
    headers = operation["responses"]["200"]["headers"]
    for name in (contract.PREDICTION_ID_HEADER, contract.AUDIT_HEADER):
        headers[name] = _header(name)
    return operation


def _ready(operation: Schema) -> Schema:
    """Not being ready is told by the code and, of what is there, by the body."""
    not_ready = _answer(_ERRORS[503], {"anyOf": [_ref("Ready"), _ref("Error")]})
    return {**operation, "responses": {**operation["responses"], "503": not_ready}}


def _named(names: tuple[str, ...]) -> list[Schema]:
    return [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _header(name: str) -> Schema:
    return {"$ref": f"#/components/headers/{name}"}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "required": list(required), "properties": required | (optional or {})}


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


_TEXT: Final[Schema] = {"type": "string"}
_NUMBER: Final[Schema] = {"type": "number"}
_TRUTH: Final[Schema] = {"type": "boolean"}
_COUNT: Final[Schema] = {"type": "integer"}
_OBJECT: Final[Schema] = {"type": "object"}
_DIGITS: Final[Schema] = {"type": "string", "pattern": "^[0-9]+$"}
_DATATYPE: Final[Schema] = {"enum": sorted(DATATYPES.values())}
_FEATURE: Final[Schema] = {"type": ["number", "string", "boolean", "array", "object"]}
_EXAMPLE: Final[Schema] = {"type": "object", "additionalProperties": _FEATURE}
_REQUEST_PARAMETERS: Final[Schema] = {
    "type": ["object", "null"],
    "description": "What is to be known of the request besides its inputs, as what slices of labels are told apart by.",
}
_SIGNATURE_NAME: Final[Schema] = {"type": "string", "description": "serving_default if there is none, or an empty one."}

_HEADERS: Final[Schema] = {
    contract.REVISION_HEADER: {"description": "The revision that computed the answer.", "schema": _TEXT},
    contract.PREDICTION_ID_HEADER: {
        "description": "TOKEN: the id of instance i is TOKEN.i, to send its label with. Not on every answer.",
        "schema": _TEXT,
    },
    contract.AUDIT_HEADER: {
        "description": "true: picked at random, its truth should be found out.",
        "schema": {"enum": ["true"]},
    },
    JSON_LENGTH_HEADER: {"description": "Bytes of JSON; the rest of the body are tensors.", "schema": _DIGITS},
}
_PARAMETERS: Final[Schema] = {
    "model": {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[^/:]+$"}},
    "version": {
        "name": "version",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
    },
    "label": {"name": "label", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[^/:]+$"}},
    JSON_LENGTH_HEADER: {"name": JSON_LENGTH_HEADER, "in": "header", "required": False, "schema": _DIGITS},
}
_SCHEMAS: Final[Schema] = {
    "Error": _object({"error": _TEXT}),
    "PredictRequest": {
        **_object(
            {},
            {
                "signature_name": _SIGNATURE_NAME,
                "instances": _list({}, minItems=1, description="By rows: values, lists, or objects of named inputs."),
                "inputs": {"description": "By columns: the value of the only input, or an object of named inputs."},
                "parameters": _REQUEST_PARAMETERS,
            },
        ),
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    },
    "PredictResponse": {
        **_object({}, {"predictions": _list({}), "outputs": {}}),
        "oneOf": [{"required": ["predictions"]}, {"required": ["outputs"]}],
    },
    "ExamplesRequest": _object(
        {"examples": _list(_EXAMPLE, minItems=1)},
        {"signature_name": _SIGNATURE_NAME, "context": _EXAMPLE, "parameters": _REQUEST_PARAMETERS},
    ),
    "ClassifyResponse": _object(
        {"results": _list(_list({"type": "array", "prefixItems": [_TEXT, _NUMBER], "minItems": 2, "maxItems": 2}))}
    ),
    "RegressResponse": _object({"results": _list(_NUMBER)}),
    "ModelStatus": _object(
        {
            "model_version_status": _list(
                _object(
                    {
                        "version": _DIGITS,
                        "state": {"enum": ["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
                        "status": _object({"error_code": _TEXT, "error_message": _TEXT}),
                    }
                )
            )
        }
    ),
    "ModelMetadata": _object(
        {
            "model_spec": _object({"name": _TEXT, "signature_name": _TEXT, "version": _DIGITS}),
            "metadata": _object({"signature_def": _object({"signature_def": _OBJECT})}),
        }
    ),
    "ServerMetadata": _object({"name": _TEXT, "version": _TEXT, "extensions": _list(_TEXT)}),
    "Live": _object({"live": _TRUTH}),
    "Ready": _object({"ready": _TRUTH}, {"name": _TEXT}),
    "V2Tensor": _object({"name": _TEXT, "datatype": _TEXT, "shape": _list(_COUNT)}),
    "V2ModelMetadata": _object(
        {
            "name": _TEXT,
            "versions": _list(_DIGITS),
            "platform": _TEXT,
            "inputs": _list(_ref("V2Tensor")),
            "outputs": _list(_ref("V2Tensor")),
        }
    ),
    "InferRequest": _object(
        {
            "inputs": _list(
                _object(
                    {"name": _TEXT, "datatype": _DATATYPE, "shape": _list({"type": "integer", "minimum": 0})},
                    {
                        "data": {"description": "Flat in the order of rows, or nested."},
                        "parameters": {"type": ["object", "null"], "properties": {"binary_data_size": _COUNT}},
                    },
                )
            )
        },
        {
            "id": {"type": ["string", "null"]},
            "parameters": _REQUEST_PARAMETERS,
            "outputs": {
                "type": ["array", "null"],
                "items": _object(
                    {"name": _TEXT}, {"parameters": {"type": ["object", "null"], "properties": {"binary_data": _TRUTH}}}
                ),
            },
        },
    ),
    "InferResponse": _object(
        {
            "model_name": _TEXT,
            "model_version": _DIGITS,
            "parameters": _object({"revision": _TEXT}, {"prediction_id": _TEXT, "prediction_audit": _TRUTH}),
            "outputs": _list(
                _object({"name": _TEXT, "datatype": _DATATYPE, "shape": _list(_COUNT)}, {"data": _list({})})
            ),
        },
        {"id": _TEXT},
    ),
    "Label": {
        **_object({"id": {}, "label": {}}),
        "additionalProperties": False,
        "description": "The id of a prediction, and its truth: number or name of a class, true or false, or a score.",
    },
    "Feedback": {
        "oneOf": [
            _ref("Label"),
            {
                **_object({"labels": _list(_ref("Label"), minItems=1, maxItems=MAX_LABELS)}),
                "additionalProperties": False,
            },
        ]
    },
    "LabelResult": _object({"id": {}, "accepted": _TRUTH}, {"reason": _TEXT, "message": _TEXT}),
    "FeedbackResults": _object({"results": _list(_ref("LabelResult"))}),
    "RejectedLabel": _object({"error": _TEXT, "results": _list(_ref("LabelResult"))}),
}
