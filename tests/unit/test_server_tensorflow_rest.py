"""TensorFlow Serving's REST API, as its clients rely on it."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import pytest
from model_server.errors import BodyTooLarge, InvalidArgument, NotFound, RequestError, Unimplemented
from model_server.protocols.tensorflow_rest import (
    MAX_INSTANCES,
    Method,
    Target,
    check_target,
    read_path,
    read_predict,
    write_metadata,
    write_predict,
    write_status,
)
from model_server.tensors import Signature, TensorSpec

TEXT = {"serving_default": Signature({"text": TensorSpec("text", "DT_STRING", (None,))}, {})}
PAIR = {
    "serving_default": Signature(
        {"x": TensorSpec("x", "DT_FLOAT", (None, 2)), "n": TensorSpec("n", "DT_INT32", (None,))},
        {"output_0": TensorSpec("output_0", "DT_FLOAT", (None, 1))},
    )
}
ONE = {"serving_default": Signature({"x": TensorSpec("x", "DT_FLOAT", (None, 2))}, {})}


def read(document: Any, signatures: dict[str, Signature]) -> dict[str, Any]:
    inputs = read_predict(json.dumps(document).encode(), signatures).inputs
    return {name: array.tolist() for name, array in inputs.items()}


@pytest.mark.parametrize(
    ("verb", "path", "target"),
    [
        ("POST", "/v1/models/m:predict", Target(Method.PREDICT, "m")),
        ("POST", "/v1/models/m/versions/3:predict", Target(Method.PREDICT, "m", version="3")),
        ("POST", "/v1/models/m/labels/r-1:predict", Target(Method.PREDICT, "m", label="r-1")),
        ("GET", "/v1/models/m", Target(Method.STATUS, "m")),
        ("HEAD", "/v1/models/m", Target(Method.STATUS, "m")),
        ("GET", "/v1/models/m/versions/3", Target(Method.STATUS, "m", version="3")),
        ("GET", "/v1/models/m/versions/3/metadata", Target(Method.METADATA, "m", version="3")),
        ("POST", "/v1/models/m/feedback", Target(Method.FEEDBACK, "m")),
    ],
)
def test_paths(verb: str, path: str, target: Target) -> None:
    assert read_path(verb, path) == target


@pytest.mark.parametrize(
    ("verb", "path", "error"),
    [
        ("GET", "/", NotFound),
        ("GET", "/v1/models/", NotFound),
        ("GET", "/v1/models/m:predict", InvalidArgument),
        ("POST", "/v1/models/m", InvalidArgument),
        ("POST", "/v1/models/m:frobnicate", InvalidArgument),
        ("POST", "/v1/models/m/versions/1/feedback", InvalidArgument),
        ("POST", "/v1/models/m:classify", Unimplemented),
    ],
)
def test_wrong_paths(verb: str, path: str, error: type[RequestError]) -> None:
    with pytest.raises(error):
        read_path(verb, path)


@pytest.mark.parametrize(
    ("target", "error"),
    [
        (Target(Method.STATUS, "other"), NotFound),
        (Target(Method.STATUS, "m", version="2"), NotFound),
        (Target(Method.STATUS, "m", label="stable"), InvalidArgument),
    ],
)
def test_what_the_server_does_not_have(target: Target, error: type[RequestError]) -> None:
    with pytest.raises(error):
        check_target(target, model="m", version="3", revision="r1")


def test_what_the_server_has() -> None:
    check_target(Target(Method.STATUS, "m", version="03"), model="m", version="3", revision="r1")
    check_target(Target(Method.STATUS, "m", label="r1"), model="m", version="3", revision="r1")


def test_texts_are_utf8() -> None:
    encoded = base64.b64encode(b"\xff\0").decode()
    assert read({"instances": ["好", {"b64": encoded}]}, TEXT) == {"text": ["好".encode(), b"\xff\0"]}


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [{"x": [1, 2], "n": 3}, {"x": [0.5, 0], "n": 4}]},
        {"inputs": {"x": [[1, 2], [0.5, 0]], "n": [3, 4]}},
    ],
)
def test_rows_and_columns_are_the_same_arrays(document: Any) -> None:
    assert read(document, PAIR) == {"x": [[1, 2], [0.5, 0]], "n": [3, 4]}


@pytest.mark.parametrize("document", [{"instances": [[1, 2]]}, {"instances": [{"x": [1, 2]}]}, {"inputs": [[1, 2]]}])
def test_a_single_input_needs_no_name(document: Any) -> None:
    assert read(document, ONE) == {"x": [[1, 2]]}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "JSON object"),
        ({}, "either 'instances'"),
        ({"instances": [[1, 2]], "inputs": []}, "either 'instances'"),
        ({"instances": []}, "at least one"),
        ({"instances": [[1, 2], [1]]}, "ragged"),
        ({"instances": [["1", "2"]]}, r"holds other values \(text\)"),
        ({"instances": [[None, 2]]}, r"other values \(null\)"),
        ({"instances": [[True, False]]}, "true or false"),
        ({"instances": [1, 2]}, r"the model takes \(\?, 2\)"),
        ({"instances": [[1, 2, 3]]}, r"has the shape \(1, 3\)"),
        ({"instances": [{"y": [1, 2]}]}, "lacks x and has unknown y"),
        ({"instances": [{"x": [1, 2]}, [1, 2]]}, "number 1 is no object"),
        ({"inputs": {"z": 1}}, "lacks x"),
        ({"instances": [[1, 2]], "signature_name": "other"}, "there are: serving_default"),
        ({"instances": [[1, 2]], "signature_name": [1]}, "not found"),
    ],
)
def test_requests_that_do_not_fit_say_why(document: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        read(document, ONE)


@pytest.mark.parametrize(
    ("number", "message"), [(0.5, "with a fraction"), (2**31, "beyond its range"), (2**70, "holds other values")]
)
def test_whole_numbers_are_not_bent(number: float, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        read({"inputs": {"x": [[1, 2]], "n": [number]}}, PAIR)


@pytest.mark.parametrize("value", [1, None, ["a", 1], [["a"], "b"], {"b64": "*"}, {"b64": 1}])
def test_what_is_no_text(value: Any) -> None:
    with pytest.raises(InvalidArgument):
        read({"instances": [value]}, TEXT)


@pytest.mark.parametrize("signatures", [TEXT, ONE])
@pytest.mark.parametrize("depth", [70, 900, 100_000])
def test_deep_lists_do_no_harm(signatures: dict[str, Signature], depth: int) -> None:
    with pytest.raises(InvalidArgument):
        read_predict(b'{"inputs": ' + b"[" * depth + b'"a"' + b"]" * depth + b"}", signatures)


@pytest.mark.parametrize("key", ["instances", "inputs"])
@pytest.mark.parametrize(("row", "signatures"), [([1, 2], ONE), ("a", TEXT)])
def test_no_request_may_have_any_number_of_instances(key: str, row: object, signatures: dict[str, Signature]) -> None:
    read({key: [row] * MAX_INSTANCES}, signatures)
    with pytest.raises(BodyTooLarge, match="send at most 16384"):
        read({key: [row] * (MAX_INSTANCES + 1)}, signatures)


def test_a_sound_may_be_long() -> None:
    sound = {"serving_default": Signature({"x": TensorSpec("x", "DT_FLOAT", (None,))}, {})}
    assert len(read({"inputs": [0.5] * 100_000}, sound)["x"]) == 100_000


def test_no_json_is_told() -> None:
    with pytest.raises(InvalidArgument, match="JSON Parse error"):
        read_predict(b"{", ONE)


def test_nan_and_infinity_pass_both_ways() -> None:
    request = read_predict(b'{"instances": [[NaN, -Infinity]]}', ONE)
    (array,) = request.inputs.values()
    assert math.isnan(array[0][0])
    answer = write_predict(request, {"y": np.array([[np.nan, np.inf]], np.float32)})
    assert answer == b'{"predictions":[[NaN,Infinity]]}'


def test_answers_by_rows_and_by_columns() -> None:
    outputs = {"a": np.array([[0.5], [1]], np.float32), "b_bytes": np.array([b"x", b"y"], object)}
    rows = read_predict(b'{"instances": [[1, 2], [3, 4]]}', ONE)
    columns = read_predict(b'{"inputs": [[1, 2], [3, 4]]}', ONE)
    assert json.loads(write_predict(rows, outputs)) == {
        "predictions": [{"a": [0.5], "b_bytes": {"b64": "eA=="}}, {"a": [1], "b_bytes": {"b64": "eQ=="}}]
    }
    assert json.loads(write_predict(columns, {"a": outputs["a"]})) == {"outputs": [[0.5], [1]]}
    assert json.loads(write_predict(columns, {"t": np.array(["好".encode(), b"\xff"], object)})) == {
        "outputs": ["好", {"b64": "/w=="}]
    }


def test_a_number_is_no_row() -> None:
    with pytest.raises(InvalidArgument, match="ask by columns"):
        write_predict(read_predict(b'{"instances": [[1, 2]]}', ONE), {"a": np.array(1.0)})


def test_status_and_metadata() -> None:
    status = json.loads(write_status("3", available=True))["model_version_status"][0]
    assert (status["version"], status["state"]) == ("3", "AVAILABLE")
    metadata = json.loads(write_metadata("m", "3", PAIR))
    assert metadata["model_spec"] == {"name": "m", "signature_name": "", "version": "3"}
    x = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT"
    assert [dimension["size"] for dimension in x["tensor_shape"]["dim"]] == ["-1", "2"]
