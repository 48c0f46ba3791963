"""Writes SavedModels that try the engine: `python -m tests.serving.engine_models FOLDER`. Runs apart from the tests.

plain/      keras: (n, 2) → (n, 3), with its answers to ROWS in plain.json, as TensorFlow's own loader gives them
scaled/     divides each number by the largest of all rows: rows look at each other
embedding/  numbers from 0 to 3 → (n, 2); refuses other numbers
wide/       keras: (n, 1024) → (n, 4) by large matrix products
series/     (n, any) → the last number of each row
ragged/     ragged numbers → their sums by row
table/      texts → numbers, by a table that is filled from a file among the assets
coarse/     bfloat16 → bfloat16
counter/    its signature `count` changes the model
times/N/    versions 1 and 2: numbers → a half and a quarter of them; with recorded requests, the second one of which it
            has to refuse
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tests.serving.model_rows import ROWS


class Scaled(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def answer(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x / tf.reduce_max(tf.abs(x))}


class Series(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, name="x")])
    def answer(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x[:, -1]}


class Ragged(tf.Module):
    @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.float32)])
    def answer(self, x: tf.RaggedTensor) -> dict[str, tf.Tensor]:
        return {"y": tf.reduce_sum(x, axis=1)}


class Table(tf.Module):
    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = tf.saved_model.Asset(str(file))
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(
                self.file, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            ),
            -1,
        )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
    def answer(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": self.table.lookup(x)}


class Coarse(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.bfloat16, name="x")])
    def answer(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x * 2}


class Counter(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.count = tf.Variable(0.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def answer(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x + self.count}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def add(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x + self.count.assign_add(1.0)}


class Times(tf.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = tf.Variable(factor)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def answer(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": x * self.factor}


def record_requests(folder: Path) -> None:
    (folder / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(folder / "assets.extra" / "tf_serving_warmup_requests")) as file:
        for name in ("x", "z"):
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto([0.5, 0.25]))
            file.write(log.SerializeToString())


def write(module: tf.Module, folder: Path, **others: object) -> None:
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.answer, **others})


def main(folder: Path) -> None:
    plain = keras.Sequential([keras.Input(shape=(2,), name="x"), keras.layers.Dense(3, activation="tanh")])
    plain.export(folder / "plain", verbose=False)
    loaded = tf.saved_model.load(str(folder / "plain")).signatures["serving_default"]
    (folder / "plain.json").write_text(json.dumps(loaded(tf.constant(ROWS))["output_0"].numpy().tolist()))
    products = [keras.layers.Dense(1024, activation="tanh") for _ in range(3)]
    wide = keras.Sequential([keras.Input(shape=(1024,), name="x"), *products, keras.layers.Dense(4)])
    wide.export(folder / "wide", verbose=False)
    embedding = keras.Sequential([keras.Input(shape=(), dtype="int32", name="x"), keras.layers.Embedding(4, 2)])
    embedding.export(folder / "embedding", verbose=False)
    words = folder / "words.txt"
    words.write_text("red\ngreen\nblue\n")
    write(Table(words), folder / "table")
    write(Scaled(), folder / "scaled")
    write(Series(), folder / "series")
    write(Ragged(), folder / "ragged")
    write(Coarse(), folder / "coarse")
    for version, factor in ((1, 0.5), (2, 0.25)):
        write(Times(factor), folder / "times" / str(version))
        record_requests(folder / "times" / str(version))
    counter = Counter()
    write(counter, folder / "counter", count=counter.add)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
