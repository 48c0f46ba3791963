"""The real HorizontalPodAutoscaler and the operator: who sets the number of pods, and that it never drops by that.

The cluster is one of its own: APIs of metrics are there for all of a cluster or not at all.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from kubernetes import client, config, watch

from tests.cluster import Shape
from tests.integration.conftest import ControlPlane, fresh_name
from tests.integration.crash_proxy import CrashProxy
from tests.integration.metrics_stand_in import Load, MetricsStandIn
from tests.integration.operator_process import Operator
from tests.integration.pod_stand_ins import Kubelet
from tests.integration.stories import Story
from tests.integration.test_crashes import KeptAlive
from tests.support.clusters import borrowed

OPERATOR, AUTOSCALER = "modeldeployment-operator", "kube-controller-manager"
WAITING = "model_requests_waiting"
BY_WAITING = {"podMetrics": [{"name": WAITING, "averageValue": 2}]}


@pytest.fixture(scope="module")
def scaled_cluster() -> Iterator[ControlPlane]:
    with borrowed("autoscaling", Shape.CONTROL_PLANE) as local:
        plane = ControlPlane(local.kubeconfig, local.kubectl)
        plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", "crds")
        plane.kubectl("wait", "--for=condition=Established", "crd/modeldeployments.modelops.dev", "--timeout=30s")
        config.load_kube_config(str(local.kubeconfig))
        yield plane


@pytest.fixture(scope="module")
def metrics(scaled_cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetricsStandIn]:
    with MetricsStandIn(client.ApiClient(), tmp_path_factory.mktemp("metrics")) as stand_in:
        names = [f"apiservice/{name}" for name in ("v1beta1.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io")]
        scaled_cluster.kubectl("wait", "--for=condition=Available", *names, "--timeout=30s")
        yield stand_in


@dataclass
class Sizes:
    """Every number of pods that each Deployment of a namespace was ever asked for: a watch tells of each change."""

    namespace: str
    seen: dict[str, list[int]] = field(default_factory=dict)
    """By Deployment; the same number is not told twice in a row."""

    def __enter__(self) -> Self:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=10)

    def of(self, name: str) -> list[int]:
        return self.seen.get(name, [])

    def _run(self) -> None:
        apps, version = client.AppsV1Api(), "0"
        while not self._stopped.is_set():
            stream = watch.Watch().stream(
                apps.list_namespaced_deployment, self.namespace, resource_version=version, timeout_seconds=1
            )
            for event in stream:
                deployment = event["object"]
                version = deployment.metadata.resource_version
                sizes = self.seen.setdefault(deployment.metadata.name, [])
                if sizes[-1:] != [deployment.spec.replicas]:
                    sizes.append(deployment.spec.replicas)


@dataclass
class Scaled:
    """A story with a load."""

    story: Story
    load: Load
    sizes: Sizes

    def deployment(self, revision: str) -> dict[str, Any]:
        return self.story.get("deployment", revision)

    def owners(self, revision: str) -> set[str]:
        """The managers of the number of pods."""
        text = self.story.kubectl("get", "deployment", revision, "-o", "json", "--show-managed-fields")
        entries = json.loads(text)["metadata"]["managedFields"]
        return {entry["manager"] for entry in entries if "f:replicas" in entry["fieldsV1"].get("f:spec", {})}

    def autoscaler(self) -> dict[str, Any]:
        return self.story.get("hpa", self.story.name)

    def has(self, revision: str, replicas: int) -> bool:
        """So many pods of a revision are asked for, and answer."""
        document = self.deployment(revision)
        return (document["spec"]["replicas"], document["status"].get("readyReplicas", 0)) == (replicas, replicas)

    def is_active(self) -> bool:
        """The autoscaler has read the metrics and is content with the number of pods that there is."""
        status = self.autoscaler()["status"]
        active = any(one["type"] == "ScalingActive" and one["status"] == "True" for one in status.get("conditions", ()))
        return active and status["desiredReplicas"] == status["currentReplicas"]


@pytest.fixture
def mortal(
    scaled_cluster: ControlPlane, metrics: MetricsStandIn, tmp_path: Path
) -> Iterator[tuple[Scaled, CrashProxy]]:
    """The same with an operator that dies at each of its writes, and is started again."""
    namespace = fresh_name()
    scaled_cluster.kubectl("create", "namespace", namespace)
    metrics.loads[namespace] = load = Load()
    with (
        CrashProxy(scaled_cluster.kubeconfig, tmp_path) as proxy,
        Kubelet(client.ApiClient(), namespace) as kubelet,
        Operator(proxy.kubeconfig, tmp_path / "operator.log", namespace) as operator,
        KeptAlive(operator),
        Sizes(namespace) as sizes,
    ):
        proxy.crash = operator.kill_now
        yield Scaled(Story(scaled_cluster.in_namespace(namespace), namespace, kubelet, operator), load, sizes), proxy
    scaled_cluster.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def scaled(scaled_cluster: ControlPlane, metrics: MetricsStandIn, tmp_path: Path) -> Iterator[Scaled]:
    namespace = fresh_name()
    scaled_cluster.kubectl("create", "namespace", namespace)
    metrics.loads[namespace] = load = Load()
    with (
        Kubelet(client.ApiClient(), namespace) as kubelet,
        Operator(scaled_cluster.kubeconfig, tmp_path / "operator.log", namespace) as operator,
        Sizes(namespace) as sizes,
    ):
        yield Scaled(Story(scaled_cluster.in_namespace(namespace), namespace, kubelet, operator), load, sizes)
    scaled_cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def serve(story: Story, model: int, *, seconds: float = 60, **spec: Any) -> str:
    """Apply a model; return its revision when it serves and all is as it should be."""
    story.apply(model, **spec)
    uri = f"http://store/news-{model}.keras"

    def serving(status: dict[str, Any]) -> str:
        named = {one["name"]: one["modelUri"] for one in status.get("revisions", ())}
        name: str = status.get("servingRevision", "")
        return name if named.get(name) == uri else ""

    revision: str = story.wait_for(serving, f"model {model} serves", seconds=seconds)
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready", seconds=seconds)
    return revision


@pytest.mark.timeout(600)
def test_number_of_pods_is_handed_over_and_taken_back_and_never_drops(scaled: Scaled) -> None:
    story, load = scaled.story, scaled.load
    load.metrics[WAITING] = 6
    first = serve(story, 1, replicas=3)
    assert scaled.owners(first) == {OPERATOR}

    # On: as long as the autoscaler sets nothing, the operator keeps the number where it is, through a restart, too.
    automatic = {"replicas": None, "autoscaling": {"minReplicas": 2, "maxReplicas": 9, **BY_WAITING}}
    story.apply(1, **automatic)
    story.wait_until(lambda: story.kubectl("get", "hpa", "-o", "name"), "the autoscaler is there")
    story.wait_until(scaled.is_active, "the autoscaler reads the metric", seconds=60)
    assert scaled.owners(first) == {OPERATOR}
    story.operator.kill()
    story.operator.start()
    story.wait_until(lambda: story.condition("Ready").get("observedGeneration") == 2, "the operator is back")
    assert scaled.sizes.of(first) == [3]

    # Handed over: the autoscaler has set a number, and the operator applies none.
    load.metrics[WAITING] = 12
    story.wait_until(lambda: scaled.has(first, 6), "twice the load, twice the pods", seconds=60)
    story.wait_until(lambda: scaled.owners(first) == {AUTOSCALER}, "the operator leaves the number alone")
    story.operator.kill()
    story.operator.start()
    story.wait_for(lambda status: status["replicas"] == 6, "the operator is back")
    assert story.condition("Ready")["status"] == "True"
    assert scaled.sizes.of(first) == [3, 6]

    # A successor starts as large, takes the autoscaler over with the traffic, and the standby stays as large as it.
    second = serve(story, 2, **automatic)
    assert scaled.sizes.of(second) == [6]
    assert scaled.autoscaler()["spec"]["scaleTargetRef"]["name"] == second
    load.metrics[WAITING] = 18
    story.wait_until(lambda: scaled.has(second, 9), "more load", seconds=60)
    story.wait_until(lambda: scaled.has(first, 9), "the standby grows with it")
    assert scaled.owners(second) == {AUTOSCALER}
    assert OPERATOR in scaled.owners(first)

    # A rollback moves the autoscaler back, and what takes the traffic is as large as what gives it away.
    story.count(second, correct=30, wrong=30)
    story.wait_for(lambda status: status["servingRevision"] == first, "the rollback", seconds=60)
    story.wait_until(lambda: story.selected() == first, "the traffic is back")
    story.wait_until(lambda: scaled.autoscaler()["spec"]["scaleTargetRef"]["name"] == first, "the autoscaler follows")
    story.wait_until(scaled.is_active, "the autoscaler reads the metric", seconds=60)
    assert scaled.sizes.of(first) == [3, 6, 9]
    assert scaled.sizes.of(second) == [6, 9]

    # Off: the number is the spec's again.
    story.apply(1, replicas=4)
    story.wait_until(lambda: scaled.has(first, 4), "four pods, as the spec says")
    story.wait_until(lambda: not story.kubectl("get", "hpa", "-o", "name"), "the autoscaler is gone")
    story.wait_until(lambda: OPERATOR in scaled.owners(first), "the operator owns the number")
    assert scaled.sizes.of(first) == [3, 6, 9, 4]
    story.kubectl("scale", "deployment", first, "--replicas=1")
    story.wait_until(lambda: scaled.has(first, 4), "the spec holds against others again")


@pytest.mark.timeout(300)
def test_pods_follow_the_cpu_of_the_serving_container(scaled: Scaled) -> None:
    story, load = scaled.story, scaled.load
    load.millicores = 800
    spec: dict[str, Any] = {
        "replicas": None,
        "autoscaling": {"minReplicas": 2, "maxReplicas": 5, "cpuUtilization": 50},
        "serving": {"resources": {"requests": {"cpu": "500m"}}},
    }
    revision = serve(story, 1, **spec)

    story.wait_until(lambda: scaled.has(revision, 4), "80% of what is requested, and 50% wanted", seconds=90)

    assert scaled.sizes.of(revision)[0] == 2
    assert f"modelops.dev/revision={revision}" in load.asked[-1], "pods of other revisions do not count"


def test_a_number_of_pods_cannot_be_set_beside_autoscaling(scaled: Scaled) -> None:
    story = scaled.story
    story.apply(1, replicas=None, autoscaling={"maxReplicas": 5, **BY_WAITING})
    story.wait_until(lambda: story.kubectl("get", "deployments", "-o", "name"), "it starts")

    with pytest.raises(pytest.fail.Exception, match="give replicas or autoscaling, not both"):
        story.kubectl("scale", "mdep", story.name, "--replicas=3")
    with pytest.raises(pytest.fail.Exception, match="give replicas or autoscaling, not both"):
        story.apply(1, replicas=3, autoscaling={"maxReplicas": 5, **BY_WAITING})


@pytest.mark.timeout(300)
def test_a_model_without_pods_gets_some_when_autoscaling_is_on(scaled: Scaled) -> None:
    """A HorizontalPodAutoscaler leaves a Deployment alone that has none, whoever set it so."""
    story, load = scaled.story, scaled.load
    revision = serve(story, 1, replicas=0)

    story.apply(1, replicas=None, autoscaling={"minReplicas": 2, "maxReplicas": 5, **BY_WAITING})
    story.wait_until(lambda: scaled.has(revision, 2), "as many as there must be")
    story.kubectl("scale", "deployment", revision, "--replicas=0")
    story.wait_until(lambda: scaled.has(revision, 2), "as many as there must be")
    story.wait_until(lambda: story.condition("Autoscaled").get("status") == "False", "no metrics", seconds=60)
    assert WAITING in story.condition("Autoscaled")["message"]
    assert story.condition("Ready")["status"] == "True"
    load.metrics[WAITING] = 4
    story.wait_until(lambda: story.condition("Autoscaled").get("status") == "True", "metrics", seconds=60)


@pytest.mark.timeout(900)
def test_operator_killed_at_every_write_hands_the_number_over_all_the_same(mortal: tuple[Scaled, CrashProxy]) -> None:
    scaled, proxy = mortal
    story, load, patience = scaled.story, scaled.load, 180
    load.metrics[WAITING] = 6
    first = serve(story, 1, replicas=3, seconds=patience)

    automatic = {"replicas": None, "autoscaling": {"minReplicas": 2, "maxReplicas": 9, **BY_WAITING}}
    story.apply(1, **automatic)
    story.wait_until(lambda: story.kubectl("get", "hpa", "-o", "name"), "the autoscaler is there", seconds=patience)
    load.metrics[WAITING] = 12
    story.wait_until(lambda: scaled.has(first, 6), "twice the load, twice the pods", seconds=patience)
    handed_over = "the operator leaves the number alone"
    story.wait_until(lambda: scaled.owners(first) == {AUTOSCALER}, handed_over, seconds=patience)
    second = serve(story, 2, seconds=patience, **automatic)
    target = "the autoscaler has moved"
    story.wait_until(lambda: scaled.autoscaler()["spec"]["scaleTargetRef"]["name"] == second, target, seconds=patience)
    story.count(second, correct=30, wrong=30)
    story.wait_for(lambda status: status["servingRevision"] == first, "the rollback", seconds=patience)
    story.wait_until(
        lambda: scaled.autoscaler()["spec"]["scaleTargetRef"]["name"] == first, "it is back", seconds=patience
    )
    story.apply(2, replicas=7)
    story.wait_until(lambda: scaled.has(first, 7), "as many pods as the spec says", seconds=patience)
    story.wait_until(lambda: not story.kubectl("get", "hpa", "-o", "name"), "it is gone", seconds=patience)

    written = " ".join(proxy.crashes)
    assert "before PATCH" in written
    assert f"after DELETE /apis/autoscaling/v2/namespaces/{story.namespace}/horizontalpodautoscalers/news" in written
    assert scaled.sizes.of(first) == [3, 6, 7]
    assert scaled.sizes.of(second) in ([6], [6, 7]), "it may be gone before the number is the spec's"
