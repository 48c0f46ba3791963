"""The local cluster comes up, mends itself, and leaves nothing behind, however rudely its processes are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.cluster import (
    Cluster,
    ClusterError,
    Shape,
    api,
    components,
    down,
    processes,
    requirements,
    runtime,
    status,
    up,
)
from tests.cluster.build import build
from tests.cluster.configs import PAUSE_IMAGE
from tests.cluster.paths import REPOSITORY, ClusterPaths
from tests.cluster.scratch_image import write_layout
from tests.e2e.traces import traces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The first build of the cluster takes minutes.
pytestmark = pytest.mark.timeout(1800)

NAME = "lifecycle-test"
SECOND = "lifecycle-test-2"
NAMESPACES = "/api/v1/namespaces"
PODS = f"{NAMESPACES}/default/pods"


@pytest.fixture(params=list(Shape), ids=str)
def shape(request: pytest.FixtureRequest) -> Shape:
    chosen: Shape = request.param
    _skip_unless_possible(chosen)
    return chosen


@pytest.fixture
def _machine_with_pods() -> None:
    _skip_unless_possible(Shape.FULL)


@pytest.fixture(autouse=True)
def before() -> Iterator[set[str]]:
    """What the machine was like before; whatever a test does, its clusters go."""
    build()
    _remove_all()
    yield traces(NAME)
    _remove_all()


def test_up_twice_changes_nothing(shape: Shape) -> None:
    first = up(NAME, shape)
    pids = _pids(first)
    second = up(NAME)
    assert second == first
    assert _pids(second) == pids


def test_up_takes_seconds(shape: Shape) -> None:
    begin = time.monotonic()
    up(NAME, shape)
    # Under 4 (control plane) and 7 (full) on 2 idle cores. This is to notice a step that waits for a time-out.
    assert time.monotonic() - begin < 40


def test_down_leaves_nothing(shape: Shape, before: set[str]) -> None:
    cluster = up(NAME, shape)
    if shape is Shape.FULL:
        _run_pod(cluster, "left-running")
    assert traces(NAME) != before  # so the comparison sees a cluster
    down(NAME)
    assert traces(NAME) == before
    assert not ClusterPaths(NAME).state.exists()
    assert status(NAME) is None


def test_down_twice_or_of_nothing_is_harmless(shape: Shape, before: set[str]) -> None:
    up(NAME, shape)
    down(NAME)
    down(NAME)
    down("never-was")
    assert traces(NAME) == before


def test_up_mends_a_cluster_whose_processes_were_killed(shape: Shape) -> None:
    cluster = up(NAME, shape)
    _make_namespace(cluster, "outlasts")
    for component in components.names(shape):
        _kill(processes.host_pid(cluster, component))
        _wait(partial(_has_ended, cluster, component), f"{component} ends")
        found = status(NAME)
        assert found
        assert not found.up
        assert not found.running[component]
        cluster = up(NAME)
        found = status(NAME)
        assert found
        assert found.up
    assert api.get(cluster, f"{NAMESPACES}/outlasts")
    if shape is Shape.FULL:
        _run_pod(cluster, "after-the-mending")


def test_down_cleans_up_after_every_process_was_killed(shape: Shape, before: set[str]) -> None:
    cluster = up(NAME, shape)
    for pid in _pids(cluster).values():
        _kill(pid)
    down(NAME)
    assert traces(NAME) == before


@pytest.mark.parametrize("seconds", [0.3, 1.5, 3.0])
def test_down_cleans_up_after_a_start_that_was_killed(shape: Shape, before: set[str], seconds: float) -> None:
    with subprocess.Popen(_command("up", shape), cwd=REPOSITORY, stderr=subprocess.DEVNULL) as launcher:
        time.sleep(seconds)
        launcher.kill()
    down(NAME)
    assert traces(NAME) == before


def test_down_ends_what_a_killed_start_has_not_recorded(shape: Shape, before: set[str]) -> None:
    cluster = up(NAME, shape)
    inside = [*processes.inside(cluster), "sleep", "600"]
    with subprocess.Popen(inside, env=processes.environment(cluster.paths, "unrecorded")) as late:
        down(NAME)
        assert late.wait(10) == -signal.SIGKILL
    assert traces(NAME) == before


def test_up_goes_on_after_a_start_that_was_killed(shape: Shape) -> None:
    with subprocess.Popen(_command("up", shape), cwd=REPOSITORY, stderr=subprocess.DEVNULL) as launcher:
        time.sleep(1)
        launcher.kill()
    up(NAME)
    found = status(NAME)
    assert found
    assert found.up
    assert found.cluster.shape is shape


def test_kept_objects_are_there_again(shape: Shape, before: set[str]) -> None:
    _make_namespace(up(NAME, shape), "kept")
    down(NAME, keep=True)
    assert traces(NAME) == before
    cluster = up(NAME)
    assert api.get(cluster, f"{NAMESPACES}/kept")
    down(NAME)
    cluster = up(NAME, shape)
    assert not api.get(cluster, f"{NAMESPACES}/kept")


def test_every_request_is_logged_with_audit(shape: Shape) -> None:
    cluster = up(NAME, shape)
    assert not cluster.paths.audit_log.exists()
    cluster = up(NAME, audit=True)  # only the API server is started anew
    _make_namespace(cluster, "watched")
    assert '"name":"watched"' in cluster.paths.audit_log.read_text()


@pytest.mark.usefixtures("_machine_with_pods")
def test_the_death_of_the_first_process_ends_everything(before: set[str]) -> None:
    cluster = up(NAME, Shape.FULL)
    _run_pod(cluster, "dies-too")
    _kill(cluster.init)
    # Only the empty cgroups and mount points cannot go by themselves.
    remains = ("cgroup ", "directory ")
    _wait(lambda: {line for line in traces(NAME) - before if not line.startswith(remains)} == set(), "all of it ends")
    down(NAME)
    assert traces(NAME) == before


@pytest.mark.usefixtures("_machine_with_pods")
def test_up_brings_pods_back_after_the_death_of_the_first_process() -> None:
    cluster = up(NAME, Shape.FULL)
    _run_pod(cluster, "comes-back")
    _kill(cluster.init)
    cluster = up(NAME)
    _wait(lambda: _restarts(cluster, "comes-back") == 1, "the pod runs again")


@pytest.mark.usefixtures("_machine_with_pods")
def test_images_outlive_the_cluster() -> None:
    name = "localhost/outlives:test"
    cluster = up(NAME, Shape.FULL)
    layout = cluster.paths.data / "layout"
    digest = write_layout(layout, build() / "pause")
    runtime.import_layout(cluster, name, layout, digest)
    down(NAME)
    cluster = up(NAME, Shape.FULL)
    assert runtime.image_digest(cluster, name) == digest
    _run_pod(cluster, "from-it", image=name)
    down(NAME, purge=True)
    assert not runtime.has_image(up(NAME, Shape.FULL), name)


@pytest.mark.usefixtures("_machine_with_pods")
def test_two_clusters_do_not_touch_each_other() -> None:
    first, second = up(NAME, Shape.FULL), up(SECOND, Shape.FULL)
    assert {first.pods, first.services}.isdisjoint({second.pods, second.services})
    _run_pod(first, "stays")
    _run_pod(second, "goes")
    down(SECOND)
    found = status(NAME)
    assert found
    assert found.up
    assert _restarts(first, "stays") == 0
    _run_pod(first, "new")


def test_a_cluster_keeps_its_shape() -> None:
    up(NAME)
    with pytest.raises(ClusterError, match=r"is of the shape control-plane.*down --name lifecycle-test"):
        up(NAME, Shape.FULL)


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "a b", "x" * 41])
def test_a_name_that_could_not_name_a_node_is_refused(name: str) -> None:
    with pytest.raises(ClusterError, match="cannot name a cluster"):
        up(name)


def test_missing_tools_are_named_with_the_command_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "SYSTEM_PATH", "/nonexistent")
    monkeypatch.setattr(requirements, "check_rights", lambda _: None)
    with pytest.raises(ClusterError, match=r"`runc`.*python3 -m tests\.cluster install-tools"):
        requirements.check(Shape.FULL)


def test_a_missing_right_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match=r"needs root.*sudo.*control-plane"):
        up(NAME, Shape.FULL)


def _skip_unless_possible(shape: Shape) -> None:
    try:
        requirements.check(shape)
    except ClusterError as error:
        pytest.skip(str(error))


def _remove_all() -> None:
    for name in (NAME, SECOND):
        down(name, purge=True)


def _command(verb: str, shape: Shape) -> list[str]:
    return [sys.executable, "-m", "tests.cluster", verb, "--name", NAME, "--shape", shape]


def _pids(cluster: Cluster) -> dict[str, int]:
    return {component: processes.host_pid(cluster, component) for component in components.names(cluster.shape)}


def _kill(pid: int) -> None:
    assert pid > 1  # 0 and −1 would be many processes
    os.kill(pid, signal.SIGKILL)


def _has_ended(cluster: Cluster, component: str) -> bool:
    return not processes.alive(cluster, component)


def _make_namespace(cluster: Cluster, name: str) -> None:
    wanted = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    api.apply(cluster, f"{NAMESPACES}/{name}", wanted)


def _run_pod(cluster: Cluster, name: str, image: str = PAUSE_IMAGE) -> None:
    spec = {"containers": [{"name": "main", "image": image}], "terminationGracePeriodSeconds": 1}
    api.apply(cluster, f"{PODS}/{name}", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    _wait(lambda: _restarts(cluster, name) == 0, f"the pod {name} runs")


def _restarts(cluster: Cluster, name: str) -> int:
    """How often a running pod's container was started again; −1 if it does not run."""
    pod = api.get(cluster, f"{PODS}/{name}") or {}
    for container in pod.get("status", {}).get("containerStatuses", []):
        return int(container["restartCount"]) if "running" in container["state"] else -1
    return -1


def _wait(happens: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain until {what}"
        time.sleep(0.1)
