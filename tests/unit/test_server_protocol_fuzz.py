"""Whatever comes in, a reader gives arrays that fit the model, or an error that is meant for the client."""

from __future__ import annotations

import json
import math
import os
from contextlib import suppress
from typing import Any

import numpy as np
import orjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from model_server import tensorflow_package
from model_server.dataplane.question import Answer
from model_server.errors import RequestError
from model_server.protocols import examples, json_tensors, open_inference_rest, open_inference_tensors, tensorflow_rest
from model_server.protocols.feedback_rest import read_feedback
from model_server.tensors import NUMPY_TYPES, Signature, TensorSpec

tensorflow_package.enter()

TYPES = sorted([*NUMPY_TYPES, "DT_STRING"])
SHAPES = st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(0, 3)), max_size=3).map(tuple))
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.integers(-130, 130), st.floats(), st.sampled_from([2**31, 2**63, 1e39, 1e-320])
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        NUMBERS,
        st.text(max_size=5),
        st.fixed_dictionaries({"b64": st.one_of(st.text(max_size=5), st.just("eA=="), st.just("eA"))}),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("xyz"), inner, max_size=2)),
    max_leaves=12,
)
"""Anything that JSON may hold, and now and then something that a model takes."""
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
"""Of each test; for a long run by hand, 20000 takes a quarter of an hour."""
QUICK = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def signatures(draw: Any) -> dict[str, Signature]:
    names = draw(st.lists(st.sampled_from("xyz"), min_size=1, max_size=2, unique=True))
    inputs = {name: TensorSpec(name, draw(st.sampled_from(TYPES)), draw(SHAPES)) for name in names}
    return {"serving_default": Signature(inputs, {"y": TensorSpec("y", "DT_FLOAT", None)})}


def held_to(inputs: dict[str, Any], signature: Signature) -> None:
    """What was read is what the session of a model takes."""
    assert inputs.keys() == signature.inputs.keys()
    for name, spec in signature.inputs.items():
        array = inputs[name]
        assert array.dtype == (object if spec.dtype == "DT_STRING" else NUMPY_TYPES[spec.dtype])
        assert array.flags.aligned
        if spec.dtype == "DT_STRING":
            assert {type(value) for value in array.reshape(-1).tolist()} <= {bytes}
        if spec.shape is not None and len(spec.shape) == array.ndim:
            assert all(want in (None, size) for want, size in zip(spec.shape, array.shape, strict=True))


def dump(document: Any) -> bytes:
    """As any client may write it: with NaN, half surrogate pairs and whole numbers of any size."""
    return json.dumps(document).encode()


@QUICK
@given(
    signatures(),
    st.one_of(
        st.fixed_dictionaries({"instances": VALUES}),
        st.fixed_dictionaries({"instances": st.lists(VALUES, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"inputs": VALUES}, optional={"signature_name": VALUES, "parameters": VALUES}),
        VALUES,
    ),
)
def test_requests_of_tensorflow_serving(all_signatures: dict[str, Signature], document: Any) -> None:
    try:
        request = tensorflow_rest.read_predict(dump(document), all_signatures)
    except RequestError:
        return
    held_to(request.inputs, all_signatures["serving_default"])


@QUICK
@given(st.sampled_from(TYPES), st.lists(NUMBERS, max_size=4), SHAPES)
@example("DT_FLOAT", [3.5e38], (None,))
@example("DT_HALF", [65520.0], (None,))
@example("DT_INT8", [128], (None,))
def test_the_quick_way_and_the_other_agree(dtype: str, values: list[Any], shape: Any) -> None:
    spec = TensorSpec("x", dtype, shape)
    value: Any = [values] if shape is not None and len(shape) == 2 else values
    try:
        slow = json_tensors.from_json(value, spec, truth=True)
    except RequestError:
        slow = None
    try:
        quick = json_tensors.from_json(value, spec, truth=False)
    except RequestError:
        quick = None
    assert (slow is None) == (quick is None)
    if slow is not None and quick is not None:
        assert (slow.dtype, slow.shape) == (quick.dtype, quick.shape)
        np.testing.assert_array_equal(slow, quick)


@QUICK
@given(
    st.sampled_from(list(examples.Task)),
    st.fixed_dictionaries(
        {"examples": st.one_of(VALUES, st.lists(st.dictionaries(st.text(max_size=3), VALUES, max_size=3), max_size=3))},
        optional={"context": VALUES, "signature_name": st.one_of(VALUES, st.just("regress"))},
    ),
)
def test_examples(task: examples.Task, document: Any) -> None:
    inputs = {"inputs": TensorSpec("inputs", "DT_STRING", (None,))}
    both = {
        "serving_default": Signature(inputs, {"scores": TensorSpec("scores", "DT_FLOAT", None)}),
        "regress": Signature(inputs, {"outputs": TensorSpec("outputs", "DT_FLOAT", None)}),
    }
    try:
        request = examples.read_examples(task, dump(document), both)
    except RequestError:
        return
    held_to(request.inputs, both[request.signature])


TENSORS = st.fixed_dictionaries(
    {
        "name": st.one_of(st.sampled_from("xyz"), VALUES),
        "datatype": st.one_of(st.sampled_from(sorted(open_inference_tensors.DATATYPES.values())), VALUES),
        "shape": st.one_of(st.lists(st.integers(-1, 3), max_size=3), VALUES),
    },
    optional={
        "data": st.one_of(st.lists(NUMBERS, max_size=6), VALUES),
        "parameters": st.one_of(st.fixed_dictionaries({"binary_data_size": st.integers(-1, 20)}), VALUES),
    },
)


@st.composite
def fitting(draw: Any) -> tuple[dict[str, Signature], Any, bytes]:
    """A model, a request that is nearly right, and bytes behind it."""
    all_signatures = draw(signatures())
    tensors, rest = [], b""
    for name, spec in all_signatures["serving_default"].inputs.items():
        shape = [draw(st.integers(0, 3)) if size is None else size for size in spec.shape or (None,)]
        count = math.prod(shape)
        tensor: dict[str, Any] = {"name": name, "datatype": open_inference_tensors.datatype(spec), "shape": shape}
        if draw(st.booleans()):
            elements = st.text(max_size=3) if spec.dtype == "DT_STRING" else NUMBERS
            tensor["data"] = draw(st.lists(elements, min_size=count, max_size=count))
        else:
            width = 4 if spec.dtype == "DT_STRING" else 2 if spec.dtype == "DT_BFLOAT16" else 0
            size = count * (width or np.dtype(NUMPY_TYPES.get(spec.dtype, np.uint8)).itemsize)
            tensor["parameters"] = {"binary_data_size": size}
            rest += draw(st.one_of(st.just(bytes(size)), st.binary(min_size=size, max_size=size)))
        tensors.append(tensor)
    return all_signatures, {"inputs": tensors}, rest + draw(st.sampled_from([b"", b"x"]))


@QUICK
@given(
    st.one_of(
        fitting(),
        st.tuples(
            signatures(),
            st.one_of(
                VALUES,
                st.fixed_dictionaries(
                    {"inputs": st.one_of(VALUES, st.lists(TENSORS, max_size=2))},
                    optional={"id": VALUES, "parameters": VALUES, "outputs": VALUES},
                ),
            ),
            st.binary(max_size=12),
        ),
    ),
    st.one_of(st.none(), st.just(True), st.text(max_size=4)),
)
def test_requests_of_the_open_inference_protocol(
    asked: tuple[dict[str, Signature], Any, bytes], length: str | bool | None
) -> None:
    all_signatures, document, rest = asked
    text = dump(document)
    try:
        request = open_inference_rest.read_infer(
            text + rest, str(len(text)) if length is True else length, all_signatures
        )
    except RequestError:
        return
    held_to(request.inputs, all_signatures["serving_default"])


@QUICK
@given(st.sampled_from(TYPES), st.lists(st.integers(0, 4), max_size=3), st.binary(max_size=64))
def test_packed_tensors(dtype: str, shape: list[int], data: bytes) -> None:
    spec = TensorSpec("x", dtype, None)
    try:
        array = open_inference_tensors.unpack(memoryview(data), spec, shape)
    except RequestError:
        return
    assert list(array.shape) == shape
    again = open_inference_tensors.pack(array, dtype)
    if dtype not in {"DT_BOOL", "DT_BFLOAT16"}:  # Of these, several bytes mean the same: true, and no number.
        assert again == data
    assert len(again) == len(data)


@QUICK
@given(st.binary(max_size=40), st.one_of(st.none(), st.text(max_size=3)))
@example(b"\xff", None)
@example(b'{"instances": "\\ud800"}', None)
def test_any_bytes(body: bytes, length: str | None) -> None:
    one = {"serving_default": Signature({"x": TensorSpec("x", "DT_FLOAT", None)}, {})}
    for read in (
        lambda: tensorflow_rest.read_predict(body, one),
        lambda: examples.read_examples(examples.Task.CLASSIFY, body, one),
        lambda: open_inference_rest.read_infer(body, length, one),
        lambda: read_feedback(body),
    ):
        with suppress(RequestError):
            read()


@QUICK
@given(
    st.sampled_from(TYPES),
    st.lists(st.integers(0, 3), min_size=1, max_size=3),
    st.binary(min_size=512, max_size=512),
    st.booleans(),
)
def test_answers_can_be_read_back(dtype: str, shape: list[int], data: bytes, by_rows: bool) -> None:
    count = math.prod(shape)
    if dtype == "DT_STRING":
        array = np.empty(count, object)
        array[:] = [data[place : place + place % 5] for place in range(count)]
    else:
        wanted = np.dtype(NUMPY_TYPES[dtype])
        raw = np.frombuffer(data, np.uint8, count * wanted.itemsize)
        array = raw[:count] > 99 if wanted.kind == "b" else raw.view(wanted)
    array = array.reshape(shape)
    request = tensorflow_rest.PredictRequest("serving_default", {}, by_rows)
    (answer,) = json.loads(tensorflow_rest.write_predict(request, {"y": array})).values()
    if dtype != "DT_STRING":
        np.testing.assert_array_equal(np.array(answer, array.dtype).reshape(shape), array)
    v2 = open_inference_rest.InferRequest(None, "s", {}, (), frozenset(), None)
    signature = Signature({}, {"y": TensorSpec("y", dtype, None)})
    try:
        written = open_inference_rest.write_infer(
            v2, Answer({"y": array}, 1, None), model="m", version=1, revision="r", signature=signature
        )
    except RequestError:
        assert dtype == "DT_STRING"  # JSON carries no bytes that are no text.
        return
    (output,) = json.loads(written.body)["outputs"]
    assert output["shape"] == shape
    if dtype != "DT_STRING":
        np.testing.assert_array_equal(np.array(output["data"], array.dtype).reshape(shape), array)
    assert orjson.loads(written.body) if b"NaN" not in written.body and b"Infinity" not in written.body else True
