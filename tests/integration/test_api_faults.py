"""Whatever becomes of the API server or the way to it, the operator goes on by itself, and keeps what serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kubernetes import client, config

from tests.integration.conftest import ControlPlane
from tests.integration.fault_proxy import (
    Asked,
    Fault,
    FaultProxy,
    answer,
    closed_at_once,
    error_in_stream,
    every_other,
    slow,
)
from tests.integration.operator_process import KeptAlive, Operator
from tests.integration.pod_stand_ins import Kubelet
from tests.integration.stories import Story

pytestmark = pytest.mark.timeout(400)

STORM = 12.0
"""Requests a second, over all kinds, that are still no storm. Without a pace they would be thousands."""


@dataclass
class Trouble:
    """A model that serves, its operator, and the way between that and the API server."""

    story: Story
    proxy: FaultProxy
    kept: KeptAlive
    first: str
    """The revision that serves when the trouble begins."""

    def for_a_while(self, fault: Fault, seconds: float) -> list[Asked]:
        """Have a fault for so long; return what was asked meanwhile."""
        began = time.monotonic()
        self.proxy.fault = fault
        self.proxy.cut()
        time.sleep(seconds)
        self.proxy.fault = None
        return self.proxy.since(began)

    def recovers(self, *, restarts: int = 0, seconds: float = 60) -> None:
        """The next model serves, and no revision was lost on the way."""
        self.story.wait_for(
            lambda status: status["servingRevision"] != self.first and status["servingRevision"],
            "the next model serves",
            seconds=seconds,
        )
        serving = self.story.status()["servingRevision"]
        self.story.wait_until(lambda: self.story.selected() == serving, "it has the traffic")
        assert self.first not in self.proxy.deletions("deployments")
        assert self.first in self.story.kubectl("get", "deployments", "-o", "name")
        assert self.kept.restarts <= restarts


@pytest.fixture
def trouble(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Trouble]:
    config.load_kube_config(str(control_plane.kubeconfig))
    with (
        FaultProxy(control_plane.kubeconfig, tmp_path) as proxy,
        Kubelet(client.ApiClient(), namespace) as kubelet,
        Operator(proxy.kubeconfig, tmp_path / "operator.log", namespace) as operator,
        KeptAlive(operator) as kept,
    ):
        story = Story(control_plane.in_namespace(namespace), namespace, kubelet, operator)
        story.apply(model=1, replicas=1)
        first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
        story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready")
        yield Trouble(story, proxy, kept, first)


def no_storm(asked: list[Asked], seconds: float) -> None:
    assert len(asked) < STORM * seconds, [f"{one.method} {one.path}" for one in asked][:300]


def is_watch(asked: Asked) -> bool:
    return asked.watches


def is_anything(_: Asked) -> bool:
    return True


def test_watches_that_are_closed_at_once(trouble: Trouble) -> None:
    began = time.monotonic()
    trouble.proxy.fault = closed_at_once
    trouble.proxy.cut()
    time.sleep(10)
    trouble.story.apply(model=2, replicas=1)
    trouble.story.wait_for(lambda status: status.get("candidateRevision"), "lists tell of it meanwhile", seconds=60)
    time.sleep(max(0.0, began + 40 - time.monotonic()))
    asked = trouble.proxy.since(began)
    no_storm(asked, time.monotonic() - began)
    assert sum(one.watches for one in asked) > 20  # It did not give up either.
    trouble.proxy.fault = None
    trouble.recovers()


def test_watches_that_hang(trouble: Trouble) -> None:
    time.sleep(6)  # A list follows the start of each watch.
    trouble.proxy.deaf = True
    trouble.story.apply(model=2, replicas=1)
    time.sleep(5)
    trouble.proxy.deaf = False  # Those that were there stay silent.
    assert not trouble.story.status().get("candidateRevision")
    trouble.recovers(seconds=110)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(error_in_stream(410), id="410 in the stream"),
        pytest.param(error_in_stream(500), id="500 in the stream"),
        pytest.param(answer(410, which=is_watch), id="410"),
        pytest.param(answer(404, which=is_watch), id="404"),
        pytest.param(answer(401, which=is_watch), id="401"),
        pytest.param(answer(403, which=is_watch), id="403"),
        pytest.param(answer(503, which=is_watch), id="503"),
        pytest.param(answer(429, which=is_watch, retry_after=1), id="429"),
    ],
)
def test_watches_that_end_with_an_error(trouble: Trouble, fault: Fault) -> None:
    trouble.story.apply(model=2, replicas=1)
    no_storm(trouble.for_a_while(fault, 15), 15)
    trouble.recovers()


def test_what_is_deleted_while_nobody_watches_is_noticed(trouble: Trouble) -> None:
    """A watch that has to begin anew never tells of it."""
    service = trouble.story.name
    trouble.proxy.fault = answer(410, which=is_watch)
    trouble.proxy.cut()
    time.sleep(3)
    trouble.story.kubectl("delete", "service", service)
    trouble.proxy.fault = None
    trouble.story.wait_until(lambda: trouble.story.selected() == trouble.first, "it is there again", seconds=60)


def test_lists_whose_next_page_has_expired(trouble: Trouble) -> None:
    trouble.proxy.page = 1
    trouble.story.apply(model=2, replicas=1)
    expired = answer(410, which=lambda asked: asked.continues)
    tells_to_list = error_in_stream(410)

    async def fault(request, asked):  # type: ignore[no-untyped-def]
        return await expired(request, asked) or await tells_to_list(request, asked)

    asked = trouble.for_a_while(fault, 20)
    no_storm(asked, 20)
    assert any(one.continues for one in asked)
    trouble.recovers()


@pytest.mark.parametrize("code", [401, 500, 503])
def test_nothing_is_answered_for_a_while(trouble: Trouble, code: int) -> None:
    """The one that leads ends when it cannot renew its Lease, once, and is started again."""
    trouble.story.apply(model=2, replicas=1)
    no_storm(trouble.for_a_while(answer(code), 20), 20)
    trouble.recovers(restarts=1)


def test_too_many_requests(trouble: Trouble) -> None:
    trouble.proxy.fault = every_other(answer(429, which=lambda asked: not asked.watches, retry_after=1))
    began = time.monotonic()
    trouble.story.apply(model=2, replicas=1)
    trouble.recovers()
    no_storm(trouble.proxy.since(began), time.monotonic() - began)
    writes = [one for one in trouble.proxy.since(began) if one.method == "PATCH"]
    for path in {one.path for one in writes}:
        times = [one.at for one in writes if one.path == path]
        assert times[1] - times[0] > 0.9, f"{path} was asked for again sooner than was said"


@pytest.mark.parametrize("what", ["/status", "/deployments/"])
def test_conflicts_without_end(trouble: Trouble, what: str) -> None:
    trouble.story.apply(model=2, replicas=1)
    conflict = answer(409, which=lambda asked: asked.method == "PATCH" and what in asked.path)
    no_storm(trouble.for_a_while(conflict, 15), 15)
    trouble.recovers(seconds=75)


def test_slow_answers(trouble: Trouble) -> None:
    trouble.proxy.fault = slow(1.0)
    trouble.story.apply(model=2, replicas=1)
    trouble.recovers(seconds=120)


def test_deployment_deleted_by_hand_is_made_again(trouble: Trouble) -> None:
    uid = trouble.story.get("deployment", trouble.first)["metadata"]["uid"]
    trouble.story.kubectl("delete", "deployment", trouble.first)
    wait_until: Callable[..., None] = trouble.story.wait_until
    wait_until(
        lambda: (
            trouble.first in trouble.story.kubectl("get", "deployments", "-o", "name")
            and trouble.story.get("deployment", trouble.first)["metadata"]["uid"] != uid
        ),
        "it is there again",
    )
    assert trouble.story.status()["servingRevision"] == trouble.first
