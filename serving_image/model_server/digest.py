r"""The digest that `spec.model.digest` holds: `python3 -m model_server.digest PATH` prints it.

A file's digest is the SHA-256 of its bytes. A folder's is the SHA-256 of what this prints inside it:

    find . -type f -printf '%P\0' | xargs -0 sha256sum | LC_ALL=C sort

Names, contents and nothing else: neither times nor modes nor empty folders.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHM: Final = "sha256"


def digest_of(path: Path) -> str:
    """Read a file, or all files below a folder, and return `sha256:…`. Raises OSError."""
    return f"{ALGORITHM}:{_of_folder(path) if path.is_dir() else _of_file(path)}"


def _of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, ALGORITHM).hexdigest()


def digest_of_files(files: Mapping[str, str]) -> str:
    """Return the digest of a folder from the SHA-256 of its files, by their names."""
    return f"{ALGORITHM}:{hashlib.sha256(list_of(files)).hexdigest()}"


def list_of(files: Mapping[str, str]) -> bytes:
    """Write what a folder's digest is the SHA-256 of."""
    return b"".join(sorted(f"{digest}  {name}\n".encode() for name, digest in files.items()))


def _of_folder(folder: Path) -> str:
    files = (path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(list_of({path.relative_to(folder).as_posix(): _of_file(path) for path in files})).hexdigest()


def main(arguments: list[str]) -> int:
    """Print the digest of each path."""
    if not arguments:
        sys.stderr.write("usage: python3 -m model_server.digest PATH...\n")
        return 2
    for argument in arguments:
        try:
            sys.stdout.write(f"{digest_of(Path(argument))}\n")
        except OSError as error:
            sys.stderr.write(f"{argument}: {error.strerror}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
