"""What a model at its source is made of: files that can be read from any byte on, and what is known of them before."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from model_server.contract import StartFailure
from model_server.errors import ModelServerError, StartError
from model_server.unpack import safe_relative

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SHA256: Final = "sha256"
_MAX_NAME_CHARS: Final = 100


class Interrupted(ModelServerError):  # noqa: N818  # Told to users only when trying again does not help.
    """Something that may go better the next time: a broken connection, a server that is busy."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.message = message
        self.wait = wait
        """Seconds that the server asks to be left alone; 0: it does not say."""


class NoRanges(ModelServerError):  # noqa: N818  # A fact about a server.
    """The server sends files as a whole, whatever it is asked for."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a server, a registry or a listing says that the hash of a file is."""

    algorithm: str
    """A name that hashlib knows."""
    hexdigest: str
    prefix: bytes = b""
    """Hashed before the file's bytes, as Git does with a blob's length."""

    def begin(self) -> Any:
        """Return the hash of nothing but the prefix."""
        return hashlib.new(self.algorithm, self.prefix, usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One file at its source."""

    name: PurePosixPath
    """Relative; checked already."""
    size: int | None
    """Bytes; None if the server does not say."""
    read: Callable[[int, int | None], AsyncIterator[bytes]]
    """Read from one byte to before another, None being the end. Raises `Interrupted` and `StartError`."""
    checksums: tuple[Checksum, ...] = ()
    seekable: bool = True
    """Whether it can be read from elsewhere than its start, and is then sure to be of the same version."""

    @property
    def sha256(self) -> str | None:
        """64 hexadecimal digits, if they are known beforehand."""
        return next((one.hexdigest for one in self.checksums if one.algorithm == SHA256 and not one.prefix), None)


def last_name(path: str) -> PurePosixPath:
    """Return the name that a file or folder gets here: the last of its path there."""
    name = PurePosixPath(unquote(path)).name
    return safe_relative(name[-_MAX_NAME_CHARS:] if name not in {"", ".."} else "model")


def check_digest(uri: str, digest: str, wanted: str | None) -> None:
    """Compare a digest with what it should be, if that is known. Raises `StartError`."""
    if wanted not in (None, digest):
        raise StartError(
            StartFailure.DIGEST_MISMATCH,
            f"{uri} has the digest {digest}, but spec.model.digest is {wanted}: "
            "the model was replaced, or the digest is of another one",
        )


def failed(message: str) -> StartError:
    """Return the error for a model that cannot be fetched."""
    return StartError(StartFailure.FETCH_FAILED, message)


def bad_uri(message: str) -> StartError:
    """Return the error for a URI that can mean nothing."""
    return StartError(StartFailure.BAD_SETTINGS, message)


def changed(uri: str) -> StartError:
    """Return the error for a file that was replaced while it was fetched."""
    return failed(
        f"{uri} was replaced while it was fetched: parts of two versions do not mix. The next start tries again"
    )
