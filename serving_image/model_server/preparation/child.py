"""The process that opens a foreign model file: `python3 -m model_server.preparation.child`.

It is told what to do by one JSON object on its standard input, and answers by one on its standard output: `{}`, or the
reason why the model is not to be served. Everything it needs to know comes that way: it has no other environment.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_server.contract import ModelFormat, StartFailure
from model_server.errors import StartError
from model_server.loading import Found
from model_server.preparation import confinement, limits
from model_server.preparation.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

_READABLE: Final = (
    "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/null", "/dev/urandom", "/proc/self",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system", "/sys/fs/cgroup",
)  # fmt: skip
"""With Python's own folders: programs, and facts about the machine. No keys, and nothing of other processes."""
_UNUSED: Final = (
    "PIL", "dask", "graphviz", "huggingface_hub", "jax", "matplotlib", "pandas", "polars", "pyarrow", "pydot", "scipy",
    "sklearn", "torch",
)  # fmt: skip
"""Packages that Keras imports if they are there. The image has none of them; they would take seconds."""
_THREADS: Final = 2
_CHECK_SECONDS: Final = 5.0
"""Of computing: to look at a small file takes a tenth of one, and reading a large one a second for each gigabyte."""
_CHECK_BYTES_PER_SECOND: Final = 50 * 2**20


def main() -> int:
    """Do what standard input says; returns the exit code, which is 0 if there is an answer."""
    task: dict[str, Any] = json.load(sys.stdin)
    confinement.die_with_parent(task["parent"])
    answers = os.dup(1)
    os.dup2(2, 1)  # What libraries print is no answer.
    answer: dict[str, Any]
    bounds = Limits(**task["limits"])
    try:
        limits.apply(bounds)
        found, folder = Found(Path(task["path"]), ModelFormat(task["format"])), Path(task["folder"])
        readable = [Path(place) for place in (*_READABLE, sys.prefix, sys.base_prefix, *sys.path) if place]
        confined = confinement.confine([*readable, found.path], [folder])
        _open(found, folder / task["target"], bounds, frozenset(task["extra_ops"]))
        answer = {"confined": confined}
    except StartError as error:
        answer = {"reason": error.reason, "message": error.message}
    except Exception as error:
        answer = {"reason": StartFailure.LOAD_FAILED, "message": f"{type(error).__name__}: {error}"}
    if limits.ran_out_of_memory(answer.get("message", "")):
        answer["message"] = f"the model needs more memory to be opened than there is ({bounds.memory_bytes >> 20} MiB)"
    os.write(answers, json.dumps(answer).encode())
    sys.stderr.flush()
    # TensorFlow's threads may still run, and its destructors take long.
    os._exit(0)


def _open(found: Found, target: Path, bounds: Limits, extra_ops: frozenset[str]) -> None:
    if found.format is ModelFormat.SAVED_MODEL:
        _check_links(found.path)
        _try(found.path, extra_ops)
    else:
        _convert(found, target, bounds)
        _try(target, extra_ops)


def _check_links(folder: Path) -> None:
    """Raise `StartError` if a file of a SavedModel lies elsewhere; volumes of Kubernetes have links within them."""
    for place in folder.rglob("*"):
        if place.is_symlink() and not place.resolve().is_relative_to(folder.resolve()):
            raise StartError(
                StartFailure.NOT_A_MODEL, f"{place.relative_to(folder)} is a link out of the model's folder"
            )


def _convert(found: Found, target: Path, bounds: Limits) -> None:
    from model_server.preparation.keras_files import check_keras_file  # Here: h5py is for these files alone.

    # One altered byte can have the library of HDF5 run in circles.
    seconds = _CHECK_SECONDS + found.path.stat().st_size / _CHECK_BYTES_PER_SECOND
    signal.setitimer(signal.ITIMER_PROF, seconds)
    check_keras_file(found, bounds.memory_bytes)
    signal.setitimer(signal.ITIMER_PROF, 0)
    for name in _UNUSED:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say that it is not there.
    gc.disable()  # Nothing of what is imported goes again; looking for it takes a tenth of the time.
    _export()(found, target)


def _export() -> Callable[[Found, Path], None]:
    from model_server.preparation.keras_export import export

    return export


def _try(folder: Path, extra_ops: frozenset[str]) -> None:
    """Have a SavedModel answer once, as the server will.

    Not one with operations that somebody has allowed by name: they may need what this process does not have.
    """
    from model_server import operations, saved_model

    # What is refused is told before TensorFlow is there.
    graphs = saved_model.operations(saved_model.read_document(folder))
    operations.check_operations(graphs, extra_ops)
    if operations.refused(graphs):
        return
    from model_server import engine

    engine.warm_up(engine.load(folder, extra_ops, _THREADS), (1,))


if __name__ == "__main__":
    sys.exit(main())
