"""Which parts of Keras a model file may be made of. Pure.

A .keras or .h5 file holds a tree of JSON that Keras turns into objects: `module`, `class_name` and `config`. What it
looks up there, and calls with values of the file, made for most of its flaws (CVE-2024-3660, 2025-1550, -8747, -9906,
-12058, -12060, 2026-1462). So the tree is read before Keras sees it, and held to a list of what is allowed: layers,
operations, initialisers and their like that compute, and activations by name. Not among them: layers that hold Python
code (`Lambda`), or run a program that lies elsewhere (`TFSMLayer`, `TorchModuleWrapper`, `JaxLayer`, `FlaxLayer`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from model_server.contract import StartFailure
from model_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH: Final = 200
"""Nesting of JSON. Models of models of wrapped layers come to 40."""

_PYTHON: Final = frozenset({"Lambda", "__lambda__"})
_MODULES: Final = re.compile(
    r"keras(\.(activations|constraints|dtype_policies|initializers|layers|losses|metrics|models|ops|optimizers"
    r"|optimizers\.schedules|quantizers|random|regularizers))?|builtins"
    r"|keras\.src\.(activations|constraints|dtype_policies|initializers|layers|losses|metrics|models|optimizers"
    r"|quantizers|random|regularizers)(\.\w+)*"
)
_OPERATIONS: Final = re.compile(r"keras\.src\.ops\.(core|einops|image|linalg|math|nn|numpy)")
"""Modules of operations of a functional model: all of their classes compute, and none takes a function of the file's
that is not itself checked here."""
_VALUES: Final = frozenset({"__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"})
_PATHS: Final = frozenset({"cache_dir", "file", "file_path", "filename", "filepath", "origin", "path", "url"})
_TABLES: Final = frozenset({"idf_weights", "vocabulary"})
"""Settings that are lists, and that Keras takes for the name of a file if they are texts."""


def check_config(config: object) -> None:
    """Raise `StartError` if a model's configuration leads to anything but known parts of Keras."""
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        raise _refused("its configuration describes no model")
    # Keras is told not to compile, and then does not look at this: users' own losses may stand there.
    outer = {key: value for key, value in config.items() if key != "compile_config"}
    for part in _parts(outer):
        _check_settings(part)
        if "class_name" in part:
            _check_class(part)


def _parts(tree: object) -> Iterator[dict[str, Any]]:
    waiting: list[tuple[object, int]] = [(tree, 0)]
    while waiting:
        part, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise _refused(f"its configuration is nested more than {MAX_DEPTH} deep")
        if isinstance(part, dict):
            yield part
            waiting.extend((value, depth + 1) for value in part.values())
        elif isinstance(part, list):
            waiting.extend((value, depth + 1) for value in part)


def _check_settings(part: dict[str, Any]) -> None:
    for key in part.keys() & _TABLES:
        if isinstance(part[key], str):
            raise _refused(
                f"its {key} is to be read from a file ({_shown(part[key])}): save the model with Keras 3.12 or later, "
                "which puts it into the model's file"
            )
    for key in part.keys() & _PATHS:
        if isinstance(part[key], str):
            raise _refused(f"its configuration names a file or an address as {key} ({_shown(part[key])})")


def _check_class(part: dict[str, Any]) -> None:
    name, module, registered = part["class_name"], part.get("module"), part.get("registered_name")
    if not isinstance(name, str) or not isinstance(module, str | None) or not isinstance(registered, str | None):
        raise _refused("a class in its configuration has no name")
    if name in _PYTHON:
        raise _refused(
            "it holds Python code (as a Lambda layer does), which is not run: write it as a layer or with keras.ops, "
            "or export a SavedModel"
        )
    if name in _VALUES:
        return
    if name == "function":
        _check_function(part)
    elif module is not None and _OPERATIONS.fullmatch(module):
        if not name.isidentifier() or name.startswith("_"):
            raise _refused(f"it has an operation that is none ({_shown(name)})")
    elif name not in ALLOWED or not (module is None or _MODULES.fullmatch(module)):
        raise _refused(
            f"it has a part that is not one of Keras' own, or that runs what lies elsewhere: "
            f"{_shown(name)} of {_shown(module or registered or 'no module')}. Export the model as a SavedModel "
            "(model.export), which needs no Python class"
        )


def _check_function(part: dict[str, Any]) -> None:
    name, module = part.get("config"), part.get("module")
    known = isinstance(name, str) and name in FUNCTIONS and part.get("registered_name") in (None, "function", name)
    if not known or not (module is None or _MODULES.fullmatch(module)):
        raise _refused(
            f"it uses a function that is none of Keras' activations: {_shown(name)} of {_shown(module)}. Export the "
            "model as a SavedModel (model.export), which needs no Python function"
        )


def _shown(value: object) -> str:
    return repr(value)[:80]


def _refused(why: str) -> StartError:
    return StartError(StartFailure.LOAD_FAILED, f"the Keras model is not opened: {why}")


FUNCTIONS: Final = frozenset(
    """
celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid
log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid
sparsemax squareplus swish tanh tanh_shrink threshold

binary_crossentropy binary_focal_crossentropy categorical_crossentropy categorical_focal_crossentropy
categorical_generalized_cross_entropy categorical_hinge circle cosine_similarity ctc dice hinge huber kl_divergence
log_cosh mean_absolute_error mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error poisson
sparse_categorical_crossentropy squared_hinge tversky

binary_accuracy categorical_accuracy concordance_correlation pearson_correlation sparse_categorical_accuracy
sparse_top_k_categorical_accuracy top_k_categorical_accuracy
""".split()  # noqa: SIM905  # As in `operations`: a list of names that are all of one kind.
)

ALLOWED: Final = frozenset(
    """
Functional Model Sequential

Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add AdditiveAttention AlphaDropout Attention AugMix
AutoContrast Average AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D
BatchNormalization Bidirectional CategoryEncoding CenterCrop Concatenate ContrastLimitedAdaptiveHistogramEqualization
Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM3D Convolution1D
Convolution1DTranspose Convolution2D Convolution2DTranspose Convolution3D Convolution3DTranspose Cropping1D Cropping2D
Cropping3D CutMix Dense DepthwiseConv1D DepthwiseConv2D Discretization Dot Dropout ELU EinsumDense Embedding
Equalization Flatten GRU GRUCell GaussianDropout GaussianNoise GlobalAveragePooling1D GlobalAveragePooling2D
GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D
GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GroupNormalization GroupQueryAttention HashedCrossing Hashing
Identity InputLayer InputSpec IntegerLookup LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxNumBoundingBoxes
MaxPool1D MaxPool2D MaxPool3D MaxPooling1D MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp
MultiHeadAttention Multiply Normalization PReLU Permute Pipeline RMSNormalization RNN RandAugment RandomBrightness
RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip
RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation
RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape Resizing
ReversibleEmbedding STFTSpectrogram SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D
SimpleRNN SimpleRNNCell Softmax Solarization SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization
StackedRNNCells StringLookup Subtract TextVectorization TimeDistributed UnitNormalization UpSampling1D UpSampling2D
UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D

Constant GlorotNormal GlorotUniform HeNormal HeUniform IdentityInitializer LecunNormal LecunUniform Ones Orthogonal
OrthogonalInitializer RandomNormal RandomUniform STFT STFTInitializer SeedGenerator TruncatedNormal VarianceScaling
Zeros

L1 L1L2 L2 MaxNorm MinMaxNorm NonNeg OrthogonalRegularizer UnitNorm

AbsMaxQuantizer DTypePolicy DTypePolicyMap Float8QuantizationConfig FloatDTypePolicy Int4DTypePolicy
Int4QuantizationConfig Int8QuantizationConfig QuantizedDTypePolicy QuantizedFloat8DTypePolicy

Adadelta Adafactor Adagrad Adam AdamW Adamax CosineDecay CosineDecayRestarts ExponentialDecay Ftrl InverseTimeDecay
Lamb Lion LossScaleOptimizer Muon Nadam PiecewiseConstantDecay PolynomialDecay RMSprop SGD ScheduleFreeAdamW

AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryFocalCrossentropy BinaryIoU CTC CategoricalAccuracy
CategoricalCrossentropy CategoricalFocalCrossentropy CategoricalGeneralizedCrossEntropy CategoricalHinge Circle
ConcordanceCorrelation CosineSimilarity Dice F1Score FBetaScore FalseNegatives FalsePositives Hinge Huber IoU
KLDivergence LogCosh LogCoshError Mean MeanAbsoluteError MeanAbsolutePercentageError MeanIoU MeanMetricWrapper
MeanSquaredError MeanSquaredLogarithmicError OneHotIoU OneHotMeanIoU PearsonCorrelation Poisson Precision
PrecisionAtRecall R2Score Recall RecallAtPrecision RootMeanSquaredError SensitivityAtSpecificity
SparseCategoricalAccuracy SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy SpecificityAtSensitivity
SquaredHinge Sum TopKCategoricalAccuracy TrueNegatives TruePositives Tversky
""".split()  # noqa: SIM905  # As above.
)
