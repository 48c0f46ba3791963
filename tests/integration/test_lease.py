"""Several replicas of the operator: one acts, and another takes its place whatever becomes of it."""

from __future__ import annotations

import json
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from tests.cluster.network import free_ports
from tests.integration.conftest import ControlPlane
from tests.integration.operator_process import Operator
from tests.integration.pod_stand_ins import Kubelet
from tests.integration.stories import Story

LEASE = "modeldeployment-operator-leader"
PAUSE_SECONDS = 17.0
"""Longer than a Lease lasts."""


class Replicas:
    """Two replicas, a and b; a was first."""

    def __init__(self, plane: ControlPlane, namespace: str, folder: Path) -> None:
        self.kubectl = plane.in_namespace(namespace)
        self.ports = free_ports(["a", "b"])
        self.a, self.b = (
            Operator(plane.kubeconfig, folder / f"{name}.log", namespace, POD_NAME=name, HTTP_PORT=str(port))
            for name, port in self.ports.items()
        )

    def spec(self) -> dict[str, Any]:
        text = self.kubectl("get", "lease", LEASE, "--ignore-not-found", "-o", "json")
        spec: dict[str, Any] = json.loads(text)["spec"] if text else {}
        return spec

    def metrics(self, name: str) -> str:
        """Return what Prometheus would be told; nothing while the process starts."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}/metrics", timeout=10) as answer:
                text: str = answer.read().decode()
                return text
        except urllib.error.URLError:
            return ""

    def leader(self) -> str:
        return str(self.spec().get("holderIdentity", ""))


@contextmanager
def replicas(plane: ControlPlane, namespace: str, folder: Path) -> Iterator[tuple[Replicas, Story]]:
    both = Replicas(plane, namespace, folder)
    config.load_kube_config(str(plane.kubeconfig))
    with Kubelet(client.ApiClient(), namespace) as kubelet, both.a:
        story = Story(both.kubectl, namespace, kubelet, both.a)
        story.wait_until(lambda: both.leader() == "a", "the first leads")
        with both.b:
            story.apply(model=1, replicas=1)
            story.wait_until(lambda: story.condition("Ready").get("status") == "True", "the first model serves")
            yield both, story


@pytest.fixture
def pair(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[tuple[Replicas, Story]]:
    with replicas(control_plane, namespace, tmp_path) as pair:
        yield pair


def serves_next(story: Story, model: int, seconds: float = 30) -> None:
    """Apply another model and wait until it serves."""
    before = story.status()["servingRevision"]
    story.apply(model=model, replicas=1)
    story.wait_until(lambda: story.status().get("servingRevision") not in {"", before}, "it serves", seconds=seconds)


def test_another_takes_the_place_of_one_that_was_killed(pair: tuple[Replicas, Story]) -> None:
    both, story = pair
    time.sleep(3)
    assert both.leader() == "a"  # The other one only watches.
    both.a.kill()
    began = time.monotonic()
    serves_next(story, 2, seconds=40)
    assert both.leader() == "b"
    assert both.spec()["leaseTransitions"] == 2
    assert time.monotonic() - began > 10  # Until then the first could have come back.


def test_one_alone_tells_prometheus_of_the_models(pair: tuple[Replicas, Story]) -> None:
    both, story = pair
    of_the_model = f'modeldeployment_replicas{{model="{story.name}"'
    assert "modeldeployment_operator_leader 1.0" in both.metrics("a")
    assert of_the_model in both.metrics("a")
    story.wait_until(lambda: "modeldeployment_operator_leader 0.0" in both.metrics("b"), "the other is there")
    assert of_the_model not in both.metrics("b")
    both.a.terminate()
    story.wait_until(lambda: of_the_model in both.metrics("b"), "the other tells of it")


def test_another_takes_the_place_of_one_that_ends_at_once(pair: tuple[Replicas, Story]) -> None:
    both, story = pair
    both.a.terminate()
    began = time.monotonic()
    story.wait_until(lambda: both.leader() == "b", "the other leads")
    assert time.monotonic() - began < 10
    serves_next(story, 2)


def test_one_that_was_paused_writes_nothing_when_it_goes_on(pair: tuple[Replicas, Story]) -> None:
    both, story = pair
    both.a.signal(signal.SIGSTOP)
    time.sleep(PAUSE_SECONDS)
    story.wait_until(lambda: both.leader() == "b", "the other leads")
    serves_next(story, 2)
    serving = story.status()["servingRevision"]
    both.a.signal(signal.SIGCONT)
    story.wait_until(lambda: not both.a.running, "the first has ended", seconds=20)
    time.sleep(1)
    assert both.leader() == "b"
    assert story.status()["servingRevision"] == story.selected() == serving
    assert "Lease" in both.a.log.read_text()  # Lost, or not renewed in time, whichever it found out first.


def test_one_that_comes_back_goes_on_at_once(pair: tuple[Replicas, Story]) -> None:
    both, story = pair
    both.b.kill()
    both.a.kill()
    both.a.start()
    serves_next(story, 2, seconds=12)
    assert both.spec()["leaseTransitions"] == 1


def test_one_that_cannot_renew_stops_in_time(pair: tuple[Replicas, Story]) -> None:
    both, story = pair
    both.b.kill()
    spec = both.spec() | {"holderIdentity": "somebody else"}
    both.kubectl("patch", "lease", LEASE, "--type=merge", "-p", json.dumps({"spec": spec}))
    story.wait_until(lambda: not both.a.running, "it has ended", seconds=10)
    assert "another replica has taken the Lease" in both.a.log.read_text()
