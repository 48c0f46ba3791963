"""The node of a cluster with pods: its namespaces, its cgroups, its link to the machine, its container runtime."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster import api, cgroups, components, network, processes
from tests.cluster.configs import PAUSE_IMAGE
from tests.cluster.console import step
from tests.cluster.errors import ClusterError
from tests.cluster.runtime import has_image, import_layout, runtime_answers
from tests.cluster.scratch_image import write_layout
from tests.cluster.state import INIT, Shape

if TYPE_CHECKING:
    from tests.cluster.state import Cluster

LAST_MOMENT_SECONDS = 2.0
"""For which the processes of a namespace that was ended may still be seen."""
MOUNT_POINTS = (Path("/var/lib/kubelet"), Path("/var/lib/cni"))
"""Directories that the kubelet and the network plugins write to without asking. The cluster mounts its own on them."""
START_SECONDS = 30


def stands(cluster: Cluster) -> bool:
    """Whether the node's surroundings are there; so they are for a cluster without a node."""
    return cluster.shape is not Shape.FULL or (processes.init_alive(cluster) and network.exists(_link(cluster)))


def enter(cluster: Cluster) -> Cluster:
    """Make the node's surroundings, unless they stand; return the cluster with its first process."""
    if stands(cluster):
        return cluster
    with step("make the node's namespaces, cgroups and network"):
        cgroups.create(cluster.paths.key)
        for directory in MOUNT_POINTS:
            directory.mkdir(parents=True, exist_ok=True)
        kubelet = cluster.paths.data / "kubelet"
        kubelet.mkdir(exist_ok=True)
        cluster = dataclasses.replace(cluster, init=processes.spawn_init(cluster, str(kubelet)))
        network.join(_link(cluster), network.plan(cluster.pods, cluster.services), cluster.init)
    return cluster


def leave(cluster: Cluster) -> None:
    """Remove what the node's ended processes leave behind, but for files under the cluster's directories."""
    (cluster.paths.pids / INIT).unlink(missing_ok=True)
    network.unjoin(_link(cluster))
    cgroups.remove(cluster.paths.key)
    for directory in MOUNT_POINTS:
        if directory.exists() and not _stays_mounted(directory):
            with contextlib.suppress(OSError):  # not empty, and so not ours
                directory.rmdir()


def _stays_mounted(directory: Path) -> bool:
    """Whether something is mounted there by others than processes that are ending: those are seen for a moment more."""
    deadline = time.monotonic() + LAST_MOMENT_SECONDS
    while is_mounted_by_anyone(directory):
        if time.monotonic() > deadline:
            return True
        time.sleep(0.05)
    return False


def is_mounted_by_anyone(directory: Path) -> bool:
    """Whether a process has something mounted there, as another cluster's have; removing it would undo that."""
    for table in Path("/proc").glob("[0-9]*/mounts"):
        with contextlib.suppress(OSError):
            if f" {directory} " in table.read_text(errors="replace"):
                return True
    return False


def start_containerd(cluster: Cluster) -> None:
    """Start the container runtime, with the image that every pod begins with."""
    containerd = components.containerd(cluster)
    processes.ensure(cluster, containerd.name, containerd.command)
    deadline = time.monotonic() + START_SECONDS
    while not runtime_answers(cluster):
        if time.monotonic() > deadline or not processes.alive(cluster, containerd.name):
            raise ClusterError(f"containerd does not work.{processes.tail(cluster.paths, containerd.name)}")
        time.sleep(0.05)
    if not has_image(cluster, PAUSE_IMAGE):
        layout = cluster.paths.data / "pause-image"
        import_layout(cluster, PAUSE_IMAGE, layout, write_layout(layout, Path(cluster.executable).parent / "pause"))


def is_ready(cluster: Cluster) -> bool:
    """Whether the node takes pods, now and not just before it was started again."""
    node = api.get(cluster, f"/api/v1/nodes/{cluster.name}")
    conditions = {part["type"]: part["status"] for part in node["status"].get("conditions", [])} if node else {}
    return conditions.get("Ready") == "True" and not (node or {})["spec"].get("taints")


def _link(cluster: Cluster) -> str:
    return f"mo-{cluster.paths.key}"
