"""The cgroups under which the kubelet puts the pods, on machines with cgroup v1, v2 or both."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path

from tests.cluster.errors import ClusterError

_NEEDED = ("cpuset", "cpu", "memory", "pids")
_WANTED_IF_THERE = ("hugetlb",)
"""The kubelet (v2) takes a group for missing that lacks a controller which the machine's root group has."""


def name(key: str) -> str:
    """The cluster's own cgroup, directly under the root of every hierarchy."""
    return f"modelops-{key}"


def hierarchies() -> dict[Path, str]:
    """Where each hierarchy is mounted, with its type: `cgroup` (v1) or `cgroup2`."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return {Path(fields[1]): fields[2] for fields in mounts if fields[2] in {"cgroup", "cgroup2"}}


def is_v2() -> bool:
    """Whether v2 alone is mounted at the usual place, which is how the kubelet decides."""
    return hierarchies().get(Path("/sys/fs/cgroup")) == "cgroup2"


def create(key: str) -> None:
    """Make the cluster's cgroup in every hierarchy; the kubelet wants its root to exist, with all controllers."""
    if is_v2():
        _delegate(Path("/sys/fs/cgroup"))
    for root in hierarchies():
        group = root / name(key)
        group.mkdir(exist_ok=True)
        if (root / "cpuset.cpus").exists() and (group / "cpuset.cpus").exists():
            # A v1 cpuset starts empty and then takes no process.
            for file in ("cpuset.cpus", "cpuset.mems"):
                (group / file).write_text((root / file).read_text())
    if is_v2():
        _delegate(Path("/sys/fs/cgroup") / name(key))


def _delegate(group: Path) -> None:
    """Let the groups under this one use the controllers (v2)."""
    available = (group / "cgroup.controllers").read_text().split()
    if missing := set(_NEEDED) - set(available):
        raise ClusterError(
            f"The cgroup controllers {', '.join(sorted(missing))} are not available in {group}. "
            "Start the machine without `cgroup_disable` and outside a container, or use `--shape control-plane`."
        )
    controllers = [controller for controller in (*_NEEDED, *_WANTED_IF_THERE) if controller in available]
    orders = " ".join(f"+{controller}" for controller in controllers)
    try:
        (group / "cgroup.subtree_control").write_text(orders)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _move_processes_aside(group)
        (group / "cgroup.subtree_control").write_text(orders)


def _move_processes_aside(group: Path) -> None:
    """Within a container the root group has processes, and v2 then refuses to hand its controllers on."""
    leaf = group / "modelops-machine"
    leaf.mkdir(exist_ok=True)
    for pid in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(OSError):
            (leaf / "cgroup.procs").write_text(pid)


def remove(key: str) -> None:
    """Remove the cluster's cgroups; their processes are gone, but the kernel may take a moment to notice."""
    for root in hierarchies():
        top = root / name(key)
        deadline = time.monotonic() + 10
        while top.exists() and not _remove_tree(top):
            if time.monotonic() > deadline:
                raise ClusterError(f"The cgroup {top} is still in use; see {top}/cgroup.procs, and run `down` again.")
            time.sleep(0.02)


def _remove_tree(top: Path) -> bool:
    """Remove the groups from the leaves up; False if one is still busy."""
    for directory, _, _ in os.walk(top, topdown=False):
        try:
            Path(directory).rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
