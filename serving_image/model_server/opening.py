"""Opens a model: checked, loaded, warmed up. Blocks for seconds, in a thread that is not the event loop's."""

from __future__ import annotations

import ctypes
import gc
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from model_server import cpus, loading, spreading
from model_server.preparation.parent import prepare, saved_model_of

if TYPE_CHECKING:
    from model_server.contract import ModelFormat
    from model_server.dataplane.batch_settings import BatchSettings
    from model_server.tensors import Model


def open_model(
    folder: Path, wanted: ModelFormat | None, extra_ops: frozenset[str], batching: BatchSettings, *, tried: bool
) -> Model:
    """Find, check, load and warm up the one model in a folder. Raises `StartError`.

    `tried`: whether a SavedModel has been opened by a process of its own before, as the init container does it. A
    server that already serves has to have that done first, as a file that crashes TensorFlow would end it.
    """
    found = loading.find_model(folder, wanted)
    if tried:
        with saved_model_of(found, extra_ops) as path:
            return _load(path, extra_ops, batching)
    with tempfile.TemporaryDirectory() as work:
        return _load(prepare(found, Path(work), extra_ops), extra_ops, batching)


def _load(path: Path, extra_ops: frozenset[str], batching: BatchSettings) -> Model:
    # Here, because it takes a second: what is no model is told at once.
    from model_server import engine, grpc_server, recorded

    processors, sizes = cpus.available(), batching.allowed_batch_sizes or (1,)
    opened = partial(engine.load, path, extra_ops, processors)
    model = spreading.open_fastest(opened, processors, engine.size(path), sizes[0])
    engine.warm_up(model, sizes)
    recorded.replay(model, path)
    grpc_server.prepare()
    gc.unfreeze()  # What was frozen with an earlier version may have gone with it by now: graphs are cycles.
    gc.collect()
    gc.freeze()  # TensorFlow's millions of objects stay: later collections need not look at them.
    _return_memory()
    return model


def _return_memory() -> None:
    """Give back what opening took and needs no more; of its own accord the C library keeps it, 100 MB at times."""
    with suppress(AttributeError):  # Other C libraries than glibc do not have it.
        ctypes.CDLL(None).malloc_trim(0)
