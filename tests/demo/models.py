"""The two models of the demo, trained for real: a good one, and one trained on partly mislabelled texts."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.cluster.paths import REPOSITORY, cache
from tests.demo.errors import DemoError

if TYPE_CHECKING:
    from types import TracebackType

SERVING_SOURCES = REPOSITORY / "serving_image"
FILE = "model.keras"
PREFIX = "news-"
EVALUATION, HOLDOUT = "evaluation.json", "holdout.jsonl"
SETTINGS = {
    "good": ("--task", "news", "--format", "keras"),
    "spoilt": ("--task", "news", "--format", "keras", "--spoil", "0.3"),
}


@dataclass(frozen=True)
class Model:
    """A trained model and what is known of it."""

    folder: Path
    digest: str
    accuracy: float
    """On texts held out."""
    interval: tuple[float, float]
    """Of the accuracy, at 95 %."""

    @property
    def file(self) -> Path:
        """The model itself."""
        return self.folder / FILE

    @property
    def holdout(self) -> Path:
        """Texts that it was not trained on, with their labels."""
        return self.folder / HOLDOUT


def command(name: str, output: Path) -> list[str]:
    """Return the command that trains a model, as a user types it."""
    return ["python", "-m", "model_trainer", "train", *SETTINGS[name], "--output", str(output)]


def read(folder: Path) -> Model:
    """Read a folder of the trainer's."""
    report = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))
    accuracy = report["metrics"]["accuracy"]
    return Model(folder, report["digests"][FILE], accuracy["value"], (accuracy["low"], accuracy["high"]))


def place(name: str) -> Path:
    """Where a model lies once it is trained: by the trainer's sources, the libraries and the settings."""
    digest = hashlib.sha256("\0".join(SETTINGS[name]).encode())
    sources = sorted((SERVING_SOURCES / "model_trainer").glob("*.py"))
    for file in [*sources, SERVING_SOURCES / "requirements.txt"]:
        digest.update(f"\0{file.name}\0".encode() + file.read_bytes())
    return cache() / "models" / f"{PREFIX}{name}-{digest.hexdigest()[:16]}"


def forget() -> None:
    """Remove the demo's models, those of earlier sources too."""
    for name in SETTINGS:
        for folder in place(name).parent.glob(f"{PREFIX}{name}-*"):
            shutil.rmtree(folder)


class Trainings:
    """Trains in the background what is not in the cache."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[subprocess.Popen[str], Path]] = {}

    def __enter__(self) -> Self:
        for name in SETTINGS:
            if not (place(name) / EVALUATION).exists():
                self._start(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process, folder in self._running.values():
            process.kill()
            process.communicate()
            shutil.rmtree(folder, ignore_errors=True)

    def is_training(self, name: str) -> bool:
        """Whether this model was not in the cache."""
        return name in self._running

    def take(self, name: str) -> Model:
        """Wait for a model."""
        if name in self._running:
            process, folder = self._running[name]
            output, _ = process.communicate()
            if process.returncode != 0:
                raise DemoError(f"`{' '.join(command(name, folder))}` failed:\n{output[-3000:]}")
            del self._running[name]
            _move(folder, place(name))
        return read(place(name))

    def _start(self, name: str) -> None:
        place(name).parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=place(name).parent, prefix=f".{name}-"))
        words = [sys.executable, *command(name, folder)[1:]]
        environment = {**os.environ, "PYTHONPATH": str(SERVING_SOURCES)}
        process = subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._running[name] = (process, folder)


def _move(folder: Path, target: Path) -> None:
    """Put a complete folder where it belongs. Another demo may have been faster: its model is the same."""
    folder.chmod(0o755)
    if target.exists() and not (target / EVALUATION).exists():
        shutil.rmtree(target)
    if target.exists():
        shutil.rmtree(folder)
    else:
        folder.rename(target)
