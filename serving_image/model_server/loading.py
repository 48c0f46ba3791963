"""Finds the model among the files that were fetched, and its format. Reads a few bytes, parses nothing."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from model_server.contract import ModelFormat, StartFailure
from model_server.errors import StartError

if TYPE_CHECKING:
    from pathlib import Path

SAVED_MODEL_FILE: Final = "saved_model.pb"
ORIGIN_FILE: Final = "prepared_from"
"""Beside it, in a SavedModel that was made of a .keras or .h5 file: the format of that."""
_ZIP: Final = b"PK\x03\x04"
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_KERAS_FILES: Final = frozenset({"config.json", "metadata.json"})
_MAX_DEPTH: Final = 3


@dataclass(frozen=True, slots=True)
class Found:
    """A file (.keras, .h5) or a folder (SavedModel)."""

    path: Path
    format: ModelFormat


def find_model(path: Path, wanted: ModelFormat | None) -> Found:
    """Find the one model at a path or below it. Raises `StartError`."""
    found = _find(path, _MAX_DEPTH)
    if wanted not in (None, found.format, _origin(found)):
        raise _no_model(f"{path.name} is of the format {found.format}, but spec.model.format says {wanted}")
    return found


def _origin(found: Found) -> str | None:
    try:
        return (found.path / ORIGIN_FILE).read_text()[:20]
    except (OSError, ValueError):
        return None


def format_of_file(path: Path) -> ModelFormat | None:
    """Tell the format from the first bytes, whatever the name is."""
    with path.open("rb") as file:
        start = file.read(8)
    if start == _HDF5:
        return ModelFormat.H5
    if start.startswith(_ZIP):
        from model_server.archives import directory_fits  # Here: it takes libraries that no server needs for this.

        try:
            with path.open("rb") as file:
                if not directory_fits(file):
                    return None
            with zipfile.ZipFile(path) as archive:
                return ModelFormat.KERAS if _KERAS_FILES.issubset(archive.namelist()) else None
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
            return None
    return None


def _find(path: Path, depth: int) -> Found:
    if path.is_file():
        model_format = format_of_file(path)
        if model_format is None:
            raise _no_model(f"{path.name} is no model: {_what_it_is(path)}")
        return Found(path, model_format)
    if (path / SAVED_MODEL_FILE).is_file():
        return Found(path, ModelFormat.SAVED_MODEL)
    entries = [entry for entry in sorted(path.iterdir()) if not entry.name.startswith(".")] if path.is_dir() else []
    files = [entry for entry in entries if entry.is_file() and format_of_file(entry) is not None]
    folders = [entry for entry in entries if entry.is_dir()]
    if len(files) == 1 or (len(entries) == 1 and entries[0].is_file()):
        return _find((files or entries)[0], depth)
    if not files and len(folders) == 1 and depth:
        return _find(folders[0], depth - 1)
    names = ", ".join(entry.name for entry in entries[:8]) or "nothing"
    what = f"{len(files)} models" if files else f"no {SAVED_MODEL_FILE} and no .keras or .h5 file"
    raise _no_model(f"the folder has {what}; it holds {names}")


def _what_it_is(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(200).lstrip().lower()
    if not start:
        return "it is empty"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page; does the URI point at the file itself?"
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, not the file it stands for"
    return "neither .keras nor .h5, nor a .zip or .tar.gz with a SavedModel"


def _no_model(message: str) -> StartError:
    return StartError(StartFailure.NOT_A_MODEL, message)
