"""The operator killed with -9 at every one of its writes, before and after, ends where it would have ended anyway."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

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
    with Traffic(story) as traffic:
        _from_create_to_rollback(story, proxy)
    assert traffic.seen
    assert not traffic.lost


@pytest.mark.timeout(600)
def test_operator_killed_at_every_write_of_autoscaling_and_of_what_is_made_after_a_deletion(
    mortal: tuple[Story, CrashProxy],
) -> None:
    story, proxy = mortal
    automatic = {"minReplicas": 2, "maxReplicas": 4, "podMetrics": [{"name": "waiting", "averageValue": 2}]}
    with Traffic(story) as traffic:
        first = _serves(story, replicas=2)
        story.apply(model=1, replicas=None, autoscaling=automatic)
        story.wait_until(lambda: story.kubectl("get", "hpa", "-o", "name"), "the autoscaler is there", seconds=120)
        story.kubectl("scale", "deployment", first, "--replicas=3")
        story.wait_for(lambda status: status.get("readyReplicas") == 3, "what is set beside it stays", seconds=120)
        story.apply(model=1, replicas=2)
        story.wait_until(lambda: not story.kubectl("get", "hpa", "-o", "name"), "the autoscaler is gone", seconds=120)
        story.wait_for(
            lambda status: status["readyReplicas"] == 2 and status["observedGeneration"] == 3,
            "the spec holds again",
            seconds=120,
        )
        assert story.selected() == first
    assert traffic.seen
    assert not traffic.lost

    story.kubectl("delete", "mdep", story.name)
    kinds = "deployments,services,controllerrevisions,poddisruptionbudgets,hpa,replicasets"
    story.wait_until(lambda: not story.kubectl("get", kinds, "-o", "name"), "all of it is gone", seconds=120)
    assert _serves(story, replicas=1) == first
    assert any("horizontalpodautoscalers" in crash for crash in proxy.crashes)
    assert len(proxy.crashes) > 15, proxy.crashes


def _serves(story: Story, **spec: int) -> str:
    story.apply(model=1, **spec)
    revision: str = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves", seconds=120)
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready", seconds=60)
    return revision


class Traffic:
    """Looks all the time whether the Service selects a revision that answers."""

    def __init__(self, story: Story) -> None:
        self._name, self._namespace = story.name, story.namespace
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.seen = 0
        self.lost: list[str] = []
        """Revisions that had the traffic and no pod that was ready."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        core, apps = client.CoreV1Api(), client.AppsV1Api()
        while not self._stopped.wait(0.2):
            try:
                service = core.read_namespaced_service(self._name, self._namespace)
            except client.ApiException:
                continue  # It is not there yet.
            revision = service.spec.selector.get("modelops.dev/revision", "")
            self.seen += 1
            try:
                ready = apps.read_namespaced_deployment(revision, self._namespace).status.ready_replicas
            except client.ApiException:
                ready = 0
            if not ready:
                self.lost.append(revision)


def _from_create_to_rollback(story: Story, proxy: CrashProxy) -> None:
    first = _serves(story)
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
    assert len(story.kubectl("get", "modelverdicts", "-o", "name").split()) == 1, "one decision, however often made"
    assert status["accuracy"]["wrong"] == 10
    assert story.resource()["metadata"]["generation"] == 2
    assert story.condition("Ready")["reason"] == "RolledBack"
    deployments = story.kubectl("get", "deployments", "-o", "name").split()
    assert sorted(deployments) == sorted(f"deployment.apps/{name}" for name in (first, second))
