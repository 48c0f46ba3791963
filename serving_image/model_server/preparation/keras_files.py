"""Looks into .keras and .h5 files before Keras does: at their structure, and at the configuration of the model.

Without TensorFlow, so that what is refused is told at once. A .keras file is a zip of `config.json`, `metadata.json`,
`model.weights.h5` and `assets/`. HDF5 can lead out of its own file in three ways (links, storage and virtual datasets
elsewhere: CVE-2026-1669) and say of a few bytes that they are a terabyte (CVE-2026-0897); so can zip.
"""

from __future__ import annotations

import io
import json
import shutil
import stat
import struct
import tempfile
import zipfile
from typing import IO, TYPE_CHECKING, Any, Final

import h5py  # type: ignore[import-untyped]  # Ships no types.

from model_server.contract import ModelFormat, StartFailure
from model_server.errors import StartError
from model_server.preparation.keras_config import check_config
from model_server.unpack import safe_relative

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.loading import Found

CONFIG: Final = "config.json"
WEIGHTS: Final = "model.weights.h5"
MAX_CONFIG_BYTES: Final = 128 * 2**20
"""Vocabularies may stand there."""
MAX_FILES: Final = 10_000
MAX_OBJECTS: Final = 1_000_000
_TOP: Final = frozenset({CONFIG, "metadata.json", WEIGHTS})
_ASSETS: Final = "assets"
_ENCRYPTED: Final = 1
_CHUNK: Final = 2**20
_LOCAL_HEADER: Final = 30
"""Bytes before the name of a file in a zip; the last four are the lengths of what follows."""
_REGULAR: Final = (0, stat.S_IFREG, stat.S_IFDIR)
_MODEL_CONFIG: Final = "model_config"


def check_keras_file(found: Found, memory_bytes: int) -> None:
    """Raise `StartError` if a .keras or .h5 file is damaged, or could do more than hold a model.

    `memory_bytes` is what its contents may take.
    """
    try:
        if found.format is ModelFormat.H5:
            with found.path.open("rb") as file, _open_hdf5(file) as data:
                check_config(_json(data.attrs.get(_MODEL_CONFIG)))
                _check_hdf5(data, memory_bytes)
        else:
            _check_archive(found, memory_bytes)
    except (zipfile.BadZipFile, OSError, EOFError, KeyError, NotImplementedError, RuntimeError, ValueError) as error:
        # h5py raises nearly all of these for what is damaged; so does zipfile.
        raise _refused(f"it is damaged: {error}") from error


def _check_archive(found: Found, memory_bytes: int) -> None:
    with zipfile.ZipFile(found.path) as archive:
        members = archive.infolist()
        if len(members) > MAX_FILES:
            raise _refused(f"it holds {len(members)} files")
        if len({member.filename for member in members}) < len(members):
            raise _refused("it holds two files of one name")
        for member in members:
            _check_member(member)
        size = sum(member.file_size for member in members)
        if size > memory_bytes:
            raise _refused(f"it unpacks to {size} bytes, more than the {memory_bytes} there are")
        if archive.getinfo(CONFIG).file_size > MAX_CONFIG_BYTES:
            raise _refused(f"its {CONFIG} is larger than {MAX_CONFIG_BYTES} bytes")
        check_config(_json(archive.read(CONFIG)))
        for member in members:
            _check_sum(archive, member)
        with _open_member(archive, found.path, archive.getinfo(WEIGHTS)) as file, _open_hdf5(file) as data:
            _check_hdf5(data, memory_bytes)


def _check_member(member: zipfile.ZipInfo) -> None:
    path = safe_relative(member.filename)
    if str(path) not in _TOP and path.parts[0] != _ASSETS:
        raise _refused(f"it holds {member.filename[:80]!r}, which is no part of a Keras model")
    if stat.S_IFMT(member.external_attr >> 16) not in _REGULAR or member.flag_bits & _ENCRYPTED:
        raise _refused(f"{member.filename[:80]!r} in it is no plain file")


def _check_sum(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read a part to its end: only then is its checksum looked at."""
    with archive.open(member) as file:
        while file.read(_CHUNK):
            pass


def _open_member(archive: zipfile.ZipFile, path: Path, member: zipfile.ZipInfo) -> IO[bytes]:
    """Open a part for reading here and there, for which `zipfile` would read it again and again from its beginning."""
    if member.compress_type != zipfile.ZIP_STORED:  # Not by Keras, but it would be read.
        copy = tempfile.TemporaryFile()  # noqa: SIM115  # The caller closes it.
        with archive.open(member) as file:
            shutil.copyfileobj(file, copy, _CHUNK)
        return copy
    with path.open("rb") as file:
        file.seek(member.header_offset)
        names, extra = struct.unpack("<HH", file.read(_LOCAL_HEADER)[-4:])
    return io.BufferedReader(_Window(path, member.header_offset + _LOCAL_HEADER + names + extra, member.file_size))


class _Window(io.RawIOBase):
    """A part of a file as a file of its own."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file = path.open("rb", buffering=0)
        self._start, self._size, self._at = start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._at)
        content = self._file.read(min(len(buffer), max(0, self._size - self._at)))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def close(self) -> None:
        self._file.close()
        super().close()


def _open_hdf5(file: IO[bytes]) -> Any:
    return h5py.File(file, "r")


def _check_hdf5(data: Any, memory_bytes: int) -> None:
    """Walk all objects by their links, none of which is followed unless it stays within the file."""
    waiting, seen, size = [data], set(), 0
    while waiting:
        group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise _refused(f"{_shown(name)} in it is a link to something else")
            child = group[name]
            address = h5py.h5o.get_info(child.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > MAX_OBJECTS:
                raise _refused(f"it holds more than {MAX_OBJECTS} objects")
            if isinstance(child, h5py.Group):
                waiting.append(child)
            else:
                size += _size_of(child, name)
        if size > memory_bytes:
            raise _refused(f"its weights take {size} bytes, more than the {memory_bytes} there are")


def _size_of(child: Any, name: str) -> int:
    if not isinstance(child, h5py.Dataset):
        raise _refused(f"{_shown(name)} in it is a type of its own")
    if child.is_virtual or child.external:
        raise _refused(f"{_shown(name)} in it lies in another file")
    return int(child.size or 0) * int(child.dtype.itemsize)


def _json(text: object) -> object:
    if text is None:
        raise _refused("it holds weights, but not the model they are of: save the whole model (model.save)")
    try:
        return json.loads(text if isinstance(text, str | bytes) else bytes(text))  # type: ignore[call-overload]
    except RecursionError:
        raise _refused("its configuration is nested too deep") from None


def _shown(name: str) -> str:
    return repr(name[:80])


def _refused(why: str) -> StartError:
    return StartError(StartFailure.LOAD_FAILED, f"the Keras model is not opened: {why}")
