"""The operator killed with -9 at every one of its writes, before and after, ends where it would have ended anyway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config

from tests.integration.conftest import ControlPlane
from tests.integration.crash_proxy import CrashProxy
from tests.integration.operator_process import KeptAlive, Operator
from tests.integration.pod_stand_ins import Kubelet
from tests.integration.stories import Story


@pytest.fixture
def mortal(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[tuple[Story, CrashProxy]]:
    """Run the operator behind the proxy, and start it again whenever it is dead."""
    config.load_kube_config(str(control_plane.kubeconfig))
    with (
        CrashProxy(control_plane.kubeconfig, tmp_path) as proxy,
        Kubelet(client.ApiClient(), namespace) as kubelet,
        Operator(proxy.kubeconfig, tmp_path / "operator.log", namespace) as operator,
        KeptAlive(operator),
    ):
        proxy.crash = operator.kill_now
        yield Story(control_plane.in_namespace(namespace), namespace, kubelet, operator), proxy


@pytest.mark.timeout(600)
def test_operator_killed_at_every_write_ends_in_the_same_state(mortal: tuple[Story, CrashProxy]) -> None:
    story, proxy = mortal
    story.apply(model=1)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves", seconds=120)
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready", seconds=60)
    story.count(first, correct=95, wrong=5)
    story.apply(model=2)
    second = story.wait_for(
        lambda status: status["servingRevision"] != first and status["servingRevision"], "model 2", seconds=120
    )
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready", seconds=60)
    story.count(second, correct=30, wrong=30)
    story.wait_for(lambda status: status["servingRevision"] == first, "the rollback", seconds=180)
    story.wait_until(lambda: story.selected() == first, "the traffic is back", seconds=60)
    story.wait_until(
        lambda: all(pod.forward_to for pod in story.kubelet.of(second)),
        "the rejected pods pass requests on",
        seconds=60,
    )
    story.wait_until(lambda: not any(pod.forward_to for pod in story.kubelet.of(first)), "the good pods answer")
    proxy.crash = None
    story.count(first, correct=1, wrong=0)
    story.wait_for(lambda status: status["accuracy"]["labels"] == 202, "each label counted once", seconds=90)

    assert len(proxy.crashes) > 20, proxy.crashes
    status = story.status()
    rejection = status["rejections"][0]
    assert (rejection["revision"], rejection["labels"], rejection["wrong"]) == (second, 120, 60)
    assert [entry["revision"] for entry in status["rejections"]] == [second]
    assert status["accuracy"]["wrong"] == 10
    assert story.resource()["metadata"]["generation"] == 2
    assert story.condition("Ready")["reason"] == "RolledBack"
    deployments = story.kubectl("get", "deployments", "-o", "name").split()
    assert sorted(deployments) == sorted(f"deployment.apps/{name}" for name in (first, second))
