"""Has a model file opened by a process of its own, before the server opens what comes of it.

That process (`child`) is confined, bounded and told nothing; whatever a file does to it, what ends is that process, and
what is left is a reason. Costs and reasons: decision 0014.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_server import logs
from model_server.contract import ModelFormat, StartFailure
from model_server.errors import StartError
from model_server.loading import ORIGIN_FILE
from model_server.preparation.limits import Limits, limits_here, ran_out_of_memory
from model_server.wording import telling_line, without_paths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server.loading import Found

PREPARED: Final = "prepared"
"""The folder of the SavedModel that a .keras or .h5 file has become."""
WORK: Final = ".preparing"
"""A folder beside it, for what is not done yet. Nobody looks there."""
_COMMAND: Final = (sys.executable, "-P", "-s", "-m", "model_server.preparation.child")
_MAX_ANSWER: Final = 64 * 2**10
_MAX_WORDS: Final = 16 * 2**10
_MAX_MESSAGE: Final = 1000
_CHUNK: Final = 64 * 2**10


def prepare(found: Found, folder: Path, extra_ops: frozenset[str] = frozenset(), limits: Limits | None = None) -> Path:
    """Return the folder of a SavedModel that loads and answers. Blocks for seconds. Raises `StartError`.

    A SavedModel is tried and stays where it is. A .keras or .h5 file becomes one, as `prepared` in a folder that can
    be written. Without `limits` they are those of this container.
    """
    started = time.monotonic()
    bounds = limits or limits_here()
    work = folder / WORK
    shutil.rmtree(work, ignore_errors=True)  # An earlier attempt may have been ended.
    try:
        work.mkdir(parents=True)
        confined = _run(found, work, extra_ops, bounds)
        path = found.path
        if found.format is not ModelFormat.SAVED_MODEL:
            path = folder / PREPARED
            (work / PREPARED / ORIGIN_FILE).write_text(found.format)
            (work / PREPARED).rename(path)
    except OSError as error:
        where = error.filename or folder
        raise _failed(f"{where} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    seconds = round(time.monotonic() - started, 2)
    logs.event("prepared", format=found.format, seconds=seconds, confined=confined)
    return path


@contextlib.contextmanager
def saved_model_of(found: Found, extra_ops: frozenset[str]) -> Iterator[Path]:
    """Give the folder of a SavedModel to load; for a server that has what no init container has prepared.

    A SavedModel is not tried first, which takes a second: nobody is served yet. What a .keras or .h5 file becomes is
    there until the context ends. Blocks for seconds. Raises `StartError`.
    """
    if found.format is ModelFormat.SAVED_MODEL:
        yield found.path
    else:
        with tempfile.TemporaryDirectory(prefix="model-") as folder:
            yield prepare(found, Path(folder), extra_ops)


def _run(found: Found, work: Path, extra_ops: frozenset[str], limits: Limits) -> list[str]:
    """Run the process; returns what it was confined by. Raises `StartError`."""
    task = {
        "parent": os.getpid(),
        "path": str(found.path.resolve()),
        "format": found.format,
        "folder": str(work.resolve()),
        "target": PREPARED,
        "extra_ops": sorted(extra_ops),
        "limits": limits.as_dict(),
    }
    process = subprocess.Popen(  # noqa: S603  # This Python, and a module of this package.
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(work),
        cwd=work,
        start_new_session=True,
    )
    try:
        said = _listen(process, json.dumps(task).encode(), time.monotonic() + limits.seconds)
    finally:
        process.kill()  # It may have threads left; a process that has ended already is let be.
        code = process.wait()
    if said is None:
        raise _failed(f"{found.path.name} was not opened within {limits.seconds:g} seconds")
    answer = _read(said)
    if answer is None:
        raise _failed(_why_it_ended(found, code, said, limits))
    if "reason" in answer:
        reason = _reason(answer["reason"])
        raise StartError(reason, without_paths(str(answer.get("message")), work)[:_MAX_MESSAGE])
    return [str(part)[:40] for part in list(answer.get("confined", ()))[:8]]


def _environment(work: Path) -> dict[str, str]:
    """Make the whole environment of the process. Nothing of this one's is handed on: it may hold credentials."""
    return {
        "PYTHONPATH": os.pathsep.join(place for place in sys.path if place),
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
        "HOME": str(work),
        "TMPDIR": str(work),
        "KERAS_HOME": str(work),
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "",  # The CPU is enough to try a model, and other pods may have the memory of the GPU.
        "HDF5_PLUGIN_PRELOAD": "::",  # HDF5 would load code that a file asks for by its number.
        # As many threads as a node has processors would take memory for their stacks, and nothing here is large.
        "OPENBLAS_NUM_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "2",
        "TF_NUM_INTRAOP_THREADS": "2",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


@dataclass(slots=True)
class _Said:
    """What a process has written."""

    answer: bytearray = field(default_factory=bytearray)
    words: bytearray = field(default_factory=bytearray)
    """The last of its standard error."""


def _listen(process: subprocess.Popen[bytes], task: bytes, deadline: float) -> _Said | None:
    """Read both outputs to their ends, but keep no more than is looked at; None when it takes too long."""
    assert process.stdin is not None  # noqa: S101  # All three are pipes.
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    said = _Said()
    with process.stdin, process.stdout, process.stderr, selectors.DefaultSelector() as selector:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(task)
            process.stdin.close()
        selector.register(process.stdout, selectors.EVENT_READ, (said.answer, _MAX_ANSWER))
        selector.register(process.stderr, selectors.EVENT_READ, (said.words, _MAX_WORDS))
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            for key, _ in ready:
                buffer, limit = key.data
                chunk = os.read(key.fd, _CHUNK)
                if not chunk:
                    selector.unregister(key.fileobj)
                buffer += chunk
                del buffer[:-limit]
    return said


def _read(said: _Said) -> dict[str, Any] | None:
    try:
        answer = json.loads(said.answer)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _reason(text: object) -> StartFailure:
    try:
        return StartFailure(str(text))
    except ValueError:
        return StartFailure.LOAD_FAILED


def _why_it_ended(found: Found, code: int, said: _Said, limits: Limits) -> str:
    """Say in words how a process ended that gave no answer."""
    words = said.words.decode(errors="replace")
    size = f"{limits.memory_bytes >> 20} MiB"
    if code == -signal.SIGXCPU:
        return f"{found.path.name} was not opened within {limits.cpu_seconds} seconds of computing"
    if code == -signal.SIGPROF:
        return f"{found.path.name} is damaged: its parts lead in circles"
    if code == -signal.SIGXFSZ:
        return f"{found.path.name} becomes a model of more than {size}"
    if ran_out_of_memory(words):
        return f"{found.path.name} needs more memory to be opened than there is ({size})"
    if code == -signal.SIGKILL:
        return f"{found.path.name} was ended by the system while it was opened, most likely for want of memory ({size})"
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"TensorFlow crashed while opening {found.path.name} ({how}){_last_words(words)}"


def _last_words(words: str) -> str:
    """Find the check that failed: `F0000 00:00:00 123 tensor_shape.cc:201] Check failed: …`."""
    for line in reversed(words.splitlines()):
        place, found, what = line.partition("] ")
        if found and (place.startswith("F") or "Check failed" in what):
            return f": {telling_line(what)}"
    return ""


def _failed(message: str) -> StartError:
    return StartError(StartFailure.LOAD_FAILED, message[:_MAX_MESSAGE])
