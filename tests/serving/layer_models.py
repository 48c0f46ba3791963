"""Writes one model of all layers of Keras, and what it answers: `python -m tests.serving.layer_models FOLDER`.

model.keras has an input and an output for each kind of layer; asked.npz and answered.npz are inputs and outputs by
these names. Runs apart from the tests. Prints the names of what it leaves out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers

if TYPE_CHECKING:
    from collections.abc import Callable

    Ends = tuple[Any, Any]
    Parts = list[Any]

FEATURES, STEPS, CHANNELS = 8, 6, 4


def _joined(x: Any, parts: Parts) -> Any:
    """Put each part on the same input, and all answers behind each other."""
    return layers.Concatenate()([layers.Flatten()(keras.ops.cast(part(x), "float32")) for part in parts])


def dense() -> Ends:
    x = keras.Input((FEATURES,), name="dense_in")
    parts: Parts = [
        layers.Dense(4, activation="relu", kernel_regularizer="l2", bias_constraint="non_neg"),
        layers.EinsumDense("ab,bc->ac", 4),
        layers.BatchNormalization(), layers.LayerNormalization(), layers.GroupNormalization(4),
        layers.RMSNormalization(), layers.UnitNormalization(), layers.Normalization(mean=0.5, variance=2.0),
        layers.SpectralNormalization(layers.Dense(3)), layers.Activation("softmax"), layers.ReLU(), layers.LeakyReLU(),
        layers.PReLU(), layers.ELU(), layers.Softmax(), layers.Dropout(0.5), layers.AlphaDropout(0.5),
        layers.GaussianDropout(0.5), layers.GaussianNoise(0.5), layers.ActivityRegularization(0.1), layers.Identity(),
        layers.RepeatVector(2), layers.Reshape((2, 4)), layers.Rescaling(0.5), layers.Masking(),
        *(layers.Dense(2, activation=name) for name in ("gelu", "selu", "swish", "mish", "sparsemax", "hard_tanh")),
        layers.Discretization(bin_boundaries=[0.0, 0.5]),
    ]  # fmt: skip
    a, b = layers.Dense(4)(x), layers.Dense(4)(x)
    merged = [
        layers.Add()([a, b]), layers.Subtract()([a, b]), layers.Multiply()([a, b]), layers.Average()([a, b]),
        layers.Maximum()([a, b]), layers.Minimum()([a, b]), layers.Dot(1)([a, b]), a + 2.0 * b, a[:, :2],
        keras.ops.where(a > 0, a, b), keras.ops.matmul(a, keras.ops.transpose(b))[:, :1], keras.ops.sort(a),
        keras.ops.top_k(a, 2)[0], keras.ops.linalg.norm(a, axis=-1, keepdims=True), keras.ops.logsumexp(a, -1, True),
    ]  # fmt: skip
    inner = keras.Sequential([layers.Dense(3), layers.Dense(2)])
    inner.build((None, 4))
    inner.compile("adam", "mse", metrics=["accuracy"])
    return x, layers.Concatenate()([_joined(x, parts), *merged, inner(a)])


def sequence() -> Ends:
    x = keras.Input((STEPS, CHANNELS), name="sequence_in")
    parts: Parts = [
        layers.LSTM(3), layers.GRU(3), layers.SimpleRNN(3), layers.Bidirectional(layers.LSTM(2)),
        layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3), layers.GRUCell(2)])),
        layers.RNN(layers.SimpleRNNCell(2)),
        layers.TimeDistributed(layers.Dense(2)), layers.Conv1D(2, 3), layers.Conv1D(2, 3, padding="causal"),
        layers.Conv1DTranspose(2, 3), layers.DepthwiseConv1D(3), layers.SeparableConv1D(2, 3), layers.MaxPooling1D(),
        layers.AveragePooling1D(2), layers.GlobalMaxPooling1D(), layers.GlobalAveragePooling1D(),
        layers.AdaptiveAveragePooling1D(3), layers.AdaptiveMaxPooling1D(3), layers.UpSampling1D(),
        layers.ZeroPadding1D(), layers.Cropping1D(), layers.SpatialDropout1D(0.5), layers.Permute((2, 1)),
        lambda x: layers.MultiHeadAttention(2, 2)(x, x), lambda x: layers.GroupQueryAttention(2, 2, 1)(x, x),
        lambda x: layers.Attention()([x, x]), lambda x: layers.AdditiveAttention()([x, x]),
        lambda x: layers.LSTM(2)(layers.Masking()(x)),
    ]  # fmt: skip
    return x, _joined(x, parts)


def image() -> Ends:
    x = keras.Input((16, 16, 3), name="image_in")
    parts: Parts = [
        layers.Conv2D(2, 3), layers.Conv2D(2, 3, dilation_rate=2), layers.Conv2DTranspose(2, 3),
        layers.DepthwiseConv2D(3), layers.SeparableConv2D(2, 3), layers.MaxPooling2D(), layers.AveragePooling2D(2),
        layers.GlobalMaxPooling2D(), layers.GlobalAveragePooling2D(), layers.AdaptiveAveragePooling2D(4),
        layers.AdaptiveMaxPooling2D(4), layers.UpSampling2D(interpolation="bilinear"), layers.ZeroPadding2D(),
        layers.Cropping2D(), layers.SpatialDropout2D(0.5), layers.Resizing(8, 8), layers.CenterCrop(8, 8),
        layers.RandomCrop(8, 8), layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomZoom(0.1),
        layers.RandomTranslation(0.1, 0.1), layers.RandomContrast(0.1), layers.RandomBrightness(0.1),
        layers.RandomGrayscale(), layers.RandomErasing(), layers.RandomHue(0.1), layers.RandomSaturation((0.4, 0.6)),
        layers.RandomPosterization(4), layers.RandomSharpness(0.1), layers.RandomInvert(),
        layers.RandomColorJitter(0.1), layers.RandomColorDegeneration(0.1), layers.RandomGaussianBlur(),
        layers.RandomPerspective(), layers.RandomElasticTransform(), layers.RandAugment(), layers.AugMix(),
        layers.CutMix(), layers.MixUp(), layers.AutoContrast(), layers.Equalization(), layers.Solarization(),
        layers.ContrastLimitedAdaptiveHistogramEqualization(),
        layers.Pipeline([layers.Rescaling(0.5), layers.RandomFlip()]), layers.BatchNormalization(),
        lambda x: layers.ConvLSTM1D(2, 3)(x), lambda x: keras.ops.image.rgb_to_grayscale(x),
    ]  # fmt: skip
    return x, _joined(x, parts)


def volume() -> Ends:
    x = keras.Input((4, 6, 6, 2), name="volume_in")
    parts: Parts = [
        layers.Conv3D(2, 2), layers.Conv3DTranspose(2, 2), layers.ConvLSTM2D(2, 3), layers.MaxPooling3D(),
        layers.AveragePooling3D(2), layers.GlobalMaxPooling3D(), layers.GlobalAveragePooling3D(), layers.UpSampling3D(),
        layers.ZeroPadding3D(), layers.Cropping3D(), layers.SpatialDropout3D(0.5), layers.AdaptiveAveragePooling3D(2),
        layers.AdaptiveMaxPooling3D(2),
        lambda x: layers.ConvLSTM3D(1, 2)(keras.ops.expand_dims(x, 1)),
    ]  # fmt: skip
    return x, _joined(x, parts)


def text() -> Ends:
    x = keras.Input((1,), dtype="string", name="some text")
    words = ["good", "bad", "好"]
    vectors = layers.TextVectorization(output_sequence_length=4, vocabulary=words)
    grams = layers.TextVectorization(ngrams=2, output_mode="multi_hot", vocabulary=words)
    parts: Parts = [
        lambda x: layers.Embedding(5, 3)(vectors(x)), grams,
        layers.TextVectorization(output_mode="tf_idf", vocabulary=words, idf_weights=[0.5, 0.7, 0.9]),
        layers.TextVectorization(split="character", output_sequence_length=3, vocabulary=["g", "好"]),
        layers.StringLookup(vocabulary=words), layers.StringLookup(vocabulary=words, output_mode="one_hot"),
        layers.StringLookup(vocabulary=words, num_oov_indices=3), layers.Hashing(7), layers.Hashing(7, salt=3),
        lambda x: layers.CategoryEncoding(4, "multi_hot")(layers.StringLookup(vocabulary=words)(x)),
        lambda x: layers.HashedCrossing(5)([x, x]),
    ]  # fmt: skip
    return x, _joined(x, parts)


def numbers() -> Ends:
    x = keras.Input((2,), dtype="int64", name="numbers_in")
    parts: Parts = [
        layers.IntegerLookup(vocabulary=[1, 2, 3]), layers.IntegerLookup(vocabulary=[1, 2], output_mode="count"),
        layers.Hashing(7), layers.CategoryEncoding(10, "multi_hot"), layers.CategoryEncoding(10, "count"),
        layers.Embedding(10, 2), layers.ReversibleEmbedding(10, 2),
    ]  # fmt: skip
    return x, _joined(x, parts)


def sound() -> Ends:
    x = keras.Input((512,), name="sound_in")
    parts: Parts = [
        layers.MelSpectrogram(fft_length=128, num_mel_bins=8),
        layers.MelSpectrogram(fft_length=64, power_to_db=False),
    ]
    return x, _joined(x, parts)


ALL: tuple[Callable[[], Ends], ...] = (dense, sequence, image, volume, text, numbers, sound)


def _questions(tensor: Any, chance: np.random.Generator) -> np.ndarray:
    shape = (3, *tensor.shape[1:])
    if tensor.dtype == "string":
        return np.array(["good", "bad 好 good", "neither"], dtype=object).reshape(shape)
    if tensor.dtype == "int64":
        return chance.integers(0, 5, shape)
    return chance.random(shape, dtype=np.float32)


def main(folder: Path) -> None:
    keras.utils.set_random_seed(1)
    chance = np.random.default_rng(1)
    ends = {make.__name__: make() for make in ALL}
    model = keras.Model({name: x for name, (x, _) in ends.items()}, {name: y for name, (_, y) in ends.items()})
    model.save(folder / "model.keras")
    asked = {name: _questions(x, chance) for name, (x, _) in ends.items()}
    answered = model({name: keras.ops.convert_to_tensor(value) for name, value in asked.items()}, training=False)
    texts = {name: np.asarray(value, "U" if value.dtype == object else None) for name, value in asked.items()}
    np.savez(folder / "asked.npz", **texts)
    np.savez(folder / "answered.npz", **{name: np.asarray(value) for name, value in answered.items()})
    used = {type(layer).__name__ for layer in model._flatten_layers()}
    known = {name for name in dir(layers) if getattr(getattr(layers, name), "__name__", None) == name}
    print("\n".join(sorted(known - used)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
