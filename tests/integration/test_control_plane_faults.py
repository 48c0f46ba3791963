"""A control plane that goes away and comes back, a kind that does, and very many objects that go at once.

The control plane is these tests' own. MODELOPS_OUTAGE_SECONDS and MODELOPS_DELETED_AT_ONCE are for longer, larger runs.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from kubernetes import client, config

from tests import cluster
from tests.cluster import Shape, processes
from tests.integration.conftest import ControlPlane, fresh_name
from tests.integration.fault_proxy import FaultProxy
from tests.integration.operator_process import KeptAlive, Operator
from tests.integration.pod_stand_ins import Kubelet
from tests.integration.stories import Story
from tests.support.clusters import borrowed

NAME = "faults"
OUTAGE_SECONDS = float(os.environ.get("MODELOPS_OUTAGE_SECONDS", "40"))
"""Longer than any pause between two tries."""
DELETED_AT_ONCE = int(os.environ.get("MODELOPS_DELETED_AT_ONCE", "150"))

pytestmark = pytest.mark.timeout(600 + 2 * int(OUTAGE_SECONDS) + 2 * DELETED_AT_ONCE)


@pytest.fixture(scope="module")
def own_plane() -> Iterator[ControlPlane]:
    with borrowed(NAME, Shape.CONTROL_PLANE) as local:
        plane = ControlPlane(local.kubeconfig, local.kubectl)
        _define(plane)
        yield plane


def _define(plane: ControlPlane) -> None:
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", "crds")
    wait = ("wait", "--for=condition=Established", "crd/modeldeployments.modelops.dev", "--timeout=30s")
    deadline = time.monotonic() + 60
    while plane.run(*wait, check=False).returncode:  # It has no conditions at first, which `wait` takes for an error.
        assert time.monotonic() < deadline
        time.sleep(0.5)


@dataclass
class Ground:
    """A model that serves on the tests' own control plane."""

    plane: ControlPlane
    story: Story
    kept: KeptAlive
    first: str

    def next_model_serves(self, *, restarts: int = 0) -> None:
        """The next model serves, and the one before was not lost on the way."""
        deployment = self.story.get("deployment", self.first)["metadata"]["uid"]
        self.story.apply(model=2, replicas=1)
        self.story.wait_for(
            lambda status: status["servingRevision"] not in {"", self.first}, "the next model serves", seconds=240
        )
        assert self.story.get("deployment", self.first)["metadata"]["uid"] == deployment
        assert self.kept.restarts <= restarts


@contextmanager
def _ground(plane: ControlPlane, kubeconfig: Path, folder: Path, *more: str) -> Iterator[Ground]:
    namespace = fresh_name()
    plane.kubectl("create", "namespace", namespace)
    config.load_kube_config(str(plane.kubeconfig))
    watched = ",".join((namespace, *more))
    with (
        Kubelet(client.ApiClient(), namespace) as kubelet,
        Operator(kubeconfig, folder / "operator.log", namespace, WATCH_NAMESPACES=watched) as operator,
        KeptAlive(operator) as kept,
    ):
        story = Story(plane.in_namespace(namespace), namespace, kubelet, operator)
        story.apply(model=1, replicas=1)
        first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves", seconds=60)
        story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready")
        yield Ground(plane, story, kept, first)
    plane.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def ground(own_plane: ControlPlane, tmp_path: Path) -> Iterator[Ground]:
    with _ground(own_plane, own_plane.kubeconfig, tmp_path) as ground:
        yield ground


@pytest.mark.parametrize(
    ("component", "seconds"),
    [("kube-apiserver", 1.0), ("etcd", 3.0), ("kube-apiserver", OUTAGE_SECONDS)],
    ids=["the API server is started again", "etcd is started again", "an outage"],
)
def test_a_control_plane_that_comes_back(ground: Ground, component: str, seconds: float) -> None:
    local = cluster.up(NAME)
    said = len(ground.story.operator.log.read_text().splitlines())
    processes.kill(local, component)
    time.sleep(seconds)
    cluster.up(NAME)
    ground.next_model_serves(restarts=1)
    lines = ground.story.operator.log.read_text().splitlines()[said:]
    assert len(lines) < 200 + 10 * seconds, lines[:100]  # Each request that fails is told of.


def test_a_kind_that_is_removed_and_comes_back(ground: Ground) -> None:
    ground.plane.kubectl("delete", "crd", "modeldeployments.modelops.dev", "--timeout=60s")
    time.sleep(15)
    _define(ground.plane)
    ground.story.wait_until(lambda: not ground.story.kubectl("get", "deployments", "-o", "name"), "all is gone")
    ground.story.apply(model=1, replicas=1)
    ground.story.wait_for(lambda status: status.get("servingRevision") == ground.first, "it serves again", seconds=90)
    ground.next_model_serves()


def test_very_many_that_are_deleted_at_once(own_plane: ControlPlane, tmp_path: Path) -> None:
    crowd = fresh_name()
    own_plane.kubectl("create", "namespace", crowd)
    kubectl = own_plane.in_namespace(crowd)
    with (
        FaultProxy(own_plane.kubeconfig, tmp_path) as proxy,
        _ground(own_plane, proxy.kubeconfig, tmp_path, crowd) as ground,
    ):
        template = ground.story.resource()["spec"]
        items = [
            {
                "apiVersion": "modelops.dev/v1alpha1",
                "kind": "ModelDeployment",
                "metadata": {"name": f"model-{number}"},
                "spec": template,
            }
            for number in range(DELETED_AT_ONCE)
        ]
        kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

        def count(kind: str) -> int:
            return len(kubectl("get", kind, "-o", "name").split())

        wait_until = ground.story.wait_until
        wait_until(lambda: count("deployments") == DELETED_AT_ONCE, "all are there", seconds=60 + DELETED_AT_ONCE)
        began = time.monotonic()
        kubectl("delete", "mdep", "--all", "--wait=false")
        wait_until(lambda: count("mdep") == 0, "all are gone", seconds=60 + DELETED_AT_ONCE)
        wait_until(lambda: count("deployments") == 0, "their children are gone", seconds=60 + DELETED_AT_ONCE)
        asked = proxy.since(began)
        assert len(asked) < 3 * DELETED_AT_ONCE + 5 * (time.monotonic() - began)
        ground.next_model_serves()
    own_plane.kubectl("delete", "namespace", crowd, "--wait=false")
