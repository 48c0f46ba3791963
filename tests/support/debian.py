"""Programs that tests run and Debian has packages of: those on the PATH, or else those of the packages.

Packages are unpacked and not installed, which would start services of the machine's own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import ClusterError
from tests.cluster.console import step
from tests.cluster.paths import cache
from tests.cluster.state import locked

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "docker-registry": "docker-registry",
    "nginx": "nginx",
}
"""By command: Debian's package that it is in."""


def command(name: str) -> Path:
    """Return the path of a command. A package is downloaded into the cache when it is first needed, never installed."""
    if name not in PACKAGES:
        raise ClusterError(f"{name!r} is none of {', '.join(PACKAGES)}: add it to PACKAGES in {__name__}.")
    if on_path := shutil.which(name):
        return Path(on_path)
    package = _unpacked(PACKAGES[name])
    found = next((path for folder in ("bin", "sbin") if (path := package / "usr" / folder / name).is_file()), None)
    if found is None:
        raise ClusterError(f"{package} holds no usr/bin/{name}. Remove that directory and try again.")
    return found


def together(packages: Sequence[str], directory: Path) -> None:
    """Copy the files of packages into one directory, as if they were installed there: links lead across."""
    for package in packages:
        shutil.copytree(_unpacked(package), directory, symlinks=True, dirs_exist_ok=True)


def _directory() -> Path:
    """Where packages are unpacked, each in a directory of its name, version and architecture."""
    return cache() / "debian"


def _unpacked(package: str) -> Path:
    """The directory with the files of a package; downloaded and unpacked when it is asked for first."""
    if found := _found(package):
        return found
    with locked(_directory() / f".{package}.lock"):
        if found := _found(package):
            return found
        _check_tools(package)
        with step(f"download Debian's package {package}"):
            return _download(package)


def _found(package: str) -> Path | None:
    return max(_directory().glob(f"{package}_*"), default=None)


def _check_tools(package: str) -> None:
    if missing := [tool for tool in ("apt-get", "dpkg-deb") if not shutil.which(tool)]:
        raise ClusterError(
            f"Debian's package {package} cannot be fetched: {' and '.join(missing)} not found on the PATH. "
            "Install what the package holds by the system's own means, so that its commands are on the PATH."
        )


def _download(package: str) -> Path:
    """Download in a directory of its own, and move the files to their place when all are there."""
    with tempfile.TemporaryDirectory(dir=_directory(), prefix=".download-") as work:
        if not _runs(["apt-get", "download", "--quiet", package], Path(work)):
            _update(package)  # apt has no lists, or they name a version that is no more
            _check(["apt-get", "download", "--quiet", package], Path(work))
        archive = next(Path(work).glob(f"{package}_*.deb"))
        _check(["dpkg-deb", "--extract", archive.name, "root"], Path(work))
        target = _directory() / archive.stem
        Path(work, "root").rename(target)
        return target


def _update(package: str) -> None:
    if os.geteuid() != 0:
        raise ClusterError(f"apt cannot download the package {package}. Renew its lists: `sudo apt-get update`.")
    _check(["apt-get", "update", "--quiet"], _directory())


def _runs(command: list[str], where: Path) -> bool:
    return (
        subprocess.run(command, cwd=where, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    )


def _check(command: list[str], where: Path) -> None:
    done = subprocess.run(command, cwd=where, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(command)}` failed:\n{(done.stdout + done.stderr)[-2000:]}")
