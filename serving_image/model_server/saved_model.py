"""Reads SavedModels: what can be called, what has to be run to load one, and which operations it holds.

The layout is TensorFlow's: `saved_model.pb` (graphs, functions, signatures), `variables/`, `assets/`, `assets.extra/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.loading import SAVED_MODEL_FILE
from model_server.operations import Graph, Node
from model_server.runtime import meta_graph_pb2, saved_model_pb2, types_pb2
from model_server.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SERVE: Final = "serve"
"""The tag of the graph that is meant for serving."""
_INIT: Final = "__saved_model_init_op"
_OWN: Final = "__"
"""What the names of signatures begin with that are TensorFlow's own."""
_INIT_COLLECTIONS: Final = ("saved_model_main_op", "legacy_init_op")
_ASSETS: Final = "saved_model_assets"


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


def serving_graph(document: Any) -> Any:
    """Choose the graph that is tagged for serving and nothing else, or the only one there is. Raises `StartError`."""
    tags = [set(graph.meta_info_def.tags) for graph in document.meta_graphs]
    if {SERVE} in tags:
        return document.meta_graphs[tags.index({SERVE})]
    if len(tags) == 1:
        return document.meta_graphs[0]
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


def operations(document: Any) -> Graph:
    """List what the SavedModel would run, without running any of it."""
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
            root_nodes |= {_operation(end.name) for end in ends}
        for key in _INIT_COLLECTIONS:
            root_nodes |= (
                set(meta_graph.collection_def[key].node_list.value) if key in meta_graph.collection_def else set()
            )
        root_functions |= set(meta_graph.object_graph_def.concrete_functions)
        restoring_nodes |= {_operation(meta_graph.saver_def.restore_op_name)} - {""}
    return Graph(nodes, functions, frozenset(root_nodes), frozenset(root_functions), frozenset(restoring_nodes))


def _node(node: Any, library: set[str]) -> Node:
    called = {node.op} & library
    for value in node.attr.values():
        called |= {f.name for f in (value.func, *value.list.func) if f.name}
    return Node(node.op, tuple(map(_operation, node.input)), tuple(sorted(called)))


def _operation(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]
