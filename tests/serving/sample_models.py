"""Writes the models that the tests serve: `python -m tests.serving.sample_models FOLDER`. Runs apart from the tests.

text.keras, text.h5, text/      texts → one score: over 0.5 if the text has 好, under it if not
slow/                           a SavedModel that gives back its numbers, after half a second or so
three.keras                     two numbers → three probabilities; the class is that of the largest of (0, x, y)
over-0.keras, over-10.keras     a number → one score: over 0.5 if it is over 0, or over 10
single.keras, single.h5         a functional model of one input, `feature-1`: the sum of its two numbers
pair.keras                      inputs `left` and `right`, outputs `sum` and `difference`
picky/                          a SavedModel: numbers as texts to numbers; its signature `train` adds 1 to all of them
reads/, writes/, hides/         SavedModels that read a file, that write one, and that write one from an inner function
lambda.keras, lambda.h5         Keras files with Python code
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf


def text_model() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input(shape=(), dtype="string", name="text"),
            keras.layers.TextVectorization(
                standardize=None, split="character", output_sequence_length=8, vocabulary=["好"]
            ),
            keras.layers.Embedding(3, 1),
            keras.layers.GlobalMaxPooling1D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.set_weights([np.array([[0.0], [0.0], [1.0]]), np.array([[4.0]]), np.array([-2.0])])
    return model


def three_model() -> keras.Model:
    model = keras.Sequential([keras.Input(shape=(2,), name="x"), keras.layers.Dense(3, activation="softmax")])
    model.set_weights([np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]), np.zeros(3)])
    return model


def over_model(limit: float) -> keras.Model:
    model = keras.Sequential([keras.Input(shape=(1,), name="x"), keras.layers.Dense(1, activation="sigmoid")])
    model.set_weights([np.array([[1.0]]), np.array([-limit])])
    return model


def single_model() -> keras.Model:
    x = keras.Input(shape=(2,), name="feature-1")
    model = keras.Model(x, keras.layers.Dense(1)(x))
    model.set_weights([np.ones((2, 1)), np.zeros(1)])
    return model


def pair_model() -> keras.Model:
    left, right = (keras.Input(shape=(1,), name=name) for name in ("left", "right"))
    outputs = {"sum": keras.layers.Add()([left, right]), "difference": keras.layers.Subtract()([left, right])}
    return keras.Model({"left": left, "right": right}, outputs)


def lambda_model() -> keras.Model:
    return keras.Sequential([keras.Input(shape=(1,)), keras.layers.Lambda(lambda x: x * 2)])


class Program(tf.Module):
    """A SavedModel that does what it is told besides answering."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def answer(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        if self.what == "reads":
            return {"y": x, "file": tf.fill(tf.shape(x), tf.io.read_file("/etc/hostname"))}
        if self.what == "writes":
            with tf.control_dependencies([tf.io.write_file("/tmp/written-by-a-model", "x")]):
                return {"y": tf.identity(x)}
        if self.what == "hides":
            return {"y": tf.map_fn(self._hidden, x)}
        return {"y": self._slowly(x)}

    @tf.function
    def _hidden(self, x: tf.Tensor) -> tf.Tensor:
        with tf.control_dependencies([tf.io.write_file("/tmp/written-by-a-model", "x")]):
            return tf.identity(x)

    @staticmethod
    def _slowly(x: tf.Tensor) -> tf.Tensor:
        square = tf.random.uniform((300, 300))
        for _ in tf.range(1000):
            square = tf.matmul(square, square) / tf.norm(square)
        return x + 0.0 * square[0, 0]


class Picky(tf.Module):
    """A SavedModel that refuses what is no number, and that can be trained."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = tf.Variable(0.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
    def answer(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.strings.to_number(x) + self.bias}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def train(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"bias": tf.identity(self.bias.assign_add(1.0)) + 0.0 * x}


def main(folder: Path) -> None:
    text = text_model()
    text.save(folder / "text.keras")
    text.save(folder / "text.h5")
    text.export(folder / "text", verbose=False)
    three_model().save(folder / "three.keras")
    for limit in (0, 10):
        over_model(limit).save(folder / f"over-{limit}.keras")
    single_model().save(folder / "single.keras")
    single_model().save(folder / "single.h5")
    pair_model().save(folder / "pair.keras")
    lambda_model().save(folder / "lambda.keras")
    lambda_model().save(folder / "lambda.h5")
    picky = Picky()
    signatures = {"serving_default": picky.answer, "train": picky.train}
    tf.saved_model.save(picky, str(folder / "picky"), signatures=signatures)
    for what in ("reads", "writes", "hides", "slow"):
        program = Program(what)
        tf.saved_model.save(program, str(folder / what), signatures={"serving_default": program.answer})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
