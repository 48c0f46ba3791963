"""Makes the two models of the benchmark, as .keras for the peers and as SavedModels for the server.

Run as a process of its own, since nothing else of the benchmark imports Keras: `make_models FOLDER`. Beside them it
puts what they answer.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tests.benchmarks.serving.rows import CHARACTERS, COUNTS, FEATURES, FIRST, LENGTH, rows_of


def dense() -> keras.Model:
    """64-256-256-10: a model so small that all that is around it shows."""
    return keras.Sequential(
        [
            keras.Input((FEATURES,), name="features"),
            layers.Dense(256, activation="relu"),
            layers.Dense(256, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="dense",
    )


def text() -> keras.Model:
    """A classifier of texts of 64 characters."""
    split = layers.TextVectorization(
        standardize=None,
        split="character",
        output_sequence_length=LENGTH,
        vocabulary=[chr(FIRST + number) for number in range(CHARACTERS)],
    )
    return keras.Sequential(
        [
            keras.Input((), dtype="string", name="text"),
            split,
            layers.Embedding(CHARACTERS + 2, 64),
            layers.LSTM(64),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="text",
    )


def main() -> None:
    """Make both, and note what they answer."""
    folder = Path(sys.argv[1])
    keras.utils.set_random_seed(1)
    for model in (dense(), text()):
        model.save(folder / f"{model.name}.keras")
        model.export(folder / model.name, verbose=False)
        for count in COUNTS[model.name]:
            kind = tf.float32 if model.name == "dense" else tf.string
            answers = model(tf.constant(rows_of(model.name, count), dtype=kind), training=False)
            np.save(folder / f"{model.name}-{count}.npy", np.asarray(answers))


if __name__ == "__main__":
    main()
