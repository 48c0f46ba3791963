"""The Open Inference Protocol over HTTP: what requests mean, and how answers are written."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from model_server.dataplane.question import Answer
from model_server.errors import BodyTooLarge, InvalidArgument
from model_server.protocols.limits import MAX_INSTANCES
from model_server.protocols.open_inference_binary import BinaryRequests
from model_server.protocols.open_inference_rest import (
    InferRequest,
    read_infer,
    write_infer,
    write_live,
    write_model,
    write_ready,
    write_server,
)
from model_server.protocols.open_inference_tensors import DATATYPES, pack, unpack
from model_server.tensors import NUMPY_TYPES, Signature, TensorSpec

X = TensorSpec("x", "DT_FLOAT", (None, 2))
OUTPUTS = {"y": TensorSpec("y", "DT_FLOAT", (None, 1)), "t": TensorSpec("t", "DT_STRING", (None,))}
ONE = {"serving_default": Signature({"x": X}, OUTPUTS), "other": Signature({"x": X}, {"y": OUTPUTS["y"]})}
PAIR = {
    "serving_default": Signature(
        {"x": X, "t": TensorSpec("t", "DT_STRING", (None,))}, {"y": TensorSpec("y", "DT_FLOAT", (None, 1))}
    )
}


def tensor(data: Any = (1, 2, 3, 4), **fields: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": data} | fields


def read(document: Any, signatures: dict[str, Signature] = ONE) -> InferRequest:
    return read_infer(json.dumps(document).encode(), None, signatures)


def binary(document: Any, *tensors: bytes, signatures: dict[str, Signature] = ONE) -> InferRequest:
    text = json.dumps(document).encode()
    return read_infer(b"".join((text, *tensors)), str(len(text)), signatures)


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [[1], [2], [3], [4.0]], [[[1, 2, 3, 4]]]])
def test_data_may_be_flat_or_nested(data: Any) -> None:
    request = read({"id": "7", "parameters": {"region": "eu"}, "inputs": [tensor(data)]})
    assert request.inputs["x"].tolist() == [[1, 2], [3, 4]]
    assert request.inputs["x"].dtype == np.float32
    question = request.question(now=5.0)
    assert (request.id, question.signature, question.outputs) == ("7", "serving_default", ())
    assert (question.deadline, question.parameters) == (None, {"region": "eu"})


def test_binary_tensors_follow_in_the_order_of_inputs() -> None:
    texts = pack(np.array(["好".encode(), b""], object), "DT_STRING")
    numbers = np.array([[1, 2], [3, 4]], "<f4").tobytes()
    document = {
        "inputs": [
            {"name": "t", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": len(texts)}},
            {"name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": len(numbers)}},
        ]
    }
    inputs = binary(document, texts, numbers, signatures=PAIR).inputs
    assert inputs["t"].tolist() == ["好".encode(), b""]
    assert inputs["x"].tolist() == [[1, 2], [3, 4]]
    assert inputs["x"].flags.aligned
    document["inputs"][0] |= {"parameters": {}, "data": ["a", "b"]}
    assert binary(document, numbers, signatures=PAIR).inputs["t"].tolist() == [b"a", b"b"]


@pytest.mark.parametrize("dtype", sorted(DATATYPES))
def test_every_type_is_packed_and_unpacked(dtype: str) -> None:
    spec = TensorSpec("x", dtype, (None, 2))
    if dtype == "DT_STRING":
        array = np.array([[b"", b"\xff\0"], [b"a" * 300, "好".encode()]], object)
    else:
        array = np.array([[0, 1], [1, 3]]).astype(NUMPY_TYPES[dtype])
    assert unpack(pack(array, dtype), spec, (2, 2)).tolist() == array.tolist()
    assert unpack(pack(array[:, ::-1], dtype), spec, (2, 2)).tolist() == array[:, ::-1].tolist()
    if dtype != "DT_STRING":
        document = {"inputs": [{"name": "x", "datatype": DATATYPES[dtype], "shape": [2, 2], "data": array.tolist()}]}
        read_array = read(document, {"serving_default": Signature({"x": spec}, {})}).inputs["x"]
        assert (read_array.dtype, read_array.tolist()) == (array.dtype, array.tolist())


def test_bfloat16_is_rounded_to_the_nearest() -> None:
    values = np.array([1.0, 1 + 2**-8, 1 + 3 * 2**-8, np.inf, -np.inf, np.nan, -0.0], np.float32)
    packed = pack(values, "DT_BFLOAT16")
    assert len(packed) == 2 * len(values)
    back = unpack(packed, TensorSpec("x", "DT_BFLOAT16", None), (7,))
    np.testing.assert_array_equal(back, np.array([1, 1, 1 + 2**-6, np.inf, -np.inf, np.nan, -0.0], np.float32))


def test_a_truth_value_is_one_of_two() -> None:
    array = unpack(b"\0\1\2\xff", TensorSpec("x", "DT_BOOL", None), (4,))
    assert array.view(np.uint8).tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "JSON object"),
        ({}, "'inputs' is a list"),
        ({"inputs": [1]}, "'inputs' is a list"),
        ({"inputs": []}, "'inputs' lacks x"),
        ({"inputs": [tensor(name="z")]}, "there is no input 'z'"),
        ({"inputs": [tensor(name=["z"])]}, "there is no input"),
        ({"inputs": [tensor(), tensor()]}, "already an input 'x'"),
        ({"inputs": [tensor(datatype="FP64")]}, "'FP64', but the model takes FP32"),
        ({"inputs": [tensor(shape=[4])]}, r"the model takes \(\?, 2\)"),
        ({"inputs": [tensor(shape=[2, -1])]}, "all sizes are known"),
        ({"inputs": [tensor(shape=[2, True])]}, "no 'shape'"),
        ({"inputs": [tensor(shape=None)]}, "no 'shape'"),
        ({"inputs": [tensor(shape=[2**40, 2**40, 0])]}, "too large"),
        ({"inputs": [tensor(shape=[1] * 40)]}, "too large"),
        ({"inputs": [tensor(data=[1, 2, 3])]}, r"3 values, but the shape \[2, 2\] has 4"),
        ({"inputs": [tensor(data=[1, 2, [3, 4]])]}, "lists beside other values"),
        ({"inputs": [tensor(data=["1", 2, 3, 4])]}, "text"),
        ({"inputs": [tensor(data=[True, 2, 3, 4])]}, "true or false"),
        ({"inputs": [tensor(data=[1e39, 2, 3, 4])]}, "beyond its range"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2]}]}, "no 'data'"),
        ({"inputs": [tensor(parameters=1)]}, "are a JSON object"),
        ({"inputs": [tensor(parameters={"binary_data_size": 16})]}, "either 'data' or"),
        ({"inputs": [tensor(parameters={"shared_memory_region": "r"})]}, "no such extension"),
        ({"inputs": [tensor()], "outputs": [{"name": "z"}]}, "no output 'z'"),
        ({"inputs": [tensor()], "outputs": [{}]}, "no output None"),
        ({"inputs": [tensor()], "outputs": 1}, "'outputs' is a list"),
        ({"inputs": [tensor()], "outputs": [{"name": "y"}, {"name": "y"}]}, "asked for twice"),
        ({"inputs": [tensor()], "outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "no such extension"),
        ({"inputs": [tensor()], "parameters": {"signature_name": "z"}}, "not found in signature def"),
        ({"inputs": [tensor()], "parameters": {"timeout": -1}}, "microseconds"),
        ({"inputs": [tensor()], "parameters": {"timeout": "1"}}, "microseconds"),
        ({"inputs": [tensor()], "parameters": 1}, "is a JSON object"),
        ({"inputs": [tensor()], "id": 1}, "'id' is a text"),
    ],
)
def test_requests_that_do_not_fit_say_why(document: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        read(document)


@pytest.mark.parametrize("length", ["", "0", "-1", "1e3", "99999", "9" * 30, "²"])
def test_a_length_of_the_json_that_cannot_be(length: str) -> None:
    with pytest.raises(InvalidArgument, match="Inference-Header-Content-Length"):
        read_infer(json.dumps({"inputs": [tensor()]}).encode(), length, ONE)


@pytest.mark.parametrize(
    ("size", "tensors", "message"),
    [
        (16, b"\0" * 15, "either 'data' or"),
        (15, b"\0" * 15, r"15 bytes, but FP32 of the shape \[2, 2\] has 16"),
        (16, b"\0" * 17, "belong to no input"),
        (-1, b"", "either 'data' or"),
        ("16", b"\0" * 16, "either 'data' or"),
    ],
)
def test_binary_tensors_that_do_not_fit(size: Any, tensors: bytes, message: str) -> None:
    given = {"name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": size}}
    with pytest.raises(InvalidArgument, match=message):
        binary({"inputs": [given]}, tensors)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0\0\0\0", struct.pack("<I", 5) + b"abcd", struct.pack("<II", 0, 2**32 - 1), struct.pack("<III", 0, 0, 0)],
)
def test_texts_that_end_too_soon_or_too_late(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        unpack(data, TensorSpec("t", "DT_STRING", (None,)), (2,))


def test_no_request_may_have_any_number_of_instances() -> None:
    rows = MAX_INSTANCES + 1
    with pytest.raises(BodyTooLarge):
        read({"inputs": [tensor([0] * (2 * rows), shape=[rows, 2])]})


def test_inputs_have_one_order_whatever_the_request_has() -> None:
    """Rows of several requests are put together in the order of their inputs."""
    signatures = {"serving_default": Signature({name: TensorSpec(name, "DT_FLOAT", (None,)) for name in "ba"}, OUTPUTS)}
    for names in ("ab", "ba"):
        inputs = [{"name": name, "datatype": "FP32", "shape": [1], "data": [1]} for name in names]
        assert list(read({"inputs": inputs}, signatures).inputs) == ["b", "a"]


def test_a_timeout_is_a_deadline() -> None:
    request = read({"inputs": [tensor()], "parameters": {"timeout": 1_500_000, "signature_name": "other"}})
    assert request.question(now=10.0).deadline == 11.5
    assert request.signature == "other"


def written(document: Any, token: str | None = "TOKEN", **outputs: Any) -> tuple[dict[str, Any], bytes]:
    request = read(document)
    texts = np.array([b"a", "好".encode()], object)
    answer = Answer({"y": np.array([[0.2], [np.nan]], np.float32), "t": texts} | outputs, 2, token, audited=True)
    response = write_infer(request, answer, model="m", version=3, revision="r1", signature=ONE["serving_default"])
    length = len(response.body) if response.json_length is None else response.json_length
    return json.loads(response.body[:length]), response.body[length:]


def test_an_answer_in_json() -> None:
    document, rest = written({"id": "7", "inputs": [tensor()]}, y=np.array([[0.2], [3]], np.float32))
    assert document == {
        "model_name": "m",
        "model_version": "3",
        "id": "7",
        "parameters": {"revision": "r1", "prediction_id": "TOKEN", "prediction_audit": True},
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [0.2, 3.0]},
            {"name": "t", "datatype": "BYTES", "shape": [2], "data": ["a", "好"]},
        ],
    }
    assert rest == b""
    document, _ = written({"inputs": [tensor()], "outputs": [{"name": "y"}]}, token=None)
    assert "id" not in document
    assert "prediction_id" not in document["parameters"]
    (output,) = document["outputs"]
    assert output["data"][0] == 0.2
    assert np.isnan(output["data"][1])


def test_outputs_come_in_the_order_and_the_form_that_is_asked_for() -> None:
    document, rest = written({"inputs": [tensor()], "parameters": {"binary_data_output": True}})
    assert [output["parameters"] for output in document["outputs"]] == [
        {"binary_data_size": 8},
        {"binary_data_size": 12},
    ]
    assert rest[:4] == struct.pack("<f", 0.2)
    assert rest[8:] == b"\1\0\0\0a\3\0\0\0" + "好".encode()
    outputs = [{"name": "t", "parameters": {"binary_data": False}}, {"name": "y", "parameters": {"binary_data": True}}]
    document, rest = written({"inputs": [tensor()], "outputs": outputs, "parameters": {"binary_data_output": True}})
    assert [output["name"] for output in document["outputs"]] == ["t", "y"]
    assert document["outputs"][0]["data"] == ["a", "好"]
    assert len(rest) == 8


def test_json_carries_no_bytes_that_are_no_text() -> None:
    wild = np.array([b"\xff"], object)
    with pytest.raises(InvalidArgument, match="binary_data"):
        written({"inputs": [tensor()]}, t=wild)
    _, rest = written({"inputs": [tensor()], "outputs": [{"name": "t", "parameters": {"binary_data": True}}]}, t=wild)
    assert rest == b"\1\0\0\0\xff"


def test_what_the_server_and_its_models_are() -> None:
    assert json.loads(write_server("s", "1")) == {"name": "s", "version": "1", "extensions": ["binary_tensor_data"]}
    assert json.loads(write_live(live=True)) == {"live": True}
    assert json.loads(write_ready(ready=False)) == {"ready": False}
    assert json.loads(write_ready(ready=True, model="m")) == {"name": "m", "ready": True}
    unknown = {"serving_default": Signature({"a": TensorSpec("a", "DT_STRING", None)}, OUTPUTS)}
    assert json.loads(write_model("m", [3, 2], unknown)) == {
        "name": "m",
        "versions": ["3", "2"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "a", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [-1, 1]},
            {"name": "t", "datatype": "BYTES", "shape": [-1]},
        ],
    }


def a_binary_request(rows: list[list[float]], **more: Any) -> tuple[bytes, str]:
    """A body and the length of its JSON."""
    numbers = np.array(rows, np.float32)
    given = {
        "name": "x",
        "datatype": "FP32",
        "shape": list(numbers.shape),
        "parameters": {"binary_data_size": numbers.nbytes},
    }
    text = json.dumps({"inputs": [given], **more}).encode()
    return text + numbers.tobytes(), str(len(text))


def test_json_that_comes_again_before_binary_tensors_means_the_same() -> None:
    requests = BinaryRequests()
    more = {"id": "7", "parameters": {"timeout": 5, "binary_data_output": True}, "outputs": [{"name": "y"}]}
    for rows in ([[1.0, 2]], [[3.0, 4]], [[5.0, float("nan")]], [[7.0, 8]]):
        body, length = a_binary_request(rows, **more)
        read_again, wanted = requests.read(body, length, ONE), read_infer(body, length, ONE)
        np.testing.assert_array_equal(read_again.inputs["x"], wanted.inputs["x"])
        assert replace(read_again, inputs={}) == replace(wanted, inputs={})
    assert len(requests._known) == 1
    with pytest.raises(InvalidArgument, match="7 are left"):
        requests.read(body[:-1], length, ONE)
    with pytest.raises(InvalidArgument, match="belong to no input"):
        requests.read(body + b"\0", length, ONE)
    with pytest.raises(InvalidArgument, match="JSON and tensors together"):
        requests.read(body[: int(length)], "999", ONE)
    with pytest.raises(InvalidArgument, match="no input 'x'"):
        requests.read(body, length, {"serving_default": Signature({"z": ONE["serving_default"].inputs["x"]}, OUTPUTS)})


def test_of_texts_that_never_come_again_few_are_remembered() -> None:
    requests = BinaryRequests()
    for number in range(500):
        requests.read(*a_binary_request([[1.0, 2]], id=f"{number}"), ONE)
    assert len(requests._known) == 0
    assert len(requests._seen) <= 64
    for number in range(500):
        for _ in range(2):
            requests.read(*a_binary_request([[1.0, 2]], id=f"{number}"), ONE)
    assert len(requests._known) <= 64


@pytest.mark.parametrize("dtype", [name for name in DATATYPES if name != "DT_STRING"])
def test_answers_of_one_output_are_as_if_written_in_full(dtype: str) -> None:
    signature = Signature(ONE["serving_default"].inputs, {"[]": TensorSpec("[]", dtype, None)})
    values: Any = np.array([[0, 1], [1, 1]], NUMPY_TYPES[dtype])
    arrays = [values, values[0, 0].reshape(()), values[:0], values.T]
    if values.dtype.kind == "f":
        arrays.append(np.array([0.2, np.nan, np.inf], values.dtype))
    for array in arrays:
        for outputs in ([], [{"name": "[]", "parameters": {"binary_data": True}}]):
            for audited in (False, True):
                request = read({"inputs": [tensor()], "outputs": outputs}, {"serving_default": signature})
                answer = Answer({"[]": array}, 2, "T-_.0", audited)
                about: Any = {"model": "m", "version": 3, "revision": "r1", "signature": signature}
                usual = write_infer(request, answer, **about)
                with_id = write_infer(replace(request, id="7"), answer, **about)
                text, length = with_id.body.replace(b'"id":"7",', b""), with_id.json_length
                assert (usual.body, usual.json_length) == (text, None if length is None else length - 9)
