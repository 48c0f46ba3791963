"""Turns a model of Keras into a SavedModel. Imports Keras, and with it all of TensorFlow: four seconds, 600 MB.

The SavedModel is what `model.export` writes, but for its names: inputs keep theirs, also those that no parameter of
Python can have (`feature-1`), and `serving_default` is the only signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import keras
from tensorflow import TensorSpec
from tensorflow.core.protobuf import saved_model_pb2

from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.loading import SAVED_MODEL_FILE
from model_server.tensors import DEFAULT_SIGNATURE
from model_server.wording import innermost_cause

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.loading import Found

_ENDPOINT: Final = "serve"
_OWN: Final = "__"


def export(found: Found, folder: Path) -> None:
    """Load a .keras or .h5 file and write it as a SavedModel to a folder that is made. Raises `StartError`."""
    try:
        model = keras.models.load_model(found.path, compile=False, safe_mode=True)
        names = _write(model, folder)
    except StartError:
        raise
    except Exception as error:
        raise StartError(StartFailure.LOAD_FAILED, _explain(found, error)) from error
    _name_inputs(folder / SAVED_MODEL_FILE, names)


def _write(model: Any, folder: Path) -> list[str]:
    """Write the SavedModel; returns the names of its inputs. In it they are input_0, input_1 and so on."""
    inputs = keras.tree.flatten(getattr(model, "inputs", None) or [])
    if not inputs:
        raise StartError(
            StartFailure.LOAD_FAILED,
            "the model does not say what its inputs are: save it after it was called once, or export a SavedModel",
        )
    # A Sequential takes the tensor itself, a functional model the structure it was made with.
    structure = getattr(model, "_inputs_struct", None)
    if structure is None:
        structure = inputs[0] if len(inputs) == 1 else inputs

    def answer(*tensors: Any) -> dict[str, Any]:
        return _named(model(keras.tree.pack_sequence_as(structure, list(tensors)), training=False))

    specs = [TensorSpec(tensor.shape, tensor.dtype, name=_parameter(place)) for place, tensor in enumerate(inputs)]
    archive = keras.export.ExportArchive()
    archive.track(model)  # Its tables, too.
    archive.add_endpoint(_ENDPOINT, answer, input_signature=specs)
    archive.write_out(str(folder), verbose=False)
    return _input_names(inputs)


def _parameter(place: int) -> str:
    return f"input_{place}"


def _input_names(inputs: list[Any]) -> list[str]:
    names = [tensor.name for tensor in inputs]
    return names if len(set(names)) == len(names) else [_parameter(place) for place in range(len(names))]


def _named(outputs: Any) -> dict[str, Any]:
    """Name outputs as `model.export` does, so that all formats of a model answer alike."""
    if isinstance(outputs, dict):
        return {str(name): output for name, output in outputs.items()}
    return {f"output_{number}": output for number, output in enumerate(keras.tree.flatten(outputs))}


def _name_inputs(file: Path, names: list[str]) -> None:
    document = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for meta_graph in document.meta_graphs:
        signatures = meta_graph.signature_def
        for name in [name for name in signatures if name != DEFAULT_SIGNATURE and not name.startswith(_OWN)]:
            del signatures[name]
        inputs = signatures[DEFAULT_SIGNATURE].inputs
        ends = [type(inputs[_parameter(place)]).FromString(inputs[_parameter(place)].SerializeToString())
                for place in range(len(names))]  # fmt: skip
        inputs.clear()
        for name, end in zip(names, ends, strict=True):
            inputs[name].CopyFrom(end)
    file.write_bytes(document.SerializeToString())


def _explain(found: Found, error: Exception) -> str:
    cause = innermost_cause(str(error))
    if "scipy" in cause:
        cause = "a layer of it needs the package scipy, which is not here: export it as a SavedModel (model.export)"
    return f"{found.path.name} could not be loaded as {found.format}: {cause}"
