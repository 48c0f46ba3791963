"""A model that is judged from Prometheus: taken back by what it scraped, and by nothing that it did not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kubernetes import client, config
from model_server import contract

from tests.integration.conftest import ControlPlane
from tests.integration.operator_process import Operator
from tests.integration.pod_stand_ins import Kubelet
from tests.integration.stories import Story
from tests.support.prometheus_process import PrometheusProcess

QUICK = {"minimum": 0.9, "sampleInterval": "1s", "source": "Prometheus"}
MONITORED = {"serviceMonitor": {"interval": "1s"}}


@dataclass
class Watched:
    """A story and the Prometheus that watches its pods."""

    story: Story
    prometheus: PrometheusProcess
    targets: Path

    def apply(self, model: int, instead_of: str | None = None) -> str:
        """Apply a model and have its pods scraped; return its revision when it serves."""
        self.story.apply(model=model, accuracy=QUICK, monitoring=MONITORED)
        revision: str = self.story.wait_for(
            lambda status: status.get("servingRevision") != instead_of and status.get("servingRevision"), "it serves"
        )
        self.discover()
        return revision

    def discover(self) -> None:
        """Have Prometheus scrape all pods that run, labelled as by their ServiceMonitor."""
        groups = [
            {
                "targets": [f"{pod.ip}:{contract.ADMIN_PORT}"],
                "labels": {
                    "namespace": self.story.namespace,
                    "pod": pod.name,
                    "model": self.story.name,
                    "revision": pod.revision,
                },
            }
            for pod in self.story.kubelet.pods.values()
            if pod.server
        ]
        written = self.targets.with_suffix(".new")
        written.write_text(json.dumps(groups))
        written.replace(self.targets)

    def accuracy(self) -> tuple[str, str]:
        condition = self.story.condition("AccuracyHealthy")
        return condition.get("status", ""), condition.get("reason", "")


@pytest.fixture
def watched(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Watched]:
    """Run the operator with a Prometheus that scrapes every second."""
    config.load_kube_config(str(control_plane.kubeconfig))
    targets = tmp_path / "targets.json"
    targets.write_text("[]")
    job = {"job_name": "pods", "scrape_interval": "1s", "file_sd_configs": [{"files": [str(targets)]}]}
    with (
        PrometheusProcess(tmp_path / "prometheus", {"scrape_configs": [job]}) as prometheus,
        Kubelet(client.ApiClient(), namespace) as kubelet,
        Operator(
            control_plane.kubeconfig, tmp_path / "operator.log", namespace, PROMETHEUS_URL=prometheus.url
        ) as operator,
    ):
        story = Story(control_plane.in_namespace(namespace), namespace, kubelet, operator)
        yield Watched(story, prometheus, targets)


def test_what_prometheus_scraped_takes_a_model_back(watched: Watched) -> None:
    story = watched.story
    first = watched.apply(1)
    story.count(first, correct=48, wrong=2)
    story.wait_for(lambda status: status.get("accuracy", {}).get("labels") == 100, "labels by way of Prometheus")
    assert watched.accuracy() == ("True", "Healthy")
    second = watched.apply(2, instead_of=first)
    story.wait_until(lambda: all(pod.forward_to for pod in story.kubelet.of(first)), "the old pods pass requests on")
    story.count(second, correct=10, wrong=0)
    story.wait_for(lambda status: status["accuracy"]["labels"] == 20, "labels of the new revision")

    watched.prometheus.stop()
    story.wait_until(lambda: watched.accuracy() == ("Unknown", "SamplesUnavailable"), "it is told that none are read")
    message = story.condition("AccuracyHealthy")["message"]
    assert f"Prometheus at {watched.prometheus.url}: it cannot be asked" in message
    story.count(second, correct=20, wrong=30)
    assert story.status()["servingRevision"] == second, "what nobody read takes nothing back"

    watched.prometheus.start()
    story.wait_for(lambda status: status["servingRevision"] == first, "the rollback")
    story.wait_until(lambda: story.selected() == first, "the traffic is back")
    rejection = story.status()["rejections"][0]
    assert rejection["revision"] == second
    assert (rejection["labels"], rejection["wrong"]) in {(60 + 10, 30), (60 * 2, 30 * 2)}, "one pod is scraped first"
    story.wait_until(
        lambda: all(pod.forward_to for pod in story.kubelet.of(second)), "the rejected pods pass requests on"
    )

    story.apply(model=2, accuracy={"minimum": 0.9, "sampleInterval": "1s", "source": "Pods"})
    story.count(first, correct=15, wrong=0)
    story.wait_for(lambda status: status["accuracy"]["labels"] == 130, "the pods are asked, and each label counts once")


def test_without_an_address_it_is_told_at_once(story: Story) -> None:
    story.apply(model=1, accuracy=QUICK)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    story.wait_until(lambda: story.condition("AccuracyHealthy").get("reason") == "SamplesUnavailable", "it is told")

    assert "set PROMETHEUS_URL" in story.condition("AccuracyHealthy")["message"]
    assert story.condition("Ready")["status"] == "True", "it serves all the same"
    story.apply(model=1, accuracy=QUICK | {"source": "Pods"})
    story.count(first, correct=10, wrong=0)
    story.wait_for(lambda status: status.get("accuracy", {}).get("labels") == 20, "the pods are asked")
