"""Reads SavedModels: what can be called, what has to be run to load one, and which operations it holds.

The layout is TensorFlow's: `saved_model.pb` (graphs, functions, signatures), `variables/`, `assets/`, `assets.extra/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from model_server import tensorflow_package
from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.loading import SAVED_MODEL_FILE
from model_server.operations import Graph, Node
from model_server.tensors import Signature, TensorSpec

tensorflow_package.enter()

from tensorflow.core.framework import types_pb2  # noqa: E402  # Messages alone: a model is checked before more is there.
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

SERVE: Final = "serve"
"""The tag of the graph that is meant for serving."""
_INIT: Final = "__saved_model_init_op"
_OWN: Final = "__"
"""What the names of signatures begin with that are TensorFlow's own."""
_INIT_COLLECTIONS: Final = ("saved_model_main_op", "legacy_init_op")
_ASSETS: Final = "saved_model_assets"
_STANDS_IN: Final = "api_implements"
"""An attribute of functions that TensorFlow may call in the place of another."""


def read_document(folder: Path) -> Any:
    """Parse the file. Raises `StartError` if it is no SavedModel, or OSError."""
    document = saved_model_pb2.SavedModel()
    try:
        document.ParseFromString((folder / SAVED_MODEL_FILE).read_bytes())
    except Exception as error:  # protobuf's DecodeError, which has no home that is public.
        raise StartError(StartFailure.NOT_A_MODEL, f"{SAVED_MODEL_FILE} is damaged: it is no SavedModel") from error
    if not document.meta_graphs:
        raise StartError(StartFailure.NOT_A_MODEL, f"{SAVED_MODEL_FILE} holds no graph")
    return document


def serving_graph(document: Any) -> int:
    """Choose the graph that is tagged for serving and nothing else, or the only one there is; gives its number.

    Raises `StartError`.
    """
    tags = [set(graph.meta_info_def.tags) for graph in document.meta_graphs]
    if {SERVE} in tags:
        return tags.index({SERVE})
    if len(tags) == 1:
        return 0
    have = "; ".join(", ".join(sorted(each)) or "none" for each in tags)
    raise StartError(
        StartFailure.LOAD_FAILED, f"no graph of the SavedModel has just the tag {SERVE}; the tags are: {have}"
    )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A signature, and the tensors of the graph that are its ends."""

    signature: Signature
    feeds: Mapping[str, str]
    """Tensors by the names of inputs."""
    fetches: Mapping[str, str]


def endpoints(meta_graph: Any) -> dict[str, Endpoint]:
    """Find what can be called, by name. A signature with an end that is no plain tensor is left out."""
    found = {}
    for name, definition in sorted(meta_graph.signature_def.items()):
        ends = [*definition.inputs.values(), *definition.outputs.values()]
        if not name.startswith(_OWN) and ends and all(end.WhichOneof("encoding") == "name" for end in ends):
            found[name] = Endpoint(
                Signature(_specs(definition.inputs), _specs(definition.outputs), definition.method_name),
                {key: info.name for key, info in sorted(definition.inputs.items())},
                {key: info.name for key, info in sorted(definition.outputs.items())},
            )
    return found


def _specs(ends: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {key: _spec(key, info) for key, info in sorted(ends.items())}


def _spec(key: str, info: Any) -> TensorSpec:
    shape = None if info.tensor_shape.unknown_rank else tuple(_size(dim.size) for dim in info.tensor_shape.dim)
    return TensorSpec(key, types_pb2.DataType.Name(info.dtype), shape, info.name)


def _size(size: int) -> int | None:
    return None if size < 0 else size


def initialiser(meta_graph: Any) -> str | None:
    """Name the operation that is run once when the model is loaded, as one that fills its tables."""
    if _INIT in meta_graph.signature_def:
        return _operation(meta_graph.signature_def[_INIT].outputs[_INIT].name)
    for key in _INIT_COLLECTIONS:
        if key in meta_graph.collection_def and meta_graph.collection_def[key].node_list.value:
            return _operation(meta_graph.collection_def[key].node_list.value[0])
    return None


def assets(meta_graph: Any, folder: Path) -> dict[str, str]:
    """Give the paths of files that initialisation reads, by the tensors that take them. Raises `StartError`."""
    listed = list(meta_graph.asset_file_def)
    if not listed and _ASSETS in meta_graph.collection_def:
        for packed in meta_graph.collection_def[_ASSETS].any_list.value:
            asset = meta_graph_pb2.AssetFileDef()
            packed.Unpack(asset)
            listed.append(asset)
    place = folder / "assets"
    for asset in listed:
        if not (place / asset.filename).resolve().is_relative_to(place.resolve()):
            raise StartError(
                StartFailure.NOT_A_MODEL, f"the asset {asset.filename!r} lies outside of the model's folder"
            )
    return {asset.tensor_info.name: str(place / asset.filename) for asset in listed}


def operations(document: Any) -> tuple[Graph, ...]:
    """List what the SavedModel would run, without running any of it. Raises `StartError` if that is ambiguous."""
    return tuple(_operations(meta_graph) for meta_graph in document.meta_graphs)


def _operations(meta_graph: Any) -> Graph:
    """Those of one graph. Each is looked at by itself: names of one may be names of others, too."""
    library = meta_graph.graph_def.library
    names = {function.signature.name for function in library.function}
    nodes = {node.name: _node(node, names) for node in meta_graph.graph_def.node}
    functions = {f.signature.name: tuple(_node(node, names) for node in f.node_def) for f in library.function}
    if len(nodes) < len(meta_graph.graph_def.node) or len(functions) < len(library.function):
        raise StartError(StartFailure.NOT_A_MODEL, "a graph of the SavedModel uses a name twice")
    ends = [
        end
        for signature in meta_graph.signature_def.values()
        for end in (*signature.inputs.values(), *signature.outputs.values())
    ]
    root_nodes = {_operation(tensor) for end in ends for tensor in _tensors(end)}
    for key in _INIT_COLLECTIONS:
        if key in meta_graph.collection_def:
            root_nodes |= set(map(_operation, meta_graph.collection_def[key].node_list.value))
    # TensorFlow may call the gradient of a function in its place, and one function for another that does the same.
    root_functions = set(meta_graph.object_graph_def.concrete_functions)
    root_functions |= {gradient.gradient_func for gradient in library.gradient}
    root_functions |= {f.signature.name for f in library.function if _STANDS_IN in f.attr}
    restoring = {_operation(meta_graph.saver_def.restore_op_name)} - {""}
    return Graph(nodes, functions, frozenset(root_nodes), frozenset(root_functions), frozenset(restoring))


def _tensors(end: Any) -> list[str]:
    """Name all tensors of an input or output: it may be sparse or ragged."""
    sparse = end.coo_sparse
    parts = [end.name, sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name]
    return [*filter(None, parts), *(name for part in end.composite_tensor.components for name in _tensors(part))]


def _node(node: Any, library: set[str]) -> Node:
    called = {node.op} & library | {name for value in node.attr.values() for name in _called(value)}
    return Node(node.op, tuple(map(_operation, node.input)), tuple(sorted(called)))


def _called(value: Any) -> Iterator[str]:
    """Name the functions in an attribute; functions have attributes of their own."""
    for function in (value.func, *value.list.func):
        if function.name:
            yield function.name
            for inner in function.attr.values():
                yield from _called(inner)


def _operation(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]
