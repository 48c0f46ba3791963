"""The models of the benchmark, made once into the cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster.paths import REPOSITORY, cache

_SOURCES = [Path(__file__).with_name(name) for name in ("make_models.py", "rows.py")]
MODELS = ("dense", "text")


def models() -> Path:
    """Return the folder with `NAME.keras` and the SavedModel `NAME` of each; makes them in some seconds."""
    key = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:16]
    folder = cache() / "benchmarks" / "models" / key
    if folder.exists():
        return folder
    unfinished = folder.with_suffix(f".{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    command = [sys.executable, "-m", "tests.benchmarks.serving.make_models", str(unfinished)]
    subprocess.run(command, check=True, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    unfinished.rename(folder)
    return folder
