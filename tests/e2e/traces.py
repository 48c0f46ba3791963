"""What a cluster could leave on the machine, as lines that can be compared before and after."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.cgroups import hierarchies
from tests.cluster.node import MOUNT_POINTS, is_mounted_by_anyone
from tests.cluster.processes import MARK
from tests.cluster.sandbox_init import SETTINGS
from tests.cluster.state import load_all

if TYPE_CHECKING:
    from collections.abc import Iterator


def traces(name: str) -> set[str]:
    """Everything on the machine that could be the work of the cluster of this name, and not of another one."""
    others = [cluster for cluster in load_all() if cluster.name != name]
    lines = {*_processes(), *_mounts(), *_network(), *_firewall(), *_cgroups(), *_settings()}
    marks = [mark for other in others for mark in (other.paths.key, f"{other.paths.state}/", *_namespaces(other.init))]
    return {line for line in lines if not any(mark in line for mark in marks)}


def _namespaces(pid: int) -> list[str]:
    """The namespaces of a cluster, by its first process."""
    with contextlib.suppress(OSError):
        return [str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in ("pid", "mnt")] if pid else []
    return []


def _processes() -> Iterator[str]:
    """Processes that a cluster started, or that are in namespaces or cgroups other than this process's."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            variables = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
            mark = next((variable for variable in variables if variable.startswith(MARK)), "")
            cgroups = " ".join(re.findall(r"modelops-\w+", (entry / "cgroup").read_text()))
            namespaces = [str((entry / "ns" / kind).readlink()) for kind in ("pid", "net", "mnt")]
            if mark or cgroups or namespaces[1] != str(Path("/proc/self/ns/net").readlink()):
                yield f"process {entry.name} {mark} {cgroups} {' '.join(namespaces)}"


def _mounts() -> Iterator[str]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        yield f"mount {line}"
    for point in MOUNT_POINTS:
        if point.exists() and not is_mounted_by_anyone(point):
            yield f"directory {point}"


def _network() -> Iterator[str]:
    for interface in Path("/sys/class/net").iterdir():
        yield f"interface {interface.name}"
    for family in ("-4", "-6"):
        for what in (["route", "show", "table", "all"], ["rule"], ["neighbour", "show", "nud", "permanent"]):
            for line in _output(["ip", family, *what]):
                yield f"{what[0]} {line}"


def _firewall() -> Iterator[str]:
    for command in ("iptables-save", "ip6tables-save"):
        for line in _output([command]):
            if not line.startswith("#"):
                yield f"{command} {re.sub(r'[[][0-9:]+[]]', '', line)}"


def _cgroups() -> Iterator[str]:
    for root in hierarchies():
        for directory, _, _ in os.walk(root):
            if re.search(r"/(modelops-|kube|pod)", directory.removeprefix(str(root))):
                yield f"cgroup {directory}"


def _settings() -> Iterator[str]:
    for setting in (*SETTINGS, "net/ipv4/ip_forward", "net/netfilter/nf_conntrack_max"):
        file = Path("/proc/sys", setting)
        if file.exists():
            yield f"setting {setting} {file.read_text().strip()}"


def _output(command: list[str]) -> list[str]:
    if not shutil.which(command[0]):
        return []  # then a cluster without pods is all that can be made
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
