"""TensorFlow Serving's REST API, as its clients rely on it."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import pytest
from model_server import tensorflow_package
from model_server.dataplane.servable import VersionState, VersionStatus
from model_server.errors import BodyTooLarge, InvalidArgument
from model_server.protocols.json_tensors import from_json, has_truth_values
from model_server.protocols.limits import MAX_INSTANCES
from model_server.protocols.tensorflow_rest import (
    read_predict,
    write_metadata,
    write_predict,
    write_status,
)
from model_server.tensors import NUMPY_TYPES, Signature, TensorSpec

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
        ({"inputs": {"z": 1}}, "Missing named input: x"),
        ({"instances": [[1, 2]], "signature_name": "other"}, "there are: serving_default"),
        ({"instances": [[1, 2]], "signature_name": [1]}, "is a text"),
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


def test_status() -> None:
    states = [
        VersionStatus(3, VersionState.LOADING),
        VersionStatus(2, VersionState.AVAILABLE, remark="no ids"),
        VersionStatus(1, VersionState.END, error="it is damaged"),
    ]
    assert json.loads(write_status(states)) == {
        "model_version_status": [
            {"version": "3", "state": "LOADING", "status": {"error_code": "OK", "error_message": ""}},
            {"version": "2", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": "no ids"}},
            {"version": "1", "state": "END", "status": {"error_code": "UNKNOWN", "error_message": "it is damaged"}},
        ]
    }


def test_metadata_is_what_protobuf_writes_of_a_signature() -> None:
    tensorflow_package.enter()
    from google.protobuf.json_format import MessageToDict
    from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap

    message = SignatureDefMap()
    definition = message.signature_def["serving_default"]
    definition.method_name = "tensorflow/serving/regress"
    unknown, known = definition.inputs["a"], definition.inputs["x"]
    unknown.name, unknown.dtype, unknown.tensor_shape.unknown_rank = "a:0", 7, True
    known.name, known.dtype = "x:0", 1
    for size in (-1, 2):
        known.tensor_shape.dim.add().size = size
    scalar = definition.outputs["y"]
    scalar.name, scalar.dtype, scalar.tensor_shape.unknown_rank = "y:1", 9, False
    written = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    inputs = {
        "a": TensorSpec("a", "DT_STRING", None, "a:0"),
        "x": TensorSpec("x", "DT_FLOAT", (None, 2), "x:0"),
    }
    outputs = {"y": TensorSpec("y", "DT_INT64", (), "y:1")}
    ours = write_metadata("m", "3", {"serving_default": Signature(inputs, outputs, "tensorflow/serving/regress")})
    assert json.loads(ours) == {
        "model_spec": {"name": "m", "signature_name": "", "version": "3"},
        "metadata": {"signature_def": written},
    }


@pytest.mark.parametrize("dtype", sorted(NUMPY_TYPES))
@pytest.mark.parametrize("shape", [(3,), (1, 4), (2, 3), (2, 1, 2), (0,), ()])
def test_numbers_of_any_type_and_shape(dtype: str, shape: tuple[int, ...]) -> None:
    spec = TensorSpec("x", dtype, tuple(None if place == 0 else size for place, size in enumerate(shape)))
    wanted = (np.arange(int(np.prod(shape))).reshape(shape) % 2).astype(NUMPY_TYPES[dtype])
    for value in (
        (wanted.tolist(), (wanted * 1.0).tolist()) if np.dtype(wanted.dtype).kind == "f" else (wanted.tolist(),)
    ):
        for truth in (True, dtype == "DT_BOOL"):
            array = from_json(value, spec, truth=truth)
            assert array.dtype == wanted.dtype
            assert array.shape == wanted.shape
            assert array.tolist() == wanted.tolist()


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[1, "2"]], r"other values \(text\)"),
        ([[1, None]], r"other values \(null\)"),
        ([[1, [2]]], "ragged"),
        ([[1, 1e39]], "beyond its range"),
        ([[1, 10**400]], "beyond its range"),
        ([{"a": 1, "b": 2}], "objects"),
        (["ab"], "text"),
        ([], r"the shape \(0,\)"),
        (1, r"the shape \(\)"),
        ([[[1], [2]]], r"the shape \(1, 2, 1\)"),
    ],
)
def test_the_quick_way_takes_nothing_that_the_other_refuses(value: Any, message: str, truth: bool) -> None:
    with pytest.raises(InvalidArgument, match=message):
        from_json(value, ONE["serving_default"].inputs["x"], truth=truth)


def test_true_is_no_number() -> None:
    assert has_truth_values(b'{"instances": [true]}')
    assert has_truth_values(b"[false]")
    assert not has_truth_values(b'{"instances": [1], "refuse": 2}')
    with pytest.raises(InvalidArgument, match="true or false"):
        read({"instances": [[1, True]]}, ONE)


def test_one_long_text_among_numbers_takes_no_memory_for_all() -> None:
    with pytest.raises(InvalidArgument, match="text"):
        read({"instances": [["a" * 1_000_000, 1]] + [["", 1]] * 5_000}, ONE)  # 20 GB, had NumPy its way.


def test_what_should_be_n_by_1_may_be_n() -> None:
    narrow = {"serving_default": Signature({"x": TensorSpec("x", "DT_FLOAT", (None, 1))}, {})}
    assert read({"instances": [1.0, 2.0, 5.0]}, narrow) == {"x": [1, 2, 5]}
    assert read({"instances": [[1.0], [2.0]]}, narrow) == {"x": [[1], [2]]}
    both = {"serving_default": Signature({**narrow["serving_default"].inputs, **PAIR["serving_default"].inputs}, {})}
    assert both["serving_default"].inputs["x"].shape == (None, 2)
    two = {name: TensorSpec(name, "DT_FLOAT", (None, 1)) for name in ("a", "b")}
    with pytest.raises(InvalidArgument, match=r"takes \(\?, 1\)"):
        read({"inputs": {"a": [1, 2], "b": [[1], [2]]}}, {"serving_default": Signature(two, {})})


def test_columns_may_bring_more_than_is_asked_for_and_rows_may_not() -> None:
    """As TensorFlow Serving has it."""
    assert read({"inputs": {"x": [[1, 2]], "other": "?"}}, ONE) == {"x": [[1, 2]]}
    with pytest.raises(InvalidArgument, match="unknown other"):
        read({"instances": [{"x": [1, 2], "other": "?"}]}, ONE)


def test_an_empty_signature_name_is_the_default() -> None:
    assert read({"signature_name": "", "inputs": [[1, 2]]}, ONE) == {"x": [[1, 2]]}


def test_parameters_go_along() -> None:
    body = b'{"instances": [[1, 2]], "parameters": {"region": "eu"}}'
    assert read_predict(body, ONE).question().parameters == {"region": "eu"}
    with pytest.raises(InvalidArgument, match="'parameters' is a JSON object"):
        read({"instances": [[1, 2]], "parameters": 1}, ONE)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.uint64, np.bool_])
def test_answers_keep_every_digit_and_add_none(dtype: type) -> None:
    request = read_predict(b'{"instances": [[1, 2]]}', ONE)
    values = np.array([0.2, 3, 1e4], np.float64).astype(dtype)
    (answer,) = json.loads(write_predict(request, {"y": values[np.newaxis]}))["predictions"]
    assert np.array(answer, dtype).tolist() == values.tolist()
    assert answer == [json.loads(str(np.float32(value) if dtype is np.float16 else value).lower()) for value in values]
    if np.dtype(dtype).kind == "f":
        assert write_predict(request, {"y": values[np.newaxis, 1:2]}) == b'{"predictions":[[3.0]]}'
        assert write_predict(request, {"y": np.array([[0.5, np.nan]], dtype)}) == b'{"predictions":[[0.5,NaN]]}'
        assert b"[[0.2,NaN]]" in write_predict(request, {"y": np.array([[0.2, np.nan]], np.float32)})


def test_whole_numbers_of_64_bits_pass_both_ways() -> None:
    big = {"serving_default": Signature({"x": TensorSpec("x", "DT_INT64", (None,))}, {})}
    request = read_predict(b'{"instances": [9223372036854775807, -9223372036854775808]}', big)
    assert request.inputs["x"].tolist() == [2**63 - 1, -(2**63)]
    assert write_predict(request, request.inputs) == b'{"predictions":[9223372036854775807,-9223372036854775808]}'


def test_rows_of_several_outputs_of_other_sizes_are_no_rows() -> None:
    request = read_predict(b'{"instances": [[1, 2]]}', ONE)
    with pytest.raises(InvalidArgument, match="ask by columns"):
        write_predict(request, {"a": np.zeros((1, 2)), "b": np.zeros((2, 2))})
    assert json.loads(write_predict(request, {"a": np.zeros((2, 0)), "b": np.asfortranarray(np.ones((2, 2)))})) == {
        "predictions": [{"a": [], "b": [1, 1]}] * 2
    }


def test_a_text_of_null_is_no_nan() -> None:
    columns = read_predict(b'{"inputs": [[1, 2]]}', ONE)
    outputs = {"a": np.array([b"null"], object), "b": np.array([0.5], np.float32)}
    assert write_predict(columns, outputs) == b'{"outputs":{"a":["null"],"b":[0.5]}}'
