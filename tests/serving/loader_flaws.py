"""Makes model files with one flaw each, and bait that shows whether opening one did anything. Needs no TensorFlow.

Each file is a good model but for its flaw; `test_server_loader_flaws` shows that the good one is served.
"""

from __future__ import annotations

import base64
import copy
import ctypes
import json
import marshal
import os
import pickle
import socket
import stat
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from model_server import saved_model  # Lets TensorFlow's messages be imported without the rest of it.
from tensorflow.core.protobuf import saved_model_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Config = dict[str, Any]

assert saved_model.SERVE == "serve"
_OPENED = 0x20 | 0x1  # inotify's IN_OPEN and IN_ACCESS


class Bait:
    """Files that nothing may read, a folder that nothing may write to, and a port that nothing may call."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.secret = folder / "vocabulary.txt"
        self.secret.write_text("secret\nwords\n")
        self.written = folder / "written"
        with h5py.File(folder / "secret.h5", "w") as file:
            file["vars/0"] = np.full((2, 1), 42.0, "float32")
        self.port = socket.create_server(("127.0.0.1", 0))
        self.port.setblocking(False)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._watch = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._libc.inotify_add_watch(self._watch, str(folder).encode(), _OPENED) >= 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port.getsockname()[1]}/model"

    def touched(self) -> list[str]:
        """What happened to it."""
        events = self._events()
        found = [f"read: {events!r}"] if events else []
        found += [file.name for file in self.folder.iterdir() if file.name not in ("vocabulary.txt", "secret.h5")]
        self._events()  # Those of looking.
        try:
            self.port.accept()
            found.append("called")
        except BlockingIOError:
            pass
        return found

    def _events(self) -> bytes:
        try:
            return os.read(self._watch, 65536)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        self.port.close()
        os.close(self._watch)


# --- Keras -------------------------------------------------------------------------------------------------
def layer(name: str, config: Config, module: str | None = "keras.layers", **more: object) -> Config:
    return {"module": module, "class_name": name, "config": config, "registered_name": None, **more}


def function(name: str, module: str = "builtins") -> Config:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def sequential(*layers: Config, dtype: str = "float32") -> Config:
    entry = layer("InputLayer", {"batch_shape": [None, 2], "dtype": dtype, "name": "x"})
    return layer(
        "Sequential", {"name": "model", "trainable": True, "dtype": "float32", "layers": [entry, *layers]}, "keras"
    )


DENSE = layer(
    "Dense",
    {"name": "dense", "trainable": True, "units": 1, "activation": "linear", "use_bias": True},
    build_config={"input_shape": [None, 2]},
)
DENSE_PATH = "layers/dense/vars"


def python_code(bait: Bait) -> Config:
    code = compile(f"lambda x: (open({str(bait.written)!r}, 'w').close(), x)[1]", "", "eval").co_consts[0]
    value = {"code": base64.b64encode(marshal.dumps(code)).decode(), "defaults": None, "closure": None}
    return {"class_name": "__lambda__", "config": {"value": value}}


class _Touch:
    """Unpickled, makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return Path.touch, (self.path,)


def lambda_layer(bait: Bait) -> Config:
    return layer(
        "Lambda", {"name": "l", "function": python_code(bait), "arguments": {}}, build_config={"input_shape": [None, 2]}
    )


def calls(name: str, module: str, **arguments: object) -> Config:
    """A layer that calls something that Keras can look up."""
    return layer("Lambda", {"name": "l", "function": function(name, module), "arguments": arguments})


def lookup(vocabulary: object, name: str = "StringLookup") -> Config:
    return layer(name, {"name": "lookup", "vocabulary": vocabulary, "num_oov_indices": 1, "invert": False})


def keras_configs(bait: Bait) -> Iterator[tuple[str, Config]]:
    """Name the flaw, and give a model's configuration that has it."""
    saved = str(bait.folder)
    yield "CVE-2024-3660 bytecode in a Lambda layer", sequential(lambda_layer(bait))
    yield (
        "CVE-2025-1550 a function of any module",
        sequential(layer("Dense", {"units": 1, "activation": function("system", "os")})),
    )
    yield (
        "CVE-2025-1550 a class of any module",
        sequential(layer("Popen", {"args": ["touch", str(bait.written)]}, "subprocess")),
    )
    yield (
        "CVE-2025-1550 as an argument of a call",
        sequential({**DENSE, "inbound_nodes": [{"args": [function("system", "os")], "kwargs": {}}]}),
    )
    yield (
        "CVE-2025-8747 a download",
        sequential(calls("get_file", "keras.utils", origin=bait.url, fname="written", cache_dir=saved)),
    )
    yield (
        "CVE-2025-8747 as an activation",
        sequential(layer("Activation", {"name": "a", "activation": function("get_file", "keras.utils")})),
    )
    yield (
        "CVE-2025-9906 safe mode turned off first",
        sequential(
            layer("Activation", {"activation": function("enable_unsafe_deserialization", "keras.config")}),
            lambda_layer(bait),
        ),
    )
    yield (
        "CVE-2025-9906 a model that loads another",
        sequential(calls("load_model", "keras.models", filepath=f"{saved}/other.keras", safe_mode=False)),
    )
    yield "CVE-2025-12058 a vocabulary in a file", sequential(lookup(str(bait.secret)), dtype="string")
    yield "CVE-2025-12058 a vocabulary at an address", sequential(lookup(bait.url), dtype="string")
    yield "CVE-2025-12058 whole numbers", sequential(lookup(str(bait.secret), "IntegerLookup"), dtype="int64")
    yield (
        "CVE-2025-12058 of a vectorization",
        sequential(layer("TextVectorization", {"name": "t", "vocabulary": str(bait.secret)}), dtype="string"),
    )
    yield (
        "CVE-2025-12058 weights of a vocabulary",
        sequential(
            layer("StringLookup", {"vocabulary": ["a"], "idf_weights": str(bait.secret), "output_mode": "tf_idf"}),
            dtype="string",
        ),
    )
    yield (
        "CVE-2025-12060 an archive that is downloaded and unpacked",
        sequential(calls("get_file", "keras.utils", origin=bait.url, extract=True, cache_dir=saved)),
    )
    yield (
        "CVE-2026-1462 a program that lies elsewhere",
        sequential(layer("TFSMLayer", {"name": "t", "filepath": saved, "call_endpoint": "serve"})),
    )
    yield "CVE-2026-1462 its class as a function", sequential(calls("TFSMLayer", "keras.layers", filepath=saved))
    pickled = base64.b64encode(pickle.dumps(_Touch(bait.written))).decode()
    yield "a pickled module of PyTorch", sequential(layer("TorchModuleWrapper", {"name": "t", "module": pickled}))
    yield "a function of JAX", sequential(layer("JaxLayer", {"call_fn": function("system", "os")}))
    yield "a module of Flax", sequential(layer("FlaxLayer", {"module": pickled}))
    yield "code in a wrapped layer", sequential(layer("TimeDistributed", {"layer": lambda_layer(bait)}))
    yield "code in a model in a model", sequential(sequential(sequential(lambda_layer(bait))))
    yield (
        "code in a cell",
        sequential(layer("RNN", {"cell": layer("StackedRNNCells", {"cells": [lambda_layer(bait)]})})),
    )
    yield (
        "code where an initialiser is",
        sequential(layer("Dense", {"units": 1, "kernel_initializer": python_code(bait)})),
    )
    yield (
        "code in the settings for training an inner model",
        sequential({**sequential(DENSE), "compile_config": {"loss": python_code(bait)}}),
    )
    yield (
        "code under a name of Keras'",
        sequential({**lambda_layer(bait), "class_name": "Lambda", "module": "keras.src.layers.core.lambda_layer"}),
    )
    yield "a module that is imported", sequential(layer("Dense", {"units": 1}, "antigravity"))
    yield "a module below keras", sequential(layer("Layer", {}, "keras.src.legacy.saving.legacy_h5_format"))
    yield "a class of the user's", sequential(layer("Mine", {}, None, registered_name="Custom>Mine"))
    yield (
        "a type of TensorFlow's",
        sequential(
            {
                "class_name": "__typespec__",
                "spec_name": "X",
                "module": "tensorflow",
                "config": [],
                "registered_name": "X",
            }
        ),
    )
    yield "a class that is no name", sequential({"class_name": ["Dense"], "config": {}})
    deep: Config = DENSE
    for _ in range(300):
        deep = layer("TimeDistributed", {"layer": deep})
    yield "nested three hundred deep", sequential(deep)


def write_keras(path: Path, config: Config, weights: Path | None = None, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"}))
        archive.writestr("config.json", json.dumps(config))
        if weights is None:
            weights = path.with_suffix(".weights")
            write_weights(weights)
        archive.write(weights, "model.weights.h5")
        for name, content in members.items():
            archive.writestr(name, content)


def write_weights(path: Path, group: str = DENSE_PATH) -> None:
    with h5py.File(path, "w") as file:
        file[f"{group}/0"] = np.ones((2, 1), "float32")
        file[f"{group}/1"] = np.zeros(1, "float32")


def write_h5(path: Path, config: Config) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"dense"]
        dense = weights.create_group("dense")
        dense.attrs["weight_names"] = [b"dense/kernel", b"dense/bias"]
        dense["dense/kernel"] = np.ones((2, 1), "float32")
        dense["dense/bias"] = np.zeros(1, "float32")


def lead_in_circles(path: Path) -> None:
    """Alter one byte of an .h5 file: the size of its configuration, behind which HDF5 looks for what follows."""
    content = bytearray(path.read_bytes())
    content[content.index(b'{"module"') - 7] += 1
    path.write_bytes(content)


def _external_link(file: h5py.File, where: str, bait: Bait) -> None:
    file[where] = h5py.ExternalLink(str(bait.folder / "secret.h5"), "/vars/0")


def _external_group(file: h5py.File, where: str, bait: Bait) -> None:
    group = where.rpartition("/")[0]
    del file[group]
    file[group] = h5py.ExternalLink(str(bait.folder / "secret.h5"), "/vars")


def _soft_link(file: h5py.File, where: str, _: Bait) -> None:
    file[where] = h5py.SoftLink("/elsewhere")


def _external_storage(file: h5py.File, where: str, bait: Bait) -> None:
    file.create_dataset(where, (2, 1), "float32", external=[(str(bait.secret), 0, 8)])


def _virtual(file: h5py.File, where: str, bait: Bait) -> None:
    layout = h5py.VirtualLayout((2, 1), "float32")
    layout[:] = h5py.VirtualSource(str(bait.folder / "secret.h5"), "vars/0", (2, 1))
    file.create_virtual_dataset(where, layout)


def _shape_bomb(file: h5py.File, where: str, _: Bait) -> None:
    file.create_dataset(where, (2**40, 2**8), "float32", chunks=(1024, 256), compression="gzip")


def _type(file: h5py.File, where: str, _: Bait) -> None:
    file[where] = np.dtype("float32")


WEIGHTS: dict[str, Callable[[h5py.File, str, Bait], None]] = {
    "CVE-2026-0897 a terabyte of nothing": _shape_bomb,
    "CVE-2026-1669 a link into another file": _external_link,
    "CVE-2026-1669 a group in another file": _external_group,
    "CVE-2026-1669 a link by name": _soft_link,
    "CVE-2026-1669 bytes of another file": _external_storage,
    "CVE-2026-1669 a virtual dataset": _virtual,
    "a type in the place of weights": _type,
}


def spoil_weights(path: Path, flaw: str, bait: Bait, where: str = f"{DENSE_PATH}/0") -> None:
    """Put a flaw in the place of a layer's first weights."""
    with h5py.File(path, "a") as file:
        del file[where]
        WEIGHTS[flaw](file, where, bait)


def archives(folder: Path, bait: Bait) -> Iterator[tuple[str, Path]]:
    """Write .keras files whose zip is the flaw."""
    config = sequential(DENSE)

    def start(name: str) -> Path:
        path = folder / f"{name}.keras"
        write_keras(path, config)
        return path

    for name, member in {
        "up": "../written", "up-in-assets": "assets/../../written", "absolute": str(bait.written), "more": "run.py",
        "backslash": "assets\\..\\..\\written",
    }.items():  # fmt: skip
        path = start(name)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(member, b"x")
        yield f"a file named {member}", path
    path = start("link")
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("assets/vocabulary.txt")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, str(bait.secret))
    yield "a link", path
    path = start("twice")
    with zipfile.ZipFile(path, "a") as archive, _no_warnings():
        archive.writestr("config.json", json.dumps(sequential(lambda_layer(bait))))
    yield "two configurations", path
    path = start("bomb")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/vocabulary.txt", bytes(2**20))
    _pretend_size(path, b"assets/vocabulary.txt", 2**32 - 2)
    yield "a zip bomb", path
    path = start("sealed")
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 8] |= 1
    path.write_bytes(content)
    yield "an encrypted part", path
    path = folder / "deep.keras"
    write_keras(path, config)
    path.unlink()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", "[" * 1_000_000)
        archive.writestr("model.weights.h5", b"")
    yield "a million brackets", path


def _no_warnings() -> Any:
    import warnings

    caught = warnings.catch_warnings()
    warnings.simplefilter("ignore")
    return caught


def _pretend_size(path: Path, name: bytes, size: int) -> None:
    """Say in the zip's directory that a file is so large."""
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(name))
    struct.pack_into("<I", content, at + 24, size)
    path.write_bytes(content)


# --- SavedModels -------------------------------------------------------------------------------------------
FLOAT, STRING, BOOL, INT64 = 1, 7, 10, 9


def document() -> Any:
    """A model that gives back its numbers; its last node is `y`."""
    made = saved_model_pb2.SavedModel()
    _add_graph(made)
    return made


def _add_graph(made: Any, tag: str = "serve") -> Any:
    meta_graph = made.meta_graphs.add()
    meta_graph.meta_info_def.tags.append(tag)
    x = node(meta_graph.graph_def.node, "x", "Placeholder")
    x.attr["dtype"].type = FLOAT
    x.attr["shape"].shape.dim.add(size=-1)
    node(meta_graph.graph_def.node, "y", "Identity", "x").attr["T"].type = FLOAT
    signature = meta_graph.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    for end, key in ((signature.inputs["x"], "x:0"), (signature.outputs["y"], "y:0")):
        end.name, end.dtype = key, FLOAT
        end.tensor_shape.dim.add(size=-1)
    return meta_graph


def node(nodes: Any, name: str, op: str, *inputs: str) -> Any:
    return nodes.add(name=name, op=op, input=inputs)


def text(nodes: Any, name: str, value: str) -> str:
    constant = node(nodes, name, "Const")
    constant.attr["dtype"].type = STRING
    constant.attr["value"].tensor.dtype = STRING
    constant.attr["value"].tensor.tensor_shape.SetInParent()
    constant.attr["value"].tensor.string_val.append(value.encode())
    return name


def write_file(nodes: Any, bait: Bait, name: str = "harm") -> str:
    """Add an operation that writes a file."""
    node(nodes, name, "WriteFile", text(nodes, f"{name}_path", str(bait.written)), text(nodes, f"{name}_text", "x"))
    return name


def add_function(meta_graph: Any, name: str, bait: Bait | None = None) -> Any:
    """Add a function of one number to one number, which writes a file first if there is bait."""
    made = meta_graph.graph_def.library.function.add()
    made.signature.name = name
    made.signature.input_arg.add(name="a", type=FLOAT)
    made.signature.output_arg.add(name="b", type=FLOAT)
    inner = node(made.node_def, "c", "Identity", "a")
    inner.attr["T"].type = FLOAT
    made.ret["b"] = "c:output:0"
    if bait is not None:
        path, value = text(made.node_def, "path", str(bait.written)), text(made.node_def, "text", "x")
        node(made.node_def, "harm", "WriteFile", f"{path}:output:0", f"{value}:output:0")
        inner.input.append("^harm")
    return made


def call(nodes: Any, name: str, called: str, *inputs: str, op: str = "StatefulPartitionedCall") -> Any:
    made = node(nodes, name, op, *inputs)
    made.attr["f"].func.name = called
    for attribute in ("Tin", "Tout"):
        made.attr[attribute].list.type.append(FLOAT)
    return made


HARMFUL = (
    "AudioSummaryV2", "CacheDataset", "CreateSummaryFileWriter", "CloseSummaryWriter", "DatasetToTFRecord",
    "DebugIdentityV2", "EagerPyFunc", "FixedLengthRecordDatasetV2", "FixedLengthRecordReaderV2", "IdentityReaderV2",
    "ImportEvent", "InitializeTableFromTextFileV2", "LMDBDataset", "LoadDataset", "MatchingFiles",
    "MatchingFilesDataset", "MergeV2Checkpoints", "Print", "PrintV2", "PyFunc", "PyFuncStateless", "ReadFile",
    "ReaderReadV2", "RemoteCall", "RestoreV2", "Restore", "RestoreSlice", "RpcCall", "RpcClient", "RpcServer", "Save",
    "SaveDatasetV2", "SaveSlices", "SaveV2", "SqlDataset", "SymbolicGradient", "TFRecordDatasetV2", "TFRecordReaderV2",
    "TextLineDatasetV2", "TextLineReaderV2", "WholeFileReader", "WholeFileReaderV2", "WriteAudioSummary", "WriteFile",
    "WriteRawProtoSummary", "XlaLaunch", "_Send", "_Recv", "NobodyKnowsThis",
)  # fmt: skip


def saved_models(bait: Bait) -> Iterator[tuple[str, Any]]:
    """Name the flaw, and give a SavedModel that has it."""
    for op in HARMFUL:
        made = document()
        nodes = made.meta_graphs[0].graph_def.node
        node(nodes, "harm", op)
        nodes[1].input.append("^harm")
        yield op, made
    for name, build in _HIDDEN.items():
        made = document()
        build(made, bait)
        yield f"WriteFile {name}", made


def _in_the_open(made: Any, bait: Bait) -> None:
    nodes = made.meta_graphs[0].graph_def.node
    nodes[1].input.append("^" + write_file(nodes, bait))


def _unused(made: Any, bait: Bait) -> None:
    write_file(made.meta_graphs[0].graph_def.node, bait)


def _in_initialisation(made: Any, bait: Bait) -> None:
    meta_graph = made.meta_graphs[0]
    init = meta_graph.signature_def["__saved_model_init_op"]
    init.outputs["__saved_model_init_op"].name = write_file(meta_graph.graph_def.node, bait)


def _in_restoring(made: Any, bait: Bait) -> None:
    made.meta_graphs[0].saver_def.restore_op_name = write_file(made.meta_graphs[0].graph_def.node, bait)


def _in_a_function(made: Any, bait: Bait) -> None:
    add_function(made.meta_graphs[0], "f", bait)


def _in_a_function_of_a_function(made: Any, bait: Bait) -> None:
    meta_graph = made.meta_graphs[0]
    add_function(meta_graph, "inner", bait)
    outer = add_function(meta_graph, "outer")
    del outer.node_def[:]
    call(outer.node_def, "c", "inner", "a")
    del meta_graph.graph_def.node[1]
    call(meta_graph.graph_def.node, "y", "outer", "x")


def _in_a_gradient(made: Any, bait: Bait) -> None:
    meta_graph = made.meta_graphs[0]
    add_function(meta_graph, "f")
    add_function(meta_graph, "gradient", bait)
    meta_graph.graph_def.library.gradient.add(function_name="f", gradient_func="gradient")


def _in_a_branch(made: Any, bait: Bait) -> None:
    meta_graph = made.meta_graphs[0]
    add_function(meta_graph, "f", bait)
    case = node(meta_graph.graph_def.node, "z", "StatelessCase", "x", "x")
    case.attr["branches"].list.func.add(name="f")


def _in_a_second_graph(made: Any, bait: Bait) -> None:
    write_file(_add_graph(made, "train").graph_def.node, bait)


def _under_a_name_of_a_second_graph(made: Any, bait: Bait) -> None:
    nodes = made.meta_graphs[0].graph_def.node
    nodes[1].input.append("^" + write_file(nodes, bait))
    node(_add_graph(made, "train").graph_def.node, "harm", "NoOp")


def _under_a_function_of_a_second_graph(made: Any, bait: Bait) -> None:
    add_function(made.meta_graphs[0], "f", bait)
    add_function(_add_graph(made, "train"), "f")


def _under_a_name_that_is_there_twice(made: Any, bait: Bait) -> None:
    nodes = made.meta_graphs[0].graph_def.node
    write_file(nodes, bait)
    node(nodes, "harm", "NoOp")


_HIDDEN: dict[str, Callable[[Any, Bait], None]] = {
    "in the open": _in_the_open,
    "that nothing leads to": _unused,
    "in initialisation": _in_initialisation,
    "in restoring": _in_restoring,
    "in a function": _in_a_function,
    "in a function of a function": _in_a_function_of_a_function,
    "in a gradient": _in_a_gradient,
    "in a branch": _in_a_branch,
    "in a second graph": _in_a_second_graph,
    "under a name of a second graph": _under_a_name_of_a_second_graph,
    "under a function of a second graph": _under_a_function_of_a_second_graph,
    "under a name that is there twice": _under_a_name_that_is_there_twice,
}


def checkpoints() -> Iterator[tuple[str, Any]]:
    """SavedModels that write checkpoints when they are asked something."""
    for name in ("in an inner attribute", "in a gradient", "in a function that stands in for another"):
        made = document()
        meta_graph = made.meta_graphs[0]
        node(add_function(meta_graph, "saves").node_def, "save", "SaveV2")
        add_function(meta_graph, "f")
        called = call(meta_graph.graph_def.node, "z", "f", "x")
        meta_graph.graph_def.node[1].input.append("^z")
        if name == "in an inner attribute":
            called.attr["f"].func.attr["g"].func.name = "saves"
        elif name == "in a gradient":
            meta_graph.graph_def.library.gradient.add(function_name="f", gradient_func="saves")
        else:
            meta_graph.graph_def.library.function[0].attr["api_implements"].s = b"f"
        yield f"SaveV2 {name}", made


def write_saved_model(folder: Path, made: Any) -> None:
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(made.SerializeToString())


def disguised(bait: Bait) -> Any:
    """A function that is called as an operation is, so that the operation seems to be the function."""
    made = document()
    meta_graph = made.meta_graphs[0]
    add_function(meta_graph, "WriteFile")
    meta_graph.graph_def.node[1].input.append("^" + write_file(meta_graph.graph_def.node, bait))
    return made


# --- Files that crash or hang TensorFlow -------------------------------------------------------------------
def recursion() -> Any:
    """A function that calls itself."""
    made = document()
    meta_graph = made.meta_graphs[0]
    endless = add_function(meta_graph, "f")
    del endless.node_def[:]
    call(endless.node_def, "c", "f", "a")
    del meta_graph.graph_def.node[1]
    call(meta_graph.graph_def.node, "y", "f", "x")
    return made


def overflow() -> Any:
    """A tensor of more elements than can be counted."""
    made = document()
    nodes = made.meta_graphs[0].graph_def.node
    del nodes[1]
    shape = node(nodes, "shape", "Const")
    shape.attr["dtype"].type = shape.attr["value"].tensor.dtype = INT64
    shape.attr["value"].tensor.tensor_shape.dim.add(size=3)
    shape.attr["value"].tensor.int64_val.extend([2**40] * 3)
    value = node(nodes, "value", "Const")
    value.attr["dtype"].type = value.attr["value"].tensor.dtype = FLOAT
    value.attr["value"].tensor.tensor_shape.SetInParent()
    value.attr["value"].tensor.float_val.append(1)
    fill = node(nodes, "y", "Fill", "shape", "value")
    fill.attr["T"].type, fill.attr["index_type"].type = FLOAT, INT64
    return made


def endless() -> Any:
    """A loop that does not end."""
    made = document()
    meta_graph = made.meta_graphs[0]
    add_function(meta_graph, "body")
    condition = copy.deepcopy(meta_graph.graph_def.library.function[0])
    condition.signature.name = "condition"
    condition.signature.output_arg[0].type = BOOL
    constant = condition.node_def[0]
    constant.Clear()
    constant.name, constant.op = "c", "Const"
    constant.attr["dtype"].type = constant.attr["value"].tensor.dtype = BOOL
    constant.attr["value"].tensor.tensor_shape.SetInParent()
    constant.attr["value"].tensor.bool_val.append(True)
    meta_graph.graph_def.library.function.append(condition)
    del meta_graph.graph_def.node[1]
    loop = node(meta_graph.graph_def.node, "y", "While", "x")
    loop.attr["T"].list.type.append(FLOAT)
    loop.attr["cond"].func.name, loop.attr["body"].func.name = "condition", "body"
    return made
