"""The OpenAPI document says what the routes say."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from model_server.endpoints import documents, examples, feedback, open_inference, tensorflow
from model_server.errors import NotFound, RequestError
from model_server.http.limits import MethodNotAllowed
from model_server.http.routes import Routes
from model_server.protocols import openapi
from model_server.protocols.open_inference_tensors import DATATYPES

DOCUMENT = openapi.document()
TABLE = [
    *tensorflow.routes(1),
    *examples.routes(1),
    *open_inference.routes(1),
    *feedback.routes(),
    *documents.routes(),
]
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


def test_it_has_every_route_and_no_other() -> None:
    assert sorted((method, path) for method, path, _ in OPERATIONS) == sorted((r.method, r.path) for r in TABLE)


def test_a_path_of_it_is_found() -> None:
    routes = Routes(TABLE)
    for method, path, operation in OPERATIONS:
        concrete = path.replace("{model}", "m").replace("{version}", "3").replace("{label}", "r1")
        route, values = routes.find(method, concrete)
        assert route.path == path
        names = {each["$ref"].rpartition("/")[2] for each in operation["parameters"]}
        assert set(values) == names - {"Inference-Header-Content-Length"}


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("GET", "/", NotFound),
        ("GET", "/v1/models/", NotFound),
        ("POST", "/v1/models/m:frobnicate", NotFound),
        ("POST", "/v1/models/m/versions/x:predict", NotFound),
        ("POST", "/v1/models/m/versions/1/feedback", NotFound),
        ("POST", "/v2/models/m/labels/r1/infer", NotFound),
        ("GET", "/v1/models/m:predict", MethodNotAllowed),
        ("POST", "/v1/models/m", MethodNotAllowed),
        ("PUT", "/v2/models/m/infer", MethodNotAllowed),
    ],
)
def test_what_is_no_path(method: str, path: str, error: type[RequestError]) -> None:
    with pytest.raises(error):
        Routes(TABLE).find(method, path)


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {value["$ref"]} if isinstance(value.get("$ref"), str) else set().union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list | tuple) else set()


def test_all_that_it_refers_to_is_there_and_used() -> None:
    there = {f"#/components/{kind}/{name}" for kind, entries in DOCUMENT["components"].items() for name in entries}
    assert references(DOCUMENT) == there


def test_every_schema_is_one() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(DOCUMENT)) == json.loads(json.dumps(openapi.document()))


def valid(name: str, value: Any) -> bool:
    document = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    validator: Any = jsonschema.Draft202012Validator(document)
    return bool(validator.is_valid(value))


@pytest.mark.parametrize(
    ("name", "value", "is_valid"),
    [
        ("PredictRequest", {"instances": [[1, 2]]}, True),
        ("PredictRequest", {"inputs": {"x": 1}, "signature_name": ""}, True),
        ("PredictRequest", {"instances": [1], "inputs": [1]}, False),
        ("PredictRequest", {"instances": []}, False),
        ("PredictRequest", {}, False),
        ("ExamplesRequest", {"examples": [{"a": 1, "b": ["x"], "c": {"b64": ""}}]}, True),
        ("ExamplesRequest", {"examples": []}, False),
        ("ClassifyResponse", {"results": [[["a", 0.5], ["b", 0.5]]]}, True),
        ("ClassifyResponse", {"results": [[["a"]]]}, False),
        ("InferRequest", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]}, True),
        ("InferRequest", {"inputs": [{"name": "x", "datatype": "FP31", "shape": [1], "data": [1]}]}, False),
        ("InferRequest", {"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1], "data": [1]}]}, False),
        ("Feedback", {"id": "T.0", "label": 1}, True),
        ("Feedback", {"labels": [{"id": "T.0", "label": 1}]}, True),
        ("Feedback", {"labels": []}, False),
        ("Feedback", {"id": "T.0"}, False),
        ("Error", {"error": "why"}, True),
        ("Error", {}, False),
    ],
)
def test_what_fits_and_what_does_not(name: str, value: Any, is_valid: bool) -> None:
    assert valid(name, value) is is_valid


def test_a_secured_port_says_so() -> None:
    secured = openapi.document(secured=True)
    assert secured["security"] == [{"token": []}]
    assert all("401" in o["responses"] for methods in secured["paths"].values() for o in methods.values())
    assert "security" not in DOCUMENT


def test_labels_may_have_a_port_of_their_own() -> None:
    assert not [path for path in openapi.document(labels=False)["paths"] if path.endswith("/feedback")]


def test_it_names_the_models_that_there_are() -> None:
    assert openapi.document(["a", "b"])["components"]["parameters"]["model"]["schema"] == {"enum": ["a", "b"]}
    assert "enum" not in DOCUMENT["components"]["parameters"]["model"]["schema"]


def test_types_of_tensors_are_those_of_the_protocol() -> None:
    assert DOCUMENT["components"]["schemas"]["V2Tensor"]["properties"]["datatype"] == {"type": "string"}
    (request,) = DOCUMENT["components"]["schemas"]["InferRequest"]["properties"]["inputs"]["items"]["properties"][
        "datatype"
    ].values()
    assert set(request) == set(DATATYPES.values())
