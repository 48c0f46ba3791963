"""Writes SavedModels that TensorFlow Serving's clients know: `python -m tests.serving.classic_models FOLDER`.

half_plus_two/     the examples of its page: x / 2 + 2, also as regression and classification of `tf.Example`s
half_plus_three/   x / 2 + 3, with a signature for regression
types/             gives back its inputs, one of each type
ragged/            sums of rows of any length: flat values, and where rows begin and end
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

v1 = tf.compat.v1
INFO = v1.saved_model.utils.build_tensor_info
TYPES = (
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "string"),
)


def half_plus(folder: Path, addend: float, regress: str) -> None:
    """A graph of TensorFlow 1: the input of `predict` is no placeholder, and so may be fed with any shape."""
    with tf.Graph().as_default(), v1.Session() as session:
        a, b = v1.get_variable("a", initializer=0.5), v1.get_variable("b", initializer=addend)
        examples = v1.placeholder(tf.string, [None], name="tf_example")
        features = {
            "x": v1.FixedLenFeature([1], tf.float32),
            "x2": v1.FixedLenFeature([1], tf.float32, default_value=[0.0]),
        }
        parsed = v1.parse_example(examples, features)
        x, x2 = tf.identity(parsed["x"], name="x"), tf.identity(parsed["x2"], name="x2")
        y = tf.identity(tf.add(tf.multiply(a, x), b), name="y")
        y3 = tf.identity(tf.add(tf.multiply(a, x2), b + 1.0), name="y3")
        names = tf.tile(tf.constant([["low", "high"]]), [tf.shape(x)[0], 1])
        scores = tf.concat([1 / y, 1 - 1 / y], axis=1)
        signatures = {
            "serving_default": signature("predict", {"x": x}, {"y": y}),
            regress: signature("regress", {"inputs": examples}, {"outputs": y}),
            "regress_x2_to_y3": signature("regress", {"inputs": x2}, {"outputs": y3}),
            "classify_x_to_y": signature("classify", {"inputs": examples}, {"scores": y}),
            "classify_x_to_names": signature("classify", {"inputs": examples}, {"classes": names, "scores": scores}),
        }
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.save()


def signature(method: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> Any:
    return v1.saved_model.build_signature_def(
        {name: INFO(tensor) for name, tensor in inputs.items()},
        {name: INFO(tensor) for name, tensor in outputs.items()},
        f"tensorflow/serving/{method}",
    )


class Types(tf.Module):
    @tf.function(input_signature=[{name: tf.TensorSpec([None, 2], name, name=name) for name in TYPES}])
    def answer(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {f"{name}_out": tf.identity(tensor) for name, tensor in inputs.items()}


class Ragged(tf.Module):
    @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.float32)])
    def answer(self, x: tf.RaggedTensor) -> dict[str, tf.Tensor]:
        return {"sum": tf.reduce_sum(x, axis=1)}


def main(folder: Path) -> None:
    half_plus(folder / "half_plus_two", 2.0, "regress_x_to_y")
    half_plus(folder / "half_plus_three", 3.0, "tensorflow/serving/regress")
    for name, model in (("types", Types()), ("ragged", Ragged())):
        tf.saved_model.save(model, str(folder / name), signatures=model.answer)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
