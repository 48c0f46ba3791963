"""What the machine must have for a shape, and how it gets it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.configs import PLUGIN_DIRECTORIES
from tests.cluster.console import say
from tests.cluster.errors import ClusterError
from tests.cluster.processes import SYSTEM_PATH
from tests.cluster.state import Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip6tables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}
"""Commands that the full shape runs, with the Debian package that each is in."""
PLUGINS = {"ptp", "host-local", "portmap", "loopback"}
PLUGIN_PACKAGE = "containernetworking-plugins"
IMAGE_COMMANDS = {"buildah": "buildah", "debootstrap": "debootstrap", "unshare": "util-linux"}
"""Commands that building images needs."""
BROWSER_COMMANDS = {"chromium": "chromium", "chromedriver": "chromium-driver"}
"""Commands that tests of pages need."""
CAPABILITIES = {"cap_net_admin": 12, "cap_sys_admin": 21}
_INSTALL = "sudo python3 -m tests.cluster install-tools"


def check(shape: Shape) -> None:
    """Raise a ClusterError that names everything the shape misses here."""
    if shape is Shape.CONTROL_PLANE:
        return
    check_rights("A cluster with pods makes namespaces, mounts and a network interface")
    _refuse(_missing(COMMANDS) | _missing_plugins(), "A cluster with pods")


def check_images() -> None:
    """Raise a ClusterError that names everything that building images misses here."""
    check_rights("Building images makes mounts")
    _refuse(_missing(IMAGE_COMMANDS), "Building images")


def check_rights(why: str) -> None:
    """Raise a ClusterError unless this is root with root's rights."""
    if os.geteuid() != 0:
        raise ClusterError(
            f"{why}, which needs root. Put `sudo -E env PATH=$PATH` before the command. "
            "(`up --shape control-plane` works without root.)"
        )
    held = int(_status_line("CapEff"), 16)
    if lacking := [name for name, bit in CAPABILITIES.items() if not held >> bit & 1]:
        raise ClusterError(
            f"{why}, which needs {' and '.join(lacking)}; this root, probably a container's, is without. "
            "Run it on the machine itself, or start the container with `--privileged`."
        )


def install_tools() -> None:
    """Install what clusters with pods and images need. Does nothing where nothing is missing."""
    if _missing(COMMANDS | IMAGE_COMMANDS) | _missing_plugins():
        _install({*COMMANDS.values(), *IMAGE_COMMANDS.values(), PLUGIN_PACKAGE, "ebtables"})


def install_browser() -> None:
    """Install the browser and its driver. Does nothing where both are."""
    if _missing(BROWSER_COMMANDS):
        _install({*BROWSER_COMMANDS.values()})


def _install(wanted: set[str]) -> None:
    """Install Debian packages, without letting any of them start a service of the machine's own."""
    packages = sorted(wanted)
    if not shutil.which("apt-get"):
        raise ClusterError(f"There is no apt-get here. Install by the system's own means: {', '.join(packages)}.")
    if os.geteuid() != 0:
        raise ClusterError(f"Packages are installed by root, with sudo: {', '.join(packages)}.")
    say(f"apt-get installs: {' '.join(packages)}")
    with _services_stay_off():
        for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", *packages]):
            environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            if subprocess.run(command, env=environment, check=False).returncode != 0:
                raise ClusterError(f"`{' '.join(command)}` failed; its output above says why.")


@contextlib.contextmanager
def _services_stay_off() -> Iterator[None]:
    """Debian starts a service when its package is installed, unless this file says no (as in every container)."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def _missing(commands: dict[str, str]) -> dict[str, str]:
    return {f"`{name}`": package for name, package in commands.items() if not shutil.which(name, path=SYSTEM_PATH)}


def _missing_plugins() -> dict[str, str]:
    places = [Path(place) for place in PLUGIN_DIRECTORIES]
    if any(all((place / plugin).exists() for plugin in PLUGINS) for place in places):
        return {}
    return {f"the plugins {', '.join(sorted(PLUGINS))} in {' or '.join(PLUGIN_DIRECTORIES)}": PLUGIN_PACKAGE}


def _refuse(missing: dict[str, str], what: str) -> None:
    if missing:
        packages = ", ".join(sorted(set(missing.values())))
        raise ClusterError(
            f"{what} needs {', '.join(missing)}, which this machine lacks (Debian's packages: {packages}). "
            f"Install them: `{_INSTALL}`."
        )


def _status_line(name: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))
