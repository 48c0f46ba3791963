"""What the operator tells of a rollback: to Prometheus, and to people on its page."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes import client, config
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster import network
from tests.integration.conftest import ControlPlane
from tests.integration.operator_process import Operator
from tests.integration.pod_stand_ins import Kubelet
from tests.integration.stories import Story


@pytest.fixture
def ports() -> dict[str, int]:
    return network.free_ports(["metrics", "page"])


@pytest.fixture
def open_story(control_plane: ControlPlane, namespace: str, tmp_path: Path, ports: dict[str, int]) -> Iterator[Story]:
    """Run the operator with ports that are known, its page's among them."""
    config.load_kube_config(str(control_plane.kubeconfig))
    settings = {"HTTP_PORT": str(ports["metrics"]), "FLEET_PAGE_PORT": str(ports["page"])}
    with (
        Kubelet(client.ApiClient(), namespace) as kubelet,
        Operator(control_plane.kubeconfig, tmp_path / "operator.log", namespace, **settings) as operator,
    ):
        yield Story(control_plane.in_namespace(namespace), namespace, kubelet, operator)


def read(port: int, path: str = "") -> str:
    """Return what the operator answers; nothing while it does not listen."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def total(port: int, counter: str) -> float | None:
    """Return a counter of the one model that there is; None before it is known."""
    for family in text_string_to_metric_families(read(port, "metrics")):
        for sample in family.samples:
            if sample.name == counter:
                return sample.value
    return None


def test_a_rollback_is_told(open_story: Story, ports: dict[str, int]) -> None:
    story, page = open_story, f"models/{open_story.namespace}/{open_story.name}"
    story.apply(model=1)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    story.apply(model=2)
    second = story.wait_for(
        lambda status: status["servingRevision"] != first and status["servingRevision"], "model 2 serves"
    )
    promotions = "modeldeployment_promotions_total"
    story.wait_until(lambda: total(ports["metrics"], promotions) == 2, "both are counted")
    assert total(ports["metrics"], "modeldeployment_rollbacks_total") == 0

    story.count(second, correct=10, wrong=50)
    story.wait_for(lambda status: status["servingRevision"] == first, "the rollback")
    story.wait_until(lambda: "Rolled back" in read(ports["page"], page), "the page tells of it")
    assert total(ports["metrics"], "modeldeployment_rollbacks_total") == 1
    assert total(ports["metrics"], promotions) == 2
    assert "Cluster last heard at" in read(ports["page"])

    story.operator.kill()
    assert read(ports["page"]) == ""
    story.operator.start()
    story.wait_until(lambda: "Rolled back" in read(ports["page"], page), "the next operator tells of it too")
    serving = f'revision="{first}"'
    story.wait_until(lambda: serving in read(ports["metrics"], "metrics"), "its metrics follow")
    assert total(ports["metrics"], "modeldeployment_rollbacks_total") == 0
