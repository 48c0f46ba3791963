"""What the log of a real operator says of whom: every line can be read by a program, if that is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from kubernetes.config import new_client_from_config

from tests.integration.conftest import ControlPlane
from tests.integration.operator_process import Operator
from tests.integration.pod_stand_ins import Kubelet
from tests.integration.stories import Story


@pytest.fixture
def story(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Story]:
    with (
        Kubelet(new_client_from_config(str(control_plane.kubeconfig)), namespace) as kubelet,
        Operator(control_plane.kubeconfig, tmp_path / "operator.log", namespace, LOG_FORMAT="json") as operator,
    ):
        yield Story(control_plane.in_namespace(namespace), namespace, kubelet, operator)


def test_each_line_is_a_document_and_those_about_a_model_name_it_and_the_reconcile(story: Story) -> None:
    story.apply(1, replicas=1)
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready")
    story.kubectl("delete", "mdep", story.name)
    story.operator.terminate()

    lines = [json.loads(line) for line in story.operator.log.read_text(encoding="utf-8").splitlines()]
    told = {line["message"]: line for line in lines}
    promoted, watching = (
        next(line for message, line in told.items() if message.startswith(word)) for word in ("Promoted: ", "watching ")
    )
    assert (promoted["namespace"], promoted["name"], promoted["level"]) == (story.namespace, story.name, "info")
    assert promoted["reconcile_id"]
    assert "name" not in watching
