"""Writes a trained model in the formats that the model server loads, and says what the files' digests are."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from model_server.contract import ModelFormat
from model_server.digest import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PATHS: Final = {
    ModelFormat.KERAS: "model.keras",
    ModelFormat.H5: "model.h5",
    ModelFormat.SAVED_MODEL: "saved_model",
}
"""Where each format lies in the output folder; the last one is a folder itself."""


class SavableModel(Protocol):
    """What is used of a `keras.Model`."""

    def save(self, filepath: Path) -> Any:
        """Write `.keras` or `.h5`, by the ending."""

    def export(self, filepath: Path, *, format: str, verbose: bool) -> Any:  # noqa: A002  # Keras' own name.
        """Write a SavedModel."""


def export_model(model: SavableModel, folder: Path, formats: Iterable[ModelFormat]) -> dict[str, str]:
    """Write a model in the formats asked for.

    Returns:
        By path in `folder`, the digest to put into `spec.model.digest`. A `.keras` file holds the time of its making,
        so two runs with equal weights differ in it.

    """
    digests = {}
    for model_format in formats:
        path = folder / PATHS[model_format]
        if model_format is ModelFormat.SAVED_MODEL:
            model.export(path, format="tf_saved_model", verbose=False)
        else:
            with _without_advice():
                model.save(path)
        digests[path.name] = digest_of(path)
    return digests


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep Keras from advising against HDF5, which was asked for."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
