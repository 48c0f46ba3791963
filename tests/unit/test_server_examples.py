"""Classification and regression over HTTP, as the source of TensorFlow Serving has them."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from model_server import tensorflow_package
from model_server.errors import BodyTooLarge, InvalidArgument, RequestError
from model_server.protocols.examples import Task, examples_input, read_examples, serialize, write_results
from model_server.protocols.limits import MAX_INSTANCES
from model_server.tensors import Signature, TensorSpec

tensorflow_package.enter()
from tensorflow.core.example.example_pb2 import Example  # noqa: E402

EXAMPLES = {"inputs": TensorSpec("inputs", "DT_STRING", (None,))}
SCORES = TensorSpec("scores", "DT_FLOAT", (None, None))
CLASSES = TensorSpec("classes", "DT_STRING", (None, None))
SIGNATURES = {
    "serving_default": Signature({"x": TensorSpec("x", "DT_FLOAT", (None,))}, {"y": TensorSpec("y", "DT_FLOAT", None)}),
    "classify": Signature(EXAMPLES, {"classes": CLASSES, "scores": SCORES}, "tensorflow/serving/classify"),
    "regress": Signature(EXAMPLES, {"outputs": TensorSpec("outputs", "DT_FLOAT", (None, 1))}),
    "numbers": Signature(
        {"inputs": TensorSpec("inputs", "DT_FLOAT", (None, 1))}, {"outputs": TensorSpec("outputs", "DT_FLOAT", (None,))}
    ),
}


def read(document: Any, task: Task = Task.REGRESS) -> list[Example]:
    document = {"signature_name": str(task), **document}
    request = read_examples(task, json.dumps(document).encode(), SIGNATURES)
    assert request.question().inputs is request.inputs
    (array,) = request.inputs.values()
    return [Example.FromString(text) for text in array.tolist()]


def features(example: Example) -> dict[str, list[Any]]:
    kinds = {name: feature.WhichOneof("kind") for name, feature in example.features.feature.items()}
    return {
        name: [] if kind is None else [kind[:-5], *getattr(example.features.feature[name], kind).value]
        for name, kind in kinds.items()
    }


def test_features_are_of_the_kind_of_their_json() -> None:
    encoded = {"b64": base64.b64encode(b"\xff").decode()}
    (example,) = read(
        {
            "examples": [
                {
                    "f": 1.0,
                    "fs": [0.5, 2.0],
                    "i": 3,
                    "is": [True, False, -(2**63)],
                    "t": "好",
                    "b": [encoded],
                    "e": [],
                }
            ]
        }
    )
    assert features(example) == {
        "f": ["float", 1.0],
        "fs": ["float", 0.5, 2.0],
        "i": ["int64", 3],
        "is": ["int64", 1, 0, -(2**63)],
        "t": ["bytes", "好".encode()],
        "b": ["bytes", b"\xff"],
        "e": [],
    }


def test_the_context_is_part_of_each_example() -> None:
    examples = read({"context": {"c": "x"}, "examples": [{"a": 1}, {"a": 2, "c": "y"}]})
    assert [features(example) for example in examples] == [
        {"a": ["int64", 1], "c": ["bytes", b"x"]},
        {"a": ["int64", 2], "c": ["bytes", b"y"]},
    ]


def test_context_and_example_are_as_if_put_one_behind_the_other() -> None:
    """Which is what TensorFlow Serving does with their bytes."""
    context, example = {"c": ["x"], "d": [1.5]}, {"a": [1], "c": ["y"]}
    encode = lambda f: serialize({k: [v.encode() if isinstance(v, str) else v for v in vs] for k, vs in f.items()})  # noqa: E731
    (ours,) = read({"context": context, "examples": [example]})
    assert Example.FromString(encode(context) + encode(example)) == ours


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "'examples' is a list"),
        ({"examples": []}, "'examples' is a list"),
        ({"examples": {}}, "'examples' is a list"),
        ({"examples": [1]}, "example 0 is a JSON object"),
        ({"examples": [{"a": 1}], "context": []}, "'context' is a JSON object"),
        ({"examples": [{"a": None}]}, "feature 'a' of example 0 holds something"),
        ({"examples": [{"a": [[1]]}]}, "holds something"),
        ({"examples": [{"a": {"x": 1}}]}, "holds something"),
        ({"examples": [{"a": [1, 2.5]}]}, "mixes"),
        ({"examples": [{"a": ["1", 2]}]}, "mixes"),
        ({"examples": [{"a": 2**63}]}, "beyond 64 bits"),
        ({"examples": [{"a": 1e39}]}, "range of 32 bits"),
        ({"examples": [{"a": {"b64": "*"}}]}, "no base64"),
        ({"examples": [{"a": 1}], "signature_name": "serving_default"}, "'serving_default' is not for regress"),
        ({"examples": [{"a": 1}], "signature_name": "classify"}, "not for regress"),
        ({"examples": [{"a": 1}], "signature_name": "numbers"}, "no serialised tf.Example"),
        ({"examples": [{"a": 1}], "signature_name": "other"}, "not found in signature def"),
        ({"examples": [{"a": 1}], "signature_name": 1}, "is a text"),
    ],
)
def test_what_is_wrong_is_told(document: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        read(document)


def test_no_request_may_have_any_number_of_examples() -> None:
    with pytest.raises(BodyTooLarge):
        examples_input(iter([b"no example is looked at"]), MAX_INSTANCES + 1)
    with pytest.raises(InvalidArgument, match="empty"):
        examples_input([], 0)


def test_a_large_context_does_not_become_as_many() -> None:
    context = {"t": "x" * 2**20}
    assert len(read({"context": context, "examples": [{}] * 3})) == 3
    with pytest.raises(BodyTooLarge, match="over 64 MiB"):
        read({"context": context, "examples": [{}] * 100})


def answer(task: Task, count: int, **outputs: Any) -> Any:
    document = json.dumps({"signature_name": str(task), "examples": [{"a": 1}] * count}).encode()
    arrays = {name: np.array(v, object if name == "classes" else np.float32) for name, v in outputs.items()}
    return json.loads(write_results(read_examples(task, document, SIGNATURES), arrays))


def test_answers() -> None:
    assert answer(Task.REGRESS, 2, outputs=[[0.2], [4]]) == {"results": [0.2, 4.0]}
    assert answer(Task.REGRESS, 2, outputs=[3.5, 4]) == {"results": [3.5, 4.0]}
    assert np.isnan(answer(Task.REGRESS, 1, outputs=[np.nan])["results"][0])
    both = answer(Task.CLASSIFY, 2, classes=[[b"a", b"b"]] * 2, scores=[[0.2, 0.8], [1, 0]])
    assert both == {"results": [[["a", 0.2], ["b", 0.8]], [["a", 1.0], ["b", 0.0]]]}
    assert answer(Task.CLASSIFY, 1, scores=[[0.5, 0.5]]) == {"results": [[["", 0.5], ["", 0.5]]]}
    assert answer(Task.CLASSIFY, 1, classes=[["好".encode(), b"\xff"]]) == {"results": [[["好", 0.0], ["�", 0.0]]]}


@pytest.mark.parametrize(
    ("task", "outputs"),
    [
        (Task.REGRESS, {"outputs": [1.0, 2.0, 3.0]}),
        (Task.REGRESS, {"outputs": [[1.0, 2.0], [1.0, 2.0]]}),
        (Task.CLASSIFY, {"scores": [1.0, 2.0]}),
        (Task.CLASSIFY, {"scores": [[1.0]]}),
        (Task.CLASSIFY, {"scores": [[1.0], [2.0]], "classes": [[b"a", b"b"]] * 2}),
    ],
)
def test_a_model_that_gives_something_else_is_told_of(task: Task, outputs: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        answer(task, 2, **outputs)
