"""Writes a trained model in the other formats: `python -m tests.e2e.model_formats MODEL.keras FOLDER`.

Apart from the tests' process, which has no use for TensorFlow.
"""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from model_server.contract import ModelFormat
from model_trainer.export import PATHS, export_model

from tests.cluster.paths import cache

if TYPE_CHECKING:
    from tests.demo.models import Model

H5, SAVED_MODEL = PATHS[ModelFormat.H5], PATHS[ModelFormat.SAVED_MODEL]


def folder_of(model: Model) -> Path:
    """Return a folder with the model in the other formats; it is written once for each model."""
    folder = cache() / "models" / f"formats-{model.digest.removeprefix('sha256:')[:16]}"
    if not folder.exists():
        new = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".formats-"))
        words = [sys.executable, "-m", __name__, str(model.file), str(new)]
        done = subprocess.run(
            words, env=os.environ | {"PYTHONPATH": ":".join(sys.path)}, text=True, capture_output=True
        )
        assert done.returncode == 0, done.stderr
        new.chmod(0o755)
        try:
            new.rename(folder)
        except OSError:  # Somebody else was faster.
            shutil.rmtree(new)
    return folder


def _write(source: Path, folder: Path) -> None:
    models = importlib.import_module("keras.models")  # Takes seconds: not for the tests' process.
    export_model(models.load_model(source, compile=False), folder, [ModelFormat.H5, ModelFormat.SAVED_MODEL])


if __name__ == "__main__":
    _write(Path(sys.argv[1]), Path(sys.argv[2]))
