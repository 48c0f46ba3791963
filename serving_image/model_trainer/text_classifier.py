"""Builds and trains the Keras model. The only module here that imports TensorFlow.

The model takes strings and answers probabilities, so that no client needs to know how its text becomes numbers:

    text, shape (batch,), UTF-8
      → TextVectorization: one integer a character, cut or padded with 0 to `length`   (batch, length)
      → Embedding; padding is masked                                                  (batch, length, embedding)
      → LSTM                                                                          (batch, units)
      → Dense, sigmoid: the probability of class 1                                    (batch, 1)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from model_trainer.corpus import vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_trainer.corpus import Example
    from model_trainer.settings import Settings


@dataclass(frozen=True)
class Trained:
    """A trained model, without the optimizer's state, and what its training came to."""

    model: Any
    """A `keras.Model`; Keras has no types."""
    epochs: int
    """Epochs run, those included whose weights were given up."""
    validation_accuracy: float
    """Of the weights kept, on the part of the training data that was set aside."""


def build(characters: Sequence[str], settings: Settings) -> Any:
    """Build an untrained, uncompiled model.

    The vocabulary is handed to the layer's constructor instead of being learnt by `adapt`. It then is part of the
    layer's configuration, which every format stores: HDF5 has no place for the tables that `adapt` fills, and a
    SavedModel carries it as constants of the graph rather than as a file beside it.
    """
    return keras.Sequential(
        [
            keras.Input(shape=(), dtype="string", name="text"),
            keras.layers.TextVectorization(
                standardize=None,
                split="character",
                output_sequence_length=settings.length,
                vocabulary=list(characters),
            ),
            # Two indices come before those of the vocabulary: 0 for padding, 1 for unknown characters.
            keras.layers.Embedding(len(characters) + 2, settings.embedding, mask_zero=True),
            keras.layers.LSTM(settings.units),
            keras.layers.Dense(1, activation="sigmoid", name="probability"),
        ]
    )


def train(examples: Sequence[Example], settings: Settings, report: Callable[[str], None]) -> Trained:
    """Train a model, and keep the weights of the epoch with the lowest validation loss.

    The first `validation_share` of the examples serve as validation data, so these must come well mixed. The same
    examples, settings and versions of the libraries give the same weights on the same kind of processor. To that end
    this seeds the random generators of Python, NumPy and TensorFlow, for the whole process.

    Args:
        examples: With labels 0 and 1.
        settings: See there.
        report: Called with a line of text after each epoch.

    """
    keras.utils.set_random_seed(settings.seed)
    tf.config.experimental.enable_op_determinism()
    characters = vocabulary((text for text, _ in examples), settings.vocabulary_size)
    model = build(characters, settings)
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate), loss="binary_crossentropy", metrics=["accuracy"]
    )
    validation = round(settings.validation_share * len(examples))
    history = model.fit(
        *_arrays(examples[validation:]),
        validation_data=_arrays(examples[:validation]),
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        callbacks=[
            keras.callbacks.EarlyStopping(
                monitor="val_loss", patience=settings.patience, restore_best_weights=True, start_from_epoch=0
            ),
            keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: report(_progress(epoch, logs, settings))),
        ],
        verbose=0,
    ).history
    # A copy that was never compiled: the optimizer's state doubles the files and no server needs it.
    bare = build(characters, settings)
    bare.set_weights(model.get_weights())
    best = int(np.argmin(history["val_loss"]))
    return Trained(bare, epochs=len(history["val_loss"]), validation_accuracy=history["val_accuracy"][best])


def probabilities(model: Any, texts: Sequence[str]) -> list[float]:
    """Ask a model for the probability of class 1 of each text."""
    answers = model.predict(tf.constant(list(texts)), batch_size=512, verbose=0)
    return [float(answer) for answer in answers[:, 0]]


def _arrays(examples: Sequence[Example]) -> tuple[Any, Any]:
    """Split examples into a string tensor of shape (n,) and labels of shape (n, 1)."""
    labels = np.array([[label] for _, label in examples], dtype=np.float32)
    return tf.constant([text for text, _ in examples]), labels


def _progress(epoch: int, logs: dict[str, float], settings: Settings) -> str:
    return (
        f"epoch {epoch + 1} of at most {settings.epochs}: loss {logs['loss']:.3f}, "
        f"validation loss {logs['val_loss']:.3f}, validation accuracy {logs['val_accuracy']:.3f}"
    )
