"""Opens archives that nobody vouches for, within bounds: of bytes, and of what is held in memory at once."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final

import zstandard
from zstandard import ZstdError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["GZIP", "ZIP", "ZSTD", "Forward", "ZstdError", "directory_fits", "is_tar", "opened_tar"]

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
ZIP: Final = b"PK\x03\x04"
_USTAR: Final = (257, b"ustar")
"""Where a tar archive says that it is one."""
_BLOCK: Final = 2**20
_ZSTD_WINDOW_BYTES: Final = 128 * 2**20
"""What zstd needs to unpack archives made with its own largest level."""
_MAX_DIRECTORY_BYTES: Final = 4 * 2**20
"""Of a zip file's list of files, which is read as a whole: ten thousand names of 400 bytes."""
_DIRECTORY_SIZE: Final = 5
"""Its place in what zipfile finds at the end of a file."""


def is_tar(start: bytes) -> bool:
    """Tell by the first 512 bytes; whether what is compressed is a tar archive turns out later."""
    at, magic = _USTAR
    return start.startswith((GZIP, ZSTD)) or start[at : at + len(magic)] == magic


@contextmanager
def opened_tar(path: Path, max_bytes: int) -> Iterator[tarfile.TarFile]:
    """Open a tar archive, compressed or not. Raises what `tarfile`, `gzip` and `zstandard` raise."""
    with path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        plain: Any
        if start.startswith(GZIP):
            plain = gzip.GzipFile(fileobj=file)
        elif start == ZSTD:
            plain = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).stream_reader(
                file, read_across_frames=True
            )
        else:
            plain = file
        with tarfile.open(fileobj=Forward(plain, max_bytes), mode="r:") as archive:  # type: ignore[call-overload]  # It needs no more of a file.
            yield archive


class Forward:
    """Reads on and never back, and not much at once: tarfile takes headers of any length into memory."""

    def __init__(self, file: IO[bytes], max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._position = 0

    def read(self, size: int) -> bytes:
        """Read so many bytes, or up to the end."""
        if size > _BLOCK:
            raise tarfile.ReadError(f"a header has {size} bytes")
        pieces = []
        while size and (piece := self._file.read(size)):
            pieces.append(piece)
            size -= len(piece)
            self._position += len(piece)
            if self._position > self._max_bytes:
                raise tarfile.ReadError(f"it is over {self._max_bytes} bytes when unpacked")
        return b"".join(pieces)

    def tell(self) -> int:
        """Return how much was read."""
        return self._position

    def seek(self, position: int) -> int:
        """Skip up to there."""
        if position < self._position:
            raise tarfile.ReadError("its parts overlap")
        while self._position < position and self.read(min(_BLOCK, position - self._position)):
            pass
        return self._position


def directory_fits(file: IO[bytes]) -> bool:
    """Tell whether a zip file's list of files is small enough to be read; where there is none, reading it says so."""
    record = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # noqa: SLF001  # What ZipFile itself goes by.
    return record is None or record[_DIRECTORY_SIZE] <= _MAX_DIRECTORY_BYTES
