"""What gRPC's messages mean: tensors of every type, in every form, and messages that are none."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import model_server.runtime  # noqa: F401  # Before TensorFlow's messages.
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_server.contract import FeedbackRejection
from model_server.dataplane.question import Answer
from model_server.dataplane.servable import VersionState, VersionStatus
from model_server.errors import BodyTooLarge, FailedPrecondition, InvalidArgument, LabelRejected, RequestError
from model_server.protocols import feedback_grpc, feedback_pb2, open_inference_grpc, tensorflow_grpc
from model_server.protocols import open_inference_pb2 as v2
from model_server.protocols.examples import Task
from model_server.protocols.feedback_rest import MAX_LABELS
from model_server.protocols.open_inference_tensors import DATATYPES
from model_server.protocols.tensor_protos import MAX_FILLED_BYTES, MAX_TENSOR_BYTES, NUMBERS, from_tensor, to_tensor
from model_server.protocols.usual_messages import Forms
from model_server.rpc.open_inference import parse
from model_server.tensors import NUMPY_TYPES, STRING, Signature, TensorSpec
from tensorflow.core.example.example_pb2 import Example
from tensorflow.core.framework import types_pb2
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from model_server.dataplane.question import Question

X = TensorSpec("x", "DT_FLOAT", (None, 2), "x:0")
Y = TensorSpec("y", "DT_FLOAT", (None,), "y:0")
SIGNATURES = {
    "serving_default": Signature({"x": X}, {"y": Y, "z": TensorSpec("z", "DT_HALF", None)}),
    "texts": Signature({"t": TensorSpec("t", STRING, (None,))}, {"t": TensorSpec("t", STRING, (None,))}),
    "classify": Signature(
        {"inputs": TensorSpec("inputs", STRING, (None,))},
        {"classes": TensorSpec("classes", STRING, (None, 2)), "scores": TensorSpec("scores", "DT_FLOAT", (None, 2))},
        "tensorflow/serving/classify",
    ),
    "regress": Signature(
        {"inputs": TensorSpec("inputs", STRING, (None,))}, {"outputs": TensorSpec("outputs", "DT_FLOAT", (None,))}
    ),
}


@dataclass
class Loaded:
    """A servable that is only looked at."""

    model: str = "m"
    version: int = 7
    revision: str = "r1"
    signatures: Mapping[str, Signature] = field(default_factory=lambda: SIGNATURES)

    async def ask(self, question: Question) -> Answer:
        raise NotImplementedError


SERVABLE = Loaded()


def tensor(dtype: str, shape: tuple[int, ...], **fields: Any) -> TensorProto:
    proto = TensorProto(dtype=NUMBERS[dtype], **fields)
    proto.tensor_shape.SetInParent()
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def predict(name: str = "x", signature: str = "", **changes: Any) -> Any:
    request = predict_pb2.PredictRequest(model_spec={"name": "m", "signature_name": signature}, **changes)
    content = np.arange(4, dtype=np.float32).tobytes()
    request.inputs[name].CopyFrom(tensor("DT_FLOAT", (2, 2), tensor_content=content))
    return request


# --- TensorFlow's tensors ------------------------------------------------------------------------------------------


def test_numbers_of_types_are_tensorflows() -> None:
    assert {name: types_pb2.DataType.Value(name) for name in NUMBERS} == NUMBERS
    assert NUMBERS.keys() == {*NUMPY_TYPES, STRING}


@pytest.mark.parametrize("dtype", NUMPY_TYPES)
def test_packed_numbers_of_every_type_come_and_go(dtype: str) -> None:
    spec = TensorSpec("x", dtype, (None, 2))
    values = np.array([[0, 1], [1, 0]], NUMPY_TYPES[dtype])
    proto = TensorProto()
    to_tensor(values, dtype, proto)

    assert proto.dtype == NUMBERS[dtype]
    array = from_tensor(proto, spec)
    assert array.dtype == NUMPY_TYPES[dtype]
    assert array.tolist() == values.tolist()


@pytest.mark.parametrize(
    ("dtype", "name", "given", "wanted"),
    [
        ("DT_FLOAT", "float_val", [1.5, 2.5], [1.5, 2.5]),
        ("DT_DOUBLE", "double_val", [1.5, 2.5], [1.5, 2.5]),
        ("DT_HALF", "half_val", [0x3E00, 0x4100], [1.5, 2.5]),
        ("DT_BFLOAT16", "half_val", [0x3FC0, 0x4020], [1.5, 2.5]),
        ("DT_INT8", "int_val", [-128, 127], [-128, 127]),
        ("DT_INT16", "int_val", [-1, 1], [-1, 1]),
        ("DT_INT32", "int_val", [-1, 1], [-1, 1]),
        ("DT_INT64", "int64_val", [-(2**62), 1], [-(2**62), 1]),
        ("DT_UINT8", "int_val", [0, 255], [0, 255]),
        ("DT_UINT16", "int_val", [0, 65535], [0, 65535]),
        ("DT_UINT32", "uint32_val", [0, 2**32 - 1], [0, 2**32 - 1]),
        ("DT_UINT64", "uint64_val", [0, 2**64 - 1], [0, 2**64 - 1]),
        ("DT_BOOL", "bool_val", [True, False], [True, False]),
        (STRING, "string_val", [b"a", b"\xff"], [b"a", b"\xff"]),
    ],
)
def test_values_one_by_one_of_every_type(dtype: str, name: str, given: list[Any], wanted: list[Any]) -> None:
    spec = TensorSpec("x", dtype, (None,))
    array = from_tensor(tensor(dtype, (2,), **{name: given}), spec)

    assert array.tolist() == wanted
    assert array.dtype == (np.object_ if dtype == STRING else NUMPY_TYPES[dtype])
    # The last value stands for those that are left out, and none for zeros, as TensorFlow has it.
    assert from_tensor(tensor(dtype, (4,), **{name: given}), spec).tolist() == [*wanted, wanted[1], wanted[1]]
    assert from_tensor(tensor(dtype, (3,)), spec).tolist() == [b"" if dtype == STRING else 0] * 3
    with pytest.raises(InvalidArgument, match=r"has 2 values, but the shape \[1\] has 1"):
        from_tensor(tensor(dtype, (1,), **{name: given}), spec)


@pytest.mark.parametrize(
    ("proto", "message"),
    [
        (tensor("DT_DOUBLE", (2, 2)), "is DT_DOUBLE, but the model takes DT_FLOAT"),
        (TensorProto(dtype=99), "of the type 99"),
        (tensor("DT_FLOAT", (2, 2), tensor_content=b"123"), "has 3 bytes"),
        (tensor("DT_FLOAT", (-2, -2), tensor_content=bytes(16)), "sizes are known"),
        (tensor("DT_FLOAT", (2, 1) + (1,) * 20, tensor_content=bytes(8)), "has the shape"),
        (tensor("DT_FLOAT", (2, -1)), "sizes are known"),
        (tensor("DT_FLOAT", (2**62, 2**62)), "too large"),
        (tensor("DT_FLOAT", (MAX_TENSOR_BYTES // 4, 2), float_val=[1.0]), "is over 256 MiB"),
        (tensor("DT_FLOAT", (MAX_FILLED_BYTES // 4, 2), float_val=[1.0]), "is over 64 MiB"),
        (tensor("DT_FLOAT", (1,) * 100), "too large"),
        (tensor("DT_FLOAT", (2, 3)), r"has the shape \(2, 3\), but the model takes \(\?, 2\)"),
        (TensorProto(dtype=1, tensor_shape={"unknown_rank": True}), "does not say which shape"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(proto: TensorProto, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        from_tensor(proto, X)


def test_no_room_is_made_for_shapes_that_the_model_does_not_take() -> None:
    proto = tensor("DT_FLOAT", (2**10, 2**13), float_val=[1.0])  # 32 MiB
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgument, match="has the shape"):
            from_tensor(proto, X)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_values_beyond_their_type_are_refused() -> None:
    for dtype, name, value in (("DT_INT8", "int_val", 128), ("DT_UINT8", "int_val", -1), ("DT_HALF", "half_val", -1)):
        with pytest.raises(InvalidArgument, match="beyond"):
            from_tensor(tensor(dtype, (1,), **{name: [value]}), TensorSpec("x", dtype, (None,)))


def test_packed_texts_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="string_val"):
        from_tensor(tensor(STRING, (1,), tensor_content=b"\x01a"), TensorSpec("x", STRING, (None,)))


# --- TensorFlow Serving's messages ---------------------------------------------------------------------------------


def test_a_prediction_names_signature_inputs_and_outputs() -> None:
    question = tensorflow_grpc.read_predict(predict(output_filter=["y"]), SERVABLE, 12.0)

    assert (question.signature, question.outputs, question.deadline) == ("serving_default", ("y",), 12.0)
    assert question.inputs["x"].tolist() == [[0, 1], [2, 3]]


def test_an_answer_says_what_was_asked_and_packs_its_outputs() -> None:
    question = tensorflow_grpc.read_predict(predict(), SERVABLE)
    outputs = {"y": np.array([1, 2], np.float32), "z": np.array([[0.5]], np.float16)}
    response = predict_pb2.PredictResponse.FromString(
        tensorflow_grpc.write_predict(question, Answer(outputs, 2, None), SERVABLE)
    )

    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("m", 7, "serving_default")
    assert np.frombuffer(response.outputs["y"].tensor_content, np.float32).tolist() == [1, 2]
    assert response.outputs["z"].dtype == types_pb2.DT_HALF
    assert [dim.size for dim in response.outputs["z"].tensor_shape.dim] == [1, 1]


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        (predict(signature="none"), FailedPrecondition, 'Serving signature key "none" not found'),
        (predict("wrong"), InvalidArgument, r"Sent extra: {wrong}\. Missing but required: {x}"),
        (predict(output_filter=["none"]), InvalidArgument, "output tensor alias not found in signature: none"),
        (predict(output_filter=["y", "y"]), InvalidArgument, "twice"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(request_: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tensorflow_grpc.read_predict(request_, SERVABLE)


def test_too_many_instances_are_refused() -> None:
    request = predict(signature="texts")
    del request.inputs["x"]
    request.inputs["t"].CopyFrom(tensor(STRING, (20_000,), string_val=[b"a"]))
    with pytest.raises(BodyTooLarge, match="20000 instances"):
        tensorflow_grpc.read_predict(request, SERVABLE)


def test_a_model_is_looked_up_by_name_version_or_label() -> None:
    def found(**spec: Any) -> Any:
        request = predict_pb2.PredictRequest(model_spec=spec)
        return tensorflow_grpc.find(request.model_spec, lambda *asked: asked)

    assert found(name="m") == ("m", None, None)
    assert found(name="m", version={"value": 3}) == ("m", 3, None)
    assert found(name="m", version_label="stable") == ("m", None, "stable")
    with pytest.raises(InvalidArgument, match="no name"):
        found()


def examples(kind: Any, signature: str, *, context: bool = False) -> Any:
    listed = [Example(features={"feature": {"x": {"float_list": {"value": [number]}}}}) for number in (1.0, 2.0)]
    shared = Example(features={"feature": {"x": {"float_list": {"value": [9.0]}}, "c": {"int64_list": {"value": [5]}}}})
    given = {"examples": listed, **({"context": shared} if context else {})}
    return kind(
        model_spec={"name": "m", "signature_name": signature},
        input={"example_list_with_context" if context else "example_list": given},
    )


def test_examples_come_with_their_context() -> None:
    request = examples(classification_pb2.ClassificationRequest, "classify", context=True)
    question = tensorflow_grpc.read_examples(Task.CLASSIFY, request, SERVABLE)

    read = [Example.FromString(text).features.feature for text in question.inputs["inputs"]]
    assert [each["x"].float_list.value[0] for each in read] == [1.0, 2.0]  # The example goes before the context.
    assert [each["c"].int64_list.value[0] for each in read] == [5, 5]


def test_a_large_context_does_not_become_as_many() -> None:
    request = examples(classification_pb2.ClassificationRequest, "classify", context=True)
    given = request.input.example_list_with_context
    given.context.features.feature["t"].bytes_list.value.append(bytes(2**20))
    given.examples.extend([Example()] * 100)
    with pytest.raises(BodyTooLarge, match="over 64 MiB"):
        tensorflow_grpc.read_examples(Task.CLASSIFY, request, SERVABLE)


def test_classes_and_values_are_answered() -> None:
    request = examples(classification_pb2.ClassificationRequest, "classify")
    question = tensorflow_grpc.read_examples(Task.CLASSIFY, request, SERVABLE)
    classes = np.array([[b"a", b"b"]] * 2, object)
    scores = np.array([[0.25, 0.75]] * 2, np.float32)
    written = tensorflow_grpc.write_examples(
        Task.CLASSIFY, question, Answer({"classes": classes, "scores": scores}, 2, None), SERVABLE
    )
    response = classification_pb2.ClassificationResponse.FromString(written)
    assert [(each.label, each.score) for each in response.result.classifications[1].classes] == [
        ("a", 0.25),
        ("b", 0.75),
    ]

    question = tensorflow_grpc.read_examples(
        Task.REGRESS, examples(regression_pb2.RegressionRequest, "regress"), SERVABLE
    )
    values = Answer({"outputs": np.array([1.5, 2.5], np.float32)}, 2, None)
    written = tensorflow_grpc.write_examples(Task.REGRESS, question, values, SERVABLE)
    result = regression_pb2.RegressionResponse.FromString(written).result
    assert [each.value for each in result.regressions] == [1.5, 2.5]


def test_a_multi_inference_asks_several_signatures_of_one_model() -> None:
    given = examples(classification_pb2.ClassificationRequest, "classify").input
    task = inference_pb2.InferenceTask
    tasks = [
        task(model_spec={"name": "m", "signature_name": name}, method_name=f"tensorflow/serving/{name}")
        for name in ("classify", "regress")
    ]
    read = tensorflow_grpc.read_multi_inference(inference_pb2.MultiInferenceRequest(tasks=tasks, input=given), None)
    assert [(kind, question.signature) for kind, question in read(SERVABLE)] == [
        (Task.CLASSIFY, "classify"),
        (Task.REGRESS, "regress"),
    ]
    for wrong in ([], [tasks[0], tasks[0]], [task(model_spec={"name": "m"}, method_name="other")]):
        with pytest.raises(RequestError):
            tensorflow_grpc.read_multi_inference(inference_pb2.MultiInferenceRequest(tasks=wrong), None)


def test_metadata_describe_signatures() -> None:
    response = get_model_metadata_pb2.GetModelMetadataResponse.FromString(tensorflow_grpc.write_metadata(SERVABLE))
    definitions = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(definitions)
    assert definitions.signature_def.keys() == SIGNATURES.keys()
    described = definitions.signature_def["serving_default"]
    assert described.inputs["x"].name == "x:0"
    assert [dim.size for dim in described.inputs["x"].tensor_shape.dim] == [-1, 2]
    assert described.outputs["z"].tensor_shape.unknown_rank
    assert definitions.signature_def["classify"].method_name == "tensorflow/serving/classify"


def test_only_metadata_that_are_there_can_be_asked_for() -> None:
    for fields in ([], ["other"]):
        with pytest.raises(InvalidArgument):
            tensorflow_grpc.read_metadata_fields(get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields))


def test_states_are_tensorflow_servings() -> None:
    kinds = get_model_status_pb2.ModelVersionStatus.State
    states = [VersionStatus(1, VersionState.END, "why"), VersionStatus(2, VersionState.AVAILABLE, remark="note")]
    response = get_model_status_pb2.GetModelStatusResponse.FromString(tensorflow_grpc.write_status(states))
    first, second = response.model_version_status
    assert (first.version, first.state, first.status.error_message) == (1, kinds.END, "why")
    assert first.status.error_code != 0
    assert (second.state, second.status.error_code, second.status.error_message) == (kinds.AVAILABLE, 0, "note")
    for state in VersionState:
        written = tensorflow_grpc.write_status([VersionStatus(1, state)])
        read = get_model_status_pb2.GetModelStatusResponse.FromString(written).model_version_status[0].state
        assert kinds.Name(read) == state


# --- Messages that are like others ---------------------------------------------------------------------------------


def learned(message: bytes) -> tuple[Forms, Question]:
    """What is known after this message has come twice, and what it meant."""
    forms = Forms(predict_pb2.PredictRequest.FromString, tensorflow_grpc.numbers_of)
    for _ in range(2):
        assert forms.find(message) is None
        request = predict_pb2.PredictRequest.FromString(message)
        question = tensorflow_grpc.read_predict(request, SERVABLE)
        forms.learn(message, request, question, ("m", None, None), SIGNATURES)
    return forms, question


def test_what_began_like_this_before_is_understood_by_its_beginning() -> None:
    message = predict(output_filter=[]).SerializeToString()
    forms, _ = learned(message)
    numbers = np.array([[5, float("nan")], [7, 8]], np.float32)
    other = message[:-16] + numbers.tobytes()
    form = forms.find(other)
    assert form is not None
    assert (form.model, form.signatures) == (("m", None, None), SIGNATURES)
    question = form.question(other, 5.0)
    assert (question.signature, question.outputs, question.deadline) == ("serving_default", (), 5.0)
    np.testing.assert_array_equal(question.inputs["x"], numbers)
    assert forms.find(other[:-1]) is None
    assert forms.find(b"\x0b" + other[1:]) is None


@pytest.mark.parametrize(
    "after",
    [
        predict_pb2.PredictRequest(output_filter=["y"]).SerializeToString(),
        b"\x82\x01\x10" + np.arange(4, dtype=np.float32).tobytes(),  # A field of no name, with the same bytes.
    ],
)
def test_messages_that_do_not_end_with_their_numbers_are_read_as_ever(after: bytes) -> None:
    message = predict().SerializeToString() + after
    forms, _ = learned(message)
    assert forms.find(message) is None


def test_elements_one_by_one_are_read_as_ever() -> None:
    request = predict()
    request.inputs["x"].ClearField("tensor_content")
    request.inputs["x"].float_val.extend([1, 2, 3, 4])
    forms, _ = learned(request.SerializeToString())
    assert forms.find(request.SerializeToString()) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_is_found_means_what_it_would_mean_read_in_full(data: st.DataObject) -> None:
    message = predict().SerializeToString()
    forms, _ = learned(message)
    changed = bytearray(message)
    for place in data.draw(st.lists(st.integers(0, len(message) - 1), max_size=4)):
        changed[place] = data.draw(st.integers(0, 255))
    form = forms.find(bytes(changed))
    if form is not None:
        request = predict_pb2.PredictRequest.FromString(bytes(changed))
        wanted = tensorflow_grpc.read_predict(request, SERVABLE)
        question = form.question(bytes(changed), None)
        np.testing.assert_array_equal(question.inputs["x"], wanted.inputs["x"])
        assert question._replace(inputs={}) == wanted._replace(inputs={})


def test_so_many_messages_of_one_length_are_known_and_no_more() -> None:
    forms = Forms(predict_pb2.PredictRequest.FromString, tensorflow_grpc.numbers_of)
    messages = [
        predict_pb2.PredictRequest.FromString(predict().SerializeToString().replace(b"\x01m", b"\x01" + bytes((name,))))
        for name in b"abcdefg"
    ]
    for request in (*messages, *messages):
        for _ in range(2):
            question = tensorflow_grpc.read_predict(request, SERVABLE)
            forms.learn(request.SerializeToString(), request, question, (request.model_spec.name,), SIGNATURES)
    found = [forms.find(request.SerializeToString()) for request in messages]
    assert [form and form.model for form in found] == [("a",), ("b",), ("c",), ("d",), None, None, None]


@pytest.mark.parametrize("value", [0.0, 255.0, float("nan")])
def test_answers_that_are_like_others_are_as_if_written_in_full(value: float) -> None:
    array = np.full((2,), value, np.float32)
    question = open_inference_grpc.read_infer(infer(raw=bytes(16)), SERVABLE)
    loaded = Loaded(signatures={"serving_default": Signature({"x": X}, {"y": Y})})
    for token, audited in (("T" * 100, False), ("a" * 100, True), (None, False)):
        answer = Answer({"y": array}, 2, token, audited)
        text = open_inference_grpc.write_infer("id", question, answer, loaded, packed=True)
        written = v2.ModelInferResponse.FromString(text)
        wanted = v2.ModelInferResponse(model_name="m", model_version="7", id="id")
        wanted.parameters["revision"].string_param = "r1"
        if token is not None:
            wanted.parameters["prediction_id"].string_param = token
        if audited:
            wanted.parameters["prediction_audit"].bool_param = True
        wanted.outputs.add(name="y", datatype="FP32", shape=[2])
        wanted.raw_output_contents.append(array.tobytes())
        assert written == wanted
        response = predict_pb2.PredictResponse.FromString(tensorflow_grpc.write_predict(question, answer, loaded))
        assert (response.model_spec.name, response.model_spec.version.value) == ("m", 7)
        proto = TensorProto()
        to_tensor(array, "DT_FLOAT", proto)
        assert response.outputs["y"] == proto


# --- The Open Inference Protocol -----------------------------------------------------------------------------------


def infer(datatype: str = "FP32", shape: tuple[int, ...] = (2, 2), raw: bytes | None = None, **contents: Any) -> Any:
    request = v2.ModelInferRequest(model_name="m", id="id")
    given = request.inputs.add(name="x", datatype=datatype, shape=shape)
    if raw is None:
        given.contents.SetInParent()
        for name, values in contents.items():
            getattr(given.contents, name).extend(values)
    else:
        request.raw_input_contents.append(raw)
    return request


CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


@pytest.mark.parametrize("dtype", DATATYPES)
def test_tensors_of_every_type_come_and_go_in_both_forms(dtype: str) -> None:
    spec = TensorSpec("x", dtype, (None,))
    loaded = Loaded(signatures={"serving_default": Signature({"x": spec}, {"x": spec})})
    name = DATATYPES[dtype]
    values: Any = [b"a", b"\x00\xff"] if dtype == STRING else [0, 1]
    array = np.array(values, object if dtype == STRING else NUMPY_TYPES[dtype])
    request = infer(name, (2,), **({CONTENTS[name]: values} if name in CONTENTS else {}))
    if name in CONTENTS:
        question = open_inference_grpc.read_infer(request, loaded)
        assert question.inputs["x"].tolist() == array.tolist()
        assert question.inputs["x"].dtype == array.dtype
    else:
        with pytest.raises(InvalidArgument, match="only raw_input_contents"):
            open_inference_grpc.read_infer(request, loaded)
        request = infer(name, (2,), raw=(b"\x00\x00\x80\x3f" if name == "BF16" else array.tobytes()))
        question = open_inference_grpc.read_infer(request, loaded)
    written = v2.ModelInferResponse.FromString(
        open_inference_grpc.write_infer(
            request.id,
            question,
            Answer({"x": array}, 2, "T", audited=True),
            loaded,
            packed=bool(request.raw_input_contents),
        )
    )
    assert (written.id, written.model_version, written.parameters["prediction_id"].string_param) == ("id", "7", "T")
    assert written.parameters["revision"].string_param == "r1"
    assert written.parameters["prediction_audit"].bool_param
    if name in CONTENTS:
        assert list(getattr(written.outputs[0].contents, CONTENTS[name])) == values
        assert not written.raw_output_contents
    else:
        raw = infer(name, (2,), raw=written.raw_output_contents[0])
        assert open_inference_grpc.read_infer(raw, loaded).inputs["x"].tolist() == array.tolist()


def test_what_comes_packed_goes_packed() -> None:
    request = infer(raw=np.arange(4, dtype=np.float32).tobytes())
    request.outputs.add(name="y")
    request.parameters["part"].string_param = "north"
    question = open_inference_grpc.read_infer(request, SERVABLE, 5.0)
    assert question.inputs["x"].tolist() == [[0, 1], [2, 3]]
    assert (question.outputs, question.deadline, question.parameters) == (("y",), 5.0, {"part": "north"})
    answer = Answer({"y": np.array([1, 2], np.float32)}, 2, None)
    text = open_inference_grpc.write_infer(request.id, question, answer, SERVABLE, packed=True)
    written = v2.ModelInferResponse.FromString(text)
    assert [np.frombuffer(raw, np.float32).tolist() for raw in written.raw_output_contents] == [[1, 2]]
    assert "prediction_id" not in written.parameters


def test_a_parameter_chooses_the_signature() -> None:
    request = infer("BYTES", (1,), bytes_contents=[b"a"])
    request.inputs[0].name = "t"
    request.parameters["signature_name"].string_param = "texts"
    assert open_inference_grpc.read_infer(request, SERVABLE).signature == "texts"
    request.parameters["signature_name"].string_param = "none"
    with pytest.raises(InvalidArgument, match="none"):
        open_inference_grpc.read_infer(request, SERVABLE)


def test_a_timeout_ends_the_waiting_if_the_deadline_does_not() -> None:
    request = infer(fp32_contents=[1, 2, 3, 4])
    request.parameters["timeout"].int64_param = 2_000_000
    for deadline, wanted in ((None, 12.0), (11.0, 11.0), (13.0, 12.0)):
        assert open_inference_grpc.read_infer(request, SERVABLE, deadline, 10.0).deadline == wanted
    request.parameters["timeout"].string_param = "soon"
    with pytest.raises(InvalidArgument, match="microseconds"):
        open_inference_grpc.read_infer(request, SERVABLE)


def test_inputs_have_one_order() -> None:
    specs = {name: TensorSpec(name, "DT_FLOAT", (None, None)) for name in "ba"}
    loaded = Loaded(signatures={"serving_default": Signature(specs, {})})
    for names in ("ab", "ba"):
        request = v2.ModelInferRequest(model_name="m")
        for name in names:
            request.inputs.add(name=name, datatype="FP32", shape=(1, 1), contents={"fp32_contents": [1]})
        assert list(open_inference_grpc.read_infer(request, loaded).inputs) == ["b", "a"]


def changed(change: Any) -> Any:
    request = infer(fp32_contents=[1, 2, 3, 4])
    change(request)
    return request


@pytest.mark.parametrize(
    "request_",
    [
        infer("FP64", fp64_contents=[1, 2, 3, 4]),
        infer(fp32_contents=[1, 2, 3]),
        infer(fp64_contents=[1, 2, 3, 4]),
        infer(shape=(2, -2), fp32_contents=[1, 2, 3, 4]),
        infer(shape=(2**62, 2**62), fp32_contents=[1]),
        infer(shape=(4,), fp32_contents=[1, 2, 3, 4]),
        infer(raw=b"1"),
        changed(lambda request: request.raw_input_contents.extend([b"", b""])),
        changed(lambda request: request.raw_input_contents.append(bytes(16))),
        changed(lambda request: request.inputs.append(request.inputs[0])),
        changed(lambda request: request.ClearField("inputs")),
        changed(lambda request: request.outputs.add(name="none")),
        changed(lambda request: [request.outputs.add(name="y") for _ in range(2)]),
    ],
)
def test_what_does_not_fit_the_model_is_refused(request_: Any) -> None:
    with pytest.raises(InvalidArgument):
        open_inference_grpc.read_infer(request_, SERVABLE)


def test_versions_are_numbers() -> None:
    assert [open_inference_grpc.read_version(text) for text in ("", "12")] == [None, 12]
    for text in ("x", "-1", "1.0", "٣", "9" * 30):
        with pytest.raises(InvalidArgument):
            open_inference_grpc.read_version(text)


def test_a_model_is_described() -> None:
    response = v2.ModelMetadataResponse.FromString(open_inference_grpc.write_metadata(SERVABLE, [7]))
    assert (response.name, list(response.versions)) == ("m", ["7"])
    assert [(each.name, each.datatype, list(each.shape)) for each in response.inputs] == [("x", "FP32", [-1, 2])]


# --- Labels --------------------------------------------------------------------------------------------------------


def test_labels_are_numbers_names_truths_or_scores() -> None:
    label = feedback_pb2.Label
    request = feedback_pb2.SendRequest(
        labels=[
            label(id="a", number=0),
            label(id="b", name="sport"),
            label(id="c", truth=False),
            label(id="d", score=0.5),
            label(id="e"),
        ]
    )
    labels = feedback_grpc.read_feedback(request)
    assert [tuple(each) for each in labels] == [("a", 0), ("b", "sport"), ("c", False), ("d", 0.5), ("e", None)]
    assert labels[2].label is False
    refusal = LabelRejected(FeedbackRejection.DUPLICATE, "again")
    response = feedback_pb2.SendResponse.FromString(feedback_grpc.write_results(labels[:2], [None, refusal]))
    assert [(each.id, each.accepted, each.reason, each.message) for each in response.results] == [
        ("a", True, "", ""),
        ("b", False, "duplicate", "again"),
    ]


@pytest.mark.parametrize("count", [0, MAX_LABELS + 1])
def test_labels_come_in_bounded_numbers(count: int) -> None:
    with pytest.raises(RequestError):
        feedback_grpc.read_feedback(feedback_pb2.SendRequest(labels=[feedback_pb2.Label()] * count))


# --- Whatever comes ------------------------------------------------------------------------------------------------

sizes = st.lists(st.one_of(st.integers(0, 3), st.integers(-(2**63), 2**63 - 1)), max_size=4)
numbers = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5)
floats = st.lists(st.floats(width=32), max_size=5)


def understood(read: Callable[[], Any]) -> Any:
    """What is read; None if it was refused as the client's fault."""
    try:
        return read()
    except RequestError as error:
        if error.status not in {400, 413}:
            raise
        return None


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(NUMBERS)), st.integers(0, 30), sizes, st.binary(max_size=17), numbers, floats)
def test_no_tensor_does_harm(
    dtype: str, number: int, shape: list[int], content: bytes, ints: list[int], reals: list[float]
) -> None:
    wanted = TensorSpec("x", dtype, None)
    for given_number in (number, NUMBERS[dtype]):
        proto = TensorProto(dtype=given_number, tensor_content=content, int_val=ints, half_val=ints, float_val=reals)
        for size in shape:
            proto.tensor_shape.dim.add(size=size)
        try:
            array = from_tensor(proto, wanted)
        except InvalidArgument:
            continue
        assert list(array.shape) == shape


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*DATATYPES.values(), ""]), sizes, st.one_of(st.none(), st.binary(max_size=17)), numbers, floats)
def test_no_inference_does_harm(
    datatype: str, shape: list[int], raw: bytes | None, ints: list[int], reals: list[float]
) -> None:
    request = v2.ModelInferRequest()
    spec = TensorSpec("x", next((name for name, own in DATATYPES.items() if own == datatype), "DT_FLOAT"), None)
    loaded = Loaded(signatures={"serving_default": Signature({"x": spec}, {"x": spec})})
    given_input = request.inputs.add(name="x", datatype=datatype, shape=shape)
    if raw is None:
        given_input.contents.int_contents.extend(ints)
        given_input.contents.fp32_contents.extend(reals)
    else:
        request.raw_input_contents.append(raw)
    question = understood(lambda: open_inference_grpc.read_infer(request, loaded))
    assert question is None or list(question.inputs["x"].shape) == shape


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_refused(message: bytes) -> None:
    readers = (
        (predict_pb2.PredictRequest, lambda request: tensorflow_grpc.read_predict(request, SERVABLE)),
        (v2.ModelInferRequest, lambda request: open_inference_grpc.read_infer(request, SERVABLE)),
        (
            classification_pb2.ClassificationRequest,
            lambda request: tensorflow_grpc.read_examples(Task.CLASSIFY, request, SERVABLE),
        ),
        (feedback_pb2.SendRequest, feedback_grpc.read_feedback),
    )
    for kind, read in readers:
        understood(lambda read=read, kind=kind: read(parse(kind, message)))  # type: ignore[misc]
