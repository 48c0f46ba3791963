"""Unpacks archives that nobody vouches for: plain files and folders below one folder, no more."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from model_server import archives
from model_server.contract import StartFailure
from model_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MAX_FILES: Final = 10_000
"""Members of an archive, folders among them."""
MAX_BYTES: Final = 32 * 2**30
"""Unpacked. The limit that matters is that of the volume; this one stops archives that are made to explode."""
_MAX_IMAGE_FILES: Final = 1_000_000
"""In a layer of an image, of which few are the model's."""
_MAX_NAME_CHARS: Final = 1000
_WHITEOUT: Final = ".wh."
"""Begins the name of a file that a layer of an image takes away."""
_OPAQUE: Final = ".wh..wh..opq"
"""Takes away all that its folder had."""


@dataclass(frozen=True, slots=True)
class _Member:
    """One file of an archive."""

    name: PurePosixPath
    size: int
    open: Callable[[], IO[bytes] | None]


def is_archive(path: Path) -> bool:
    """Tell by the first bytes. A .keras file is a zip, too: ask for its format first."""
    with path.open("rb") as file:
        start = file.read(512)
    return start.startswith(archives.ZIP) or archives.is_tar(start)


def unpack(archive: Path, folder: Path, max_bytes: int = MAX_BYTES) -> None:
    """Unpack a .zip, .tar, .tar.gz or .tar.zst into a folder that is made. Raises `StartError`, OSError."""
    folder.mkdir()
    with _told(archive.name):
        if zipfile.is_zipfile(archive):
            with archive.open("rb") as file:
                if not archives.directory_fits(file):
                    raise _no_model(f"{archive.name} holds over {MAX_FILES} files")
                with zipfile.ZipFile(file) as opened_zip:
                    _write(_members_of_zip(opened_zip), folder, max_bytes)
        else:
            with archives.opened_tar(archive, max_bytes) as opened_tar:
                _write(_members_of_tar(opened_tar), folder, max_bytes)


def unpack_layer(archive: Path, folder: Path, below: str, max_bytes: int) -> None:
    """Unpack a layer of an image over those before it: of its files those below one folder of its root.

    `below` empty: all of them, and then it may hold nothing else, as with `unpack`. Raises `StartError`.
    """
    folder.mkdir(exist_ok=True)
    with _told(archive.name), archives.opened_tar(archive, max_bytes) as opened:
        members = _members_below(opened, below, folder) if below else _members_of_tar(opened)
        _write(members, folder, max_bytes)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Turn the errors of the libraries that unpack into what users are told."""
    try:
        yield
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise _no_model(f"{name} has two files of one name, or a file and a folder") from error
    except OSError as error:
        if error.errno is not None:  # Those of gzip have none.
            raise
        raise _no_model(f"{name} cannot be unpacked: {error}") from error
    except (
        *(tarfile.TarError, zipfile.BadZipFile, zlib.error, archives.ZstdError),
        *(EOFError, NotImplementedError, RuntimeError, ValueError),
    ) as error:
        raise _no_model(f"{name} cannot be unpacked: {error}") from error


def _members_of_tar(archive: tarfile.TarFile) -> Iterator[_Member]:
    for member in _counted(archive, MAX_FILES):
        if member.isdir():
            continue
        if not member.isreg():
            raise _no_model(
                f"{member.name[:100]!r} in the archive is a link or a device; only files and folders are unpacked"
            )
        yield _Member(safe_relative(member.name), member.size, partial(archive.extractfile, member))


def _members_below(archive: tarfile.TarFile, below: str, folder: Path) -> Iterator[_Member]:
    for member in _counted(archive, _MAX_IMAGE_FILES):
        path = PurePosixPath(member.name.lstrip("/"))
        if path.as_posix() in {f"{_WHITEOUT}{below}", _OPAQUE}:
            _take_away(folder, PurePosixPath(_OPAQUE))
        if path.parts[:1] != (below,) or len(path.parts) < 2 or member.isdir():
            continue
        name = safe_relative(path.relative_to(below).as_posix())
        if name.name.startswith(_WHITEOUT):
            _take_away(folder, name)
        elif member.isreg():
            (folder / name).unlink(missing_ok=True)
            yield _Member(name, member.size, partial(archive.extractfile, member))
        else:
            raise _no_model(f"{member.name[:100]!r} in the image is a link or a device; put the file itself there")


def _take_away(folder: Path, whiteout: PurePosixPath) -> None:
    """Remove what a layer hides of those before it."""
    if whiteout.name == _OPAQUE:
        shutil.rmtree(folder / whiteout.parent, ignore_errors=True)
        (folder / whiteout.parent).mkdir(parents=True, exist_ok=True)
        return
    hidden = folder / safe_relative(whiteout.with_name(whiteout.name.removeprefix(_WHITEOUT) or "..").as_posix())
    if hidden.is_dir():
        shutil.rmtree(hidden)
    else:
        hidden.unlink(missing_ok=True)


def _members_of_zip(archive: zipfile.ZipFile) -> Iterator[_Member]:
    if len(archive.infolist()) > MAX_FILES:
        raise _no_model(f"the archive holds over {MAX_FILES} files")
    for info in archive.infolist():
        if not info.is_dir():
            yield _Member(safe_relative(info.filename), info.file_size, partial(archive.open, info))


def _counted(archive: tarfile.TarFile, limit: int) -> Iterator[tarfile.TarInfo]:
    number = 0
    while (member := archive.next()) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # It would keep them all.
        number += 1
        if number > limit:
            raise _no_model(f"the archive holds over {limit} files")
        yield member


def _write(members: Iterator[_Member], folder: Path, max_bytes: int) -> None:
    size = 0
    for number, member in enumerate(members, start=1):
        size += member.size
        if number > MAX_FILES or size > max_bytes:
            raise _no_model(f"the archive holds over {MAX_FILES} files or {max_bytes} bytes")
        target = folder / member.name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = member.open()
        if source is not None:
            with source, target.open("xb") as file:
                shutil.copyfileobj(source, file, 2**20)


def safe_relative(name: str) -> PurePosixPath:
    """Check that a name stays below the folder it is written to. Raises `StartError`."""
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or not path.parts
        or len(name) > _MAX_NAME_CHARS
        or "\\" in name
        or any(character < " " or character == "\x7f" or "\ud800" <= character <= "\udfff" for character in name)
    ):
        raise _no_model(f"{name[:100]!r} is no name of a file below the model's folder")
    return path


def _no_model(message: str) -> StartError:
    return StartError(StartFailure.NOT_A_MODEL, message)
