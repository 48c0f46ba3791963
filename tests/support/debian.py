"""Programs that tests run and Debian has packages of: those on the PATH, or else those of the packages."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.cluster import ClusterError, debian

PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}
"""By command: Debian's package that it is in."""


def command(name: str) -> Path:
    """Return the path of a command. A package is downloaded into the cache when it is first needed, never installed."""
    if name not in PACKAGES:
        raise ClusterError(f"{name!r} is none of {', '.join(PACKAGES)}: add it to PACKAGES in {__name__}.")
    if on_path := shutil.which(name):
        return Path(on_path)
    package = debian.unpacked(PACKAGES[name])
    found = package / "usr" / "bin" / name
    if not found.is_file():
        raise ClusterError(f"{package} holds no usr/bin/{name}. Remove that directory and try again.")
    return found
