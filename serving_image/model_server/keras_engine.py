"""Loads models and calls them. The only module that imports TensorFlow.

A model becomes concrete functions with fixed signatures, so a call is one step into TensorFlow, with no tracing and
none of the callbacks and data adapters of `model.predict`, which make a call ten to forty times slower.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from model_server import errors
from model_server.contract import ModelFormat, StartFailure
from model_server.errors import RequestError, StartError
from model_server.loading import SAVED_MODEL_FILE
from model_server.logs import warning
from model_server.operations import Graph, Node, check_operations
from model_server.tensors import DEFAULT_SIGNATURE, Signature, TensorSpec
from model_server.wording import innermost_cause, telling_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from model_server.loading import Found
    from model_server.tensors import Array

WARM_UP_SIZES: Final = (1, 8, 32, 224)
"""Tried in this order for dimensions of unknown size: a convolution may need more than one pixel."""
_ANSWERS: Final = (
    (tf.errors.InvalidArgumentError, errors.InvalidArgument),
    (tf.errors.FailedPreconditionError, errors.InvalidArgument),
    (tf.errors.OutOfRangeError, errors.InvalidArgument),
    (tf.errors.NotFoundError, errors.NotFound),
    (tf.errors.ResourceExhaustedError, errors.ResourceExhausted),
    (tf.errors.UnimplementedError, errors.Unimplemented),
    (tf.errors.UnavailableError, errors.Unavailable),
    (tf.errors.DeadlineExceededError, errors.DeadlineExceeded),
)


def use_threads(count: int) -> None:
    """Let TensorFlow run on so many threads. Only before the first operation."""
    with suppress(RuntimeError):  # It is running already, as in tests that load several models.
        tf.config.threading.set_intra_op_parallelism_threads(count)
        tf.config.threading.set_inter_op_parallelism_threads(count)


@dataclass(frozen=True, slots=True)
class Function:
    """One callable signature."""

    signature: Signature
    call: Callable[..., dict[str, Any]]
    """Takes and gives tensors by name."""


class LoadedModel:
    """A model in memory; a `tensors.Model`."""

    def __init__(self, functions: Mapping[str, Function], owner: object) -> None:
        self._functions = functions
        self._owner = owner  # TensorFlow's functions hold their variables by weak references only.
        self.signatures: Mapping[str, Signature] = {name: f.signature for name, f in functions.items()}

    batchable = frozenset({DEFAULT_SIGNATURE})

    def close(self) -> None:
        """Nothing."""

    def predict(self, signature_name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Call one signature. Raises `RequestError` when the model refuses the inputs."""
        function = self._functions[signature_name]
        try:
            tensors = {
                name: tf.constant(array, dtype=_dtype(function.signature.inputs[name]))
                for name, array in inputs.items()
            }
            return {name: _array(tensor) for name, tensor in function.call(**tensors).items()}
        except tf.errors.OpError as error:
            raise _as_request_error(error) from error
        except (TypeError, ValueError) as error:
            raise errors.InvalidArgument(telling_line(str(error))) from error

    def warm_up(self) -> None:
        """Answer one made-up request. Raises `RequestError` if that fails.

        Only for the default signature: others may be there to change the model, as one that trains it is.
        """
        inputs = self.signatures[DEFAULT_SIGNATURE].inputs
        for attempt, size in enumerate(WARM_UP_SIZES, start=1):
            try:
                self.predict(DEFAULT_SIGNATURE, {key: _made_up(spec, size) for key, spec in inputs.items()})
                break
            except RequestError:
                if attempt == len(WARM_UP_SIZES):
                    raise


def load(found: Found, extra_ops: frozenset[str]) -> LoadedModel:
    """Load a model, and have it answer once. Raises `StartError`.

    A model may rightly refuse what is made up: zeros are no picture in JPEG.
    """
    try:
        if found.format is ModelFormat.SAVED_MODEL:
            check_operations([read_graph(found.path)], extra_ops)
            model = _load_saved_model(found.path)
        else:
            model = _load_keras(found.path)
    except StartError:
        raise
    except Exception as error:
        raise StartError(StartFailure.LOAD_FAILED, _explain(found, error)) from error
    if DEFAULT_SIGNATURE not in model.signatures:
        have = ", ".join(model.signatures) or "none"
        raise StartError(
            StartFailure.LOAD_FAILED, f"the SavedModel has no signature {DEFAULT_SIGNATURE}; it has {have}"
        )
    try:
        model.warm_up()
    except RequestError as error:
        if not isinstance(error, errors.InvalidArgument) or isinstance(
            error.__cause__, tf.errors.FailedPreconditionError
        ):
            raise StartError(
                StartFailure.LOAD_FAILED, f"the model did not answer a made-up request: {error}"
            ) from error
        warning("the model refused a made-up request; its first real one may be slow", reason=str(error))
    return model


def _load_saved_model(path: Path) -> LoadedModel:
    loaded = tf.saved_model.load(str(path))
    functions = {
        name: Function(
            Signature(
                {key: _spec(key, spec) for key, spec in function.structured_input_signature[1].items()},
                {key: _spec(key, spec) for key, spec in function.structured_outputs.items()},
            ),
            function,
        )
        for name, function in loaded.signatures.items()
        if not name.startswith("__")
    }
    return LoadedModel(functions, loaded)


def read_graph(folder: Path) -> Graph:
    """Read what a SavedModel would run, without running any of it."""
    document = saved_model_pb2.SavedModel()
    document.ParseFromString((folder / SAVED_MODEL_FILE).read_bytes())
    nodes: dict[str, Node] = {}
    functions: dict[str, tuple[Node, ...]] = {}
    root_nodes: set[str] = set()
    root_functions: set[str] = set()
    restoring_nodes: set[str] = set()
    for meta_graph in document.meta_graphs:
        library = meta_graph.graph_def.library.function
        names = {function.signature.name for function in library}
        nodes |= {node.name: _node(node, names) for node in meta_graph.graph_def.node}
        functions |= {f.signature.name: tuple(_node(node, names) for node in f.node_def) for f in library}
        for signature in meta_graph.signature_def.values():
            ends = [*signature.inputs.values(), *signature.outputs.values()]
            root_nodes |= {_node_name(end.name) for end in ends}
        for key in ("saved_model_main_op", "legacy_init_op"):
            root_nodes |= (
                set(meta_graph.collection_def[key].node_list.value) if key in meta_graph.collection_def else set()
            )
        root_functions |= set(meta_graph.object_graph_def.concrete_functions)
        restoring_nodes |= {_node_name(meta_graph.saver_def.restore_op_name)} - {""}
    return Graph(nodes, functions, frozenset(root_nodes), frozenset(root_functions), frozenset(restoring_nodes))


def _node(node: Any, library: set[str]) -> Node:
    called = {node.op} & library
    for value in node.attr.values():
        called |= {f.name for f in (value.func, *value.list.func) if f.name}
    return Node(node.op, tuple(map(_node_name, node.input)), tuple(sorted(called)))


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _load_keras(path: Path) -> LoadedModel:
    model = keras.models.load_model(path, compile=False, safe_mode=True)
    inputs = keras.tree.flatten(getattr(model, "inputs", None) or [])
    if not inputs:
        raise StartError(
            StartFailure.LOAD_FAILED,
            "the model does not say what its inputs are: save it after it was called once, or export a SavedModel",
        )
    names = _input_names(inputs)
    # A Sequential takes the tensor itself, a functional model the structure it was made with.
    structure = getattr(model, "_inputs_struct", None)
    if structure is None:
        structure = inputs[0] if len(inputs) == 1 else inputs
    # Inputs may have names that no parameter can have, as "feature-1".
    parameters = {name: f"input_{number}" for number, name in enumerate(names)}

    def trace(**tensors: Any) -> dict[str, Any]:
        values = keras.tree.pack_sequence_as(structure, [tensors[parameter] for parameter in parameters.values()])
        return _named(model(values, training=False))

    specs = {
        parameter: tf.TensorSpec(tensor.shape, tensor.dtype, name=parameter)
        for parameter, tensor in zip(parameters.values(), inputs, strict=True)
    }
    function = tf.function(trace, autograph=False).get_concrete_function(**specs)

    def call(**tensors: Any) -> Any:
        return function(**{parameters[name]: tensor for name, tensor in tensors.items()})

    signature = Signature(
        {name: _spec(name, specs[parameter]) for name, parameter in parameters.items()},
        {name: _spec(name, spec) for name, spec in function.structured_outputs.items()},
    )
    return LoadedModel({DEFAULT_SIGNATURE: Function(signature, call)}, model)


def _input_names(inputs: list[Any]) -> list[str]:
    names = [tensor.name for tensor in inputs]
    return names if len(set(names)) == len(names) else [f"input_{number}" for number in range(len(names))]


def _named(outputs: Any) -> dict[str, Any]:
    """Name outputs as `model.export` does, so that all formats of a model answer alike."""
    if isinstance(outputs, dict):
        return {str(name): output for name, output in outputs.items()}
    return {f"output_{number}": output for number, output in enumerate(keras.tree.flatten(outputs))}


def _spec(name: str, spec: Any) -> TensorSpec:
    shape = None if spec.shape.rank is None else tuple(spec.shape.as_list())
    return TensorSpec(name, "DT_" + _enum_name(spec.dtype), shape)


def _enum_name(dtype: Any) -> str:
    name = str(tf.as_dtype(dtype).name).upper()
    return {"FLOAT32": "FLOAT", "FLOAT64": "DOUBLE", "FLOAT16": "HALF"}.get(name, name)


def _dtype(spec: TensorSpec) -> Any:
    name = spec.dtype.removeprefix("DT_").lower()
    return tf.as_dtype({"float": "float32", "double": "float64", "half": "float16"}.get(name, name))


def _array(tensor: Any) -> Array:
    """Take an output out of TensorFlow. bfloat16 and its like are no types of NumPy's own, and become float32."""
    array: Array = np.asarray(tensor.numpy())
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def _made_up(spec: TensorSpec, size: int) -> Array:
    shape = [1, *(size if dimension is None else dimension for dimension in (spec.shape or (1,))[1:])]
    shape = shape if spec.shape is None else shape[: len(spec.shape)]
    dtype = _dtype(spec)
    return np.full(shape, b"") if dtype == tf.string else np.zeros(shape, dtype.as_numpy_dtype)


def _as_request_error(error: tf.errors.OpError) -> RequestError:
    kind = next((ours for theirs, ours in _ANSWERS if isinstance(error, theirs)), RequestError)
    return kind(telling_line(error.message or str(error)))


def _explain(found: Found, error: Exception) -> str:
    text = innermost_cause(str(error))
    if "safe_mode" in text or "unsafe" in text.lower() or "Lambda" in text:
        return (
            f"{found.path.name} holds Python code (as a Lambda layer does), which is not run: write it as a layer "
            "or with keras.ops, or export a SavedModel"
        )
    return f"{found.path.name} could not be loaded as {found.format}: {text}"
