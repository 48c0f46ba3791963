"""Unpacks .tar.gz and .zip archives that nobody vouches for: plain files and folders below one folder, no more."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from model_server.contract import StartFailure
from model_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_FILES: Final = 10_000
MAX_BYTES: Final = 32 * 2**30
"""Unpacked. The limit that matters is that of the volume; this one stops archives that are made to explode."""
_GZIP: Final = b"\x1f\x8b"
_ZIP: Final = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class _Member:
    """One file of an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Tell by the first bytes. A .keras file is a zip, too: ask for its format first."""
    with path.open("rb") as file:
        start = file.read(4)
    return start.startswith(_GZIP) or start == _ZIP


def unpack(archive: Path, folder: Path) -> None:
    """Unpack into a folder that is made. Raises `StartError`."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened_zip:
                _write(_members_of_zip(opened_zip), folder)
        else:
            with tarfile.open(archive, "r:gz") as opened_tar:
                _write(_members_of_tar(opened_tar), folder)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise _no_model(f"{archive.name} cannot be unpacked: {error}") from error


def _members_of_tar(archive: tarfile.TarFile) -> Iterator[_Member]:
    for member in archive:
        if member.isdir():
            continue
        if not member.isreg():
            raise _no_model(
                f"{member.name!r} in the archive is a link or a device; only files and folders are unpacked"
            )
        yield _Member(member.name, member.size, partial(archive.extractfile, member))


def _members_of_zip(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        if not info.is_dir():
            yield _Member(info.filename, info.file_size, partial(archive.open, info))


def _write(members: Iterator[_Member], folder: Path) -> None:
    folder.mkdir()
    size = 0
    for number, member in enumerate(members, start=1):
        size += member.size
        if number > MAX_FILES or size > MAX_BYTES:
            raise _no_model(f"the archive holds over {MAX_FILES} files or {MAX_BYTES >> 30} GiB")
        target = folder / safe_relative(member.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        source = member.open()
        if source is not None:
            with source, target.open("xb") as file:
                shutil.copyfileobj(source, file, 2**20)


def safe_relative(name: str) -> PurePosixPath:
    """Check that a name stays below the folder it is written to. Raises `StartError`."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name or "\0" in name:
        raise _no_model(f"{name!r} is no name of a file below the model's folder")
    return path


def _no_model(message: str) -> StartError:
    return StartError(StartFailure.NOT_A_MODEL, message)
