"""Python environments beside that of development, for tools whose packages do not go with it.

Each is a file of pinned requirements with hashes; its environment is made when it is first asked for, and lies in the
cache under the hash of the file, so that a changed file makes another one.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

from tests.cluster.paths import cache

if TYPE_CHECKING:
    from pathlib import Path


def environment(requirements: Path) -> Path:
    """Return the folder of the environment with these requirements; makes it, in half a minute, if it is not there.

    Its programs are in `bin`. The file names every package with its hashes: pip looks for no others. Raises
    `AssertionError` with pip's own words if it cannot be made.
    """
    text = requirements.read_bytes()
    folder = cache() / "venv" / hashlib.sha256(text).hexdigest()[:16]
    complete = folder / ".complete"
    if complete.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Two test runs may want it at once.
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder, requirements)
            complete.touch()
    return folder


def python(requirements: Path) -> str:
    """Return the interpreter of the environment with these requirements."""
    return str(environment(requirements) / "bin" / "python")


def _make(folder: Path, requirements: Path) -> None:
    _run(sys.executable, "-m", "venv", str(folder))
    pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(*pip, "--require-hashes", "--no-deps", "-r", str(requirements))


def _run(*command: str) -> None:
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
        output.seek(0)
        assert done.returncode == 0, f"{' '.join(command)}\n{output.read().decode(errors='replace')}"
