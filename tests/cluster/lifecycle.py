"""Brings clusters up and down. Every step looks at what is there first, so that any of them may be repeated."""

from __future__ import annotations

import dataclasses
import shutil
import time
from typing import TYPE_CHECKING

from tests.cluster import addons, api, components, network, node, pki, processes, requirements
from tests.cluster.build import CLUSTER, build
from tests.cluster.configs import write_configs
from tests.cluster.console import step
from tests.cluster.errors import ClusterError
from tests.cluster.paths import ClusterPaths, cache
from tests.cluster.state import Cluster, Shape, check_name, load, load_all, locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.cluster.components import Component

DEFAULT_NAME = "local"
START_SECONDS = 90
SETTLE_SECONDS = 0.3
"""In this time, the commands that a launcher ran when it was killed have ended: they carry no mark."""


@dataclasses.dataclass(frozen=True)
class Status:
    """What a cluster is and which of its processes run."""

    cluster: Cluster
    running: dict[str, bool]

    @property
    def up(self) -> bool:
        """Whether it was brought up completely and every process still runs."""
        return self.cluster.ready and all(self.running.values())


def up(name: str = DEFAULT_NAME, shape: Shape | str | None = None, *, audit: bool = False) -> Cluster:
    """Bring a cluster up, or what is missing of it; return it when it works.

    Without a shape it keeps the one it has; a new cluster is a control plane. Raises ClusterError.
    """
    check_name(name)
    wanted = Shape(shape) if shape else None
    with locked(ClusterPaths(name).lock):
        cluster = load(name)
        if cluster and wanted not in {None, cluster.shape}:
            raise ClusterError(
                f"The cluster {name} is of the shape {cluster.shape}. Remove it with "
                f"`python3 -m tests.cluster down --name {name}`, or choose another --name."
            )
        chosen = cluster.shape if cluster else wanted or Shape.CONTROL_PLANE
        requirements.check(chosen)
        executables = build()
        if not cluster:
            cluster = _decide(name, chosen)
        elif not cluster.ready or not node.stands(cluster):
            _stop(cluster)  # what a start that was cut short, or a node that died, left behind
            cluster = dataclasses.replace(cluster, ready=False).save()
        executable = str(executables / CLUSTER)
        cluster = dataclasses.replace(cluster, executable=executable, audit=audit or cluster.audit).save()
        return dataclasses.replace(_start(cluster), ready=True).save()


def down(name: str = DEFAULT_NAME, *, keep: bool = False, purge: bool = False) -> None:
    """End a cluster and forget its objects; with `keep` the next `up` finds them again.

    Its images stay, unless `purge` says otherwise. Repeating it is harmless.
    """
    check_name(name)
    paths = ClusterPaths(name)
    with locked(paths.lock):
        cluster = load(name)
        if cluster:
            with step(f"end the cluster {name}"):
                _stop(cluster)
                dataclasses.replace(cluster, ready=False).save()
        if not keep:
            _remove(paths.state)
        if purge:
            _remove(paths.containerd)


def status(name: str = DEFAULT_NAME) -> Status | None:
    """What a cluster is and which of its processes run; None if there is none of this name."""
    cluster = load(check_name(name))
    if not cluster:
        return None
    return Status(cluster, {part: processes.alive(cluster, part) for part in components.names(cluster.shape)})


def _decide(name: str, shape: Shape) -> Cluster:
    """Choose the addresses of a new cluster. They are recorded at once, so that no two clusters choose the same."""
    with locked(cache() / "clusters" / ".choice.lock"):
        if shape is Shape.FULL:
            others = [other for other in load_all() if other.shape is Shape.FULL]
            plan = network.choose_plan([block for other in others for block in (other.pods, other.services)])
            address, host, ports = str(plan.node), str(plan.host), components.PORTS_OF_FULL
            pods, services = str(plan.pods), str(plan.services)
        else:
            address = host = "127.0.0.1"
            ports = network.free_ports(components.PORTS_OF_CONTROL_PLANE)
            pods, services = "", network.SERVICES_WITHOUT_PODS
        cluster = Cluster(
            name=name,
            shape=shape,
            executable="",
            address=address,
            ports=ports,
            services=services,
            pods=pods,
            host_address=host,
            audit=False,
        )
        return cluster.save()


def _start(cluster: Cluster) -> Cluster:
    """Start whatever does not run. The API server comes before those that would give up without it."""
    paths = cluster.paths
    for directory in (paths.pids, paths.logs, paths.pki, paths.config, paths.data, paths.bin):
        directory.mkdir(parents=True, exist_ok=True)
    pki.write(cluster)
    write_configs(cluster)
    kubectl = paths.bin / "kubectl"
    kubectl.unlink(missing_ok=True)
    kubectl.symlink_to(cluster.executable)
    full = cluster.shape is Shape.FULL
    if full:
        cluster = node.enter(cluster)
    with step("start etcd and the API server"):
        _run(cluster, [components.etcd(cluster), components.apiserver(cluster)])
    rest = [components.controller_manager(cluster), components.scheduler(cluster)]
    if full:
        for path, wanted in addons.objects(cluster):
            api.apply(cluster, path, wanted)
        with step("start containerd"):
            node.start_containerd(cluster)
        rest += [components.kubelet(cluster), components.proxy(cluster), components.coredns(cluster)]
    with step("start " + ", ".join(component.name for component in rest)):
        _run(cluster, rest)
        _wait(cluster, rest, lambda: _is_ready(cluster))
    return cluster


def _run(cluster: Cluster, wanted: Iterable[Component]) -> None:
    """Start the components that do not run as wanted, and wait until all of them work."""
    wanted = list(wanted)
    for component in wanted:
        processes.ensure(cluster, component.name, component.command)
    _wait(cluster, wanted, lambda: all(api.answers(part.health) for part in wanted if part.health))


def _wait(cluster: Cluster, parts: list[Component], works: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not works():
        for part in parts:
            if not processes.alive(cluster, part.name):
                raise ClusterError(f"{part.name} ended while it started.{processes.tail(cluster.paths, part.name)}")
        if time.monotonic() > deadline:
            names = " or ".join(part.name for part in parts)
            raise ClusterError(
                f"{names} did not work within {START_SECONDS} s; see the logs in {cluster.paths.logs}."
                f"{processes.tail(cluster.paths, parts[-1].name)}"
            )
        time.sleep(0.05)


def _is_ready(cluster: Cluster) -> bool:
    """Whether objects can be made: pods need their namespace's ServiceAccount, and a node that takes them."""
    if not api.get(cluster, "/api/v1/namespaces/default/serviceaccounts/default"):
        return False
    return cluster.shape is Shape.CONTROL_PLANE or node.is_ready(cluster)


def _stop(cluster: Cluster) -> None:
    """End every process of a cluster and remove what it has outside its directory."""
    if not cluster.ready:
        time.sleep(SETTLE_SECONDS)
    processes.kill_marked(cluster.paths)
    if cluster.shape is Shape.FULL:
        node.leave(cluster)


def _remove(directory: Path) -> None:
    """Remove a directory. It first gets another name, so that no kill leaves half of it to be taken for the whole."""
    condemned = directory.with_name(f".removed-{directory.name}")
    shutil.rmtree(condemned, ignore_errors=True)
    if directory.exists():
        directory.rename(condemned)
        shutil.rmtree(condemned)
