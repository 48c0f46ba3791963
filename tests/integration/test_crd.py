"""What people and tools see of the kind through a real API server."""

from __future__ import annotations

import json

import pytest
from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.status import AccuracyStatus, ModelDeploymentStatus

from tests.integration.conftest import ControlPlane

NEWS = """
apiVersion: modelops.dev/v1alpha1
kind: ModelDeployment
metadata: {name: news}
spec: {model: {uri: "s3://models/news/3"}, replicas: 2}
"""
STATUS = ModelDeploymentStatus(
    observed_generation=1,
    serving_revision="news-5f6d",
    replicas=2,
    ready_replicas=2,
    selector="modelops.dev/revision=news-5f6d",
    accuracy=AccuracyStatus(metric="accuracy", level="0.9", estimate="0.93", labels=120, wrong=8),
    conditions=[
        Condition(
            type=ConditionType.READY,
            status=ConditionStatus.TRUE,
            reason=Reason.SERVING,
            message="2 of 2 pods serve.",
            last_transition_time="2026-01-01T00:00:00Z",
            observed_generation=1,
        )
    ],
)


@pytest.fixture
def news(control_plane: ControlPlane, namespace: str) -> str:
    """Make a ModelDeployment with a status; return its namespace."""
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=NEWS)
    status = STATUS.model_dump(mode="json", by_alias=True, exclude_none=True)
    patch = json.dumps({"status": status})
    control_plane.kubectl("patch", "mdep/news", "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    return namespace


def test_schema_is_structural(control_plane: ControlPlane) -> None:
    document = json.loads(control_plane.kubectl("get", "crd/modeldeployments.modelops.dev", "-o", "json"))

    conditions = {condition["type"]: condition["status"] for condition in document["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


def test_columns(control_plane: ControlPlane, news: str) -> None:
    heads, values = control_plane.kubectl("get", "mdep", "-n", news).splitlines()

    assert heads.split() == ["NAME", "READY", "SERVING", "ACCURACY", "LABELS", "REPLICAS", "AGE"]
    assert values.split()[:6] == ["news", "True", "news-5f6d", "0.93", "120", "2"]


def test_wide_columns(control_plane: ControlPlane, news: str) -> None:
    heads, values = control_plane.kubectl("get", "mdep", "-n", news, "-o", "wide").splitlines()

    assert heads.split()[7:] == ["MODEL", "CANDIDATE", "WEIGHT", "REASON"]
    assert values.split()[7:] == ["s3://models/news/3", "Serving"]  # There is no candidate.


def test_stands_among_all(control_plane: ControlPlane, news: str) -> None:
    assert "modeldeployment.modelops.dev/news" in control_plane.kubectl("get", "all", "-n", news, "-o", "name")


def test_status_is_kept_as_it_was_written(control_plane: ControlPlane, news: str) -> None:
    document = json.loads(control_plane.kubectl("get", "mdep/news", "-n", news, "-o", "json"))

    assert ModelDeploymentStatus.parse(document["status"]) == STATUS


def test_can_be_waited_for(control_plane: ControlPlane, news: str) -> None:
    control_plane.kubectl("wait", "--for=condition=Ready", "mdep/news", "-n", news, "--timeout=5s")


def test_can_be_scaled(control_plane: ControlPlane, news: str) -> None:
    control_plane.kubectl("scale", "mdep/news", "-n", news, "--replicas=5")

    scale = json.loads(control_plane.kubectl("get", "mdep/news", "-n", news, "--subresource=scale", "-o", "json"))
    assert scale["spec"]["replicas"] == 5
    assert scale["status"] == {"replicas": 2, "selector": "modelops.dev/revision=news-5f6d"}


def test_users_read_what_a_field_is_for(control_plane: ControlPlane) -> None:
    explained = control_plane.kubectl("explain", "mdep.spec.accuracy.alpha")

    assert "Chance that a good revision is ever called degraded" in explained
    assert "Default:" in explained


def test_a_user_cannot_write_the_status_with_the_spec(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kubectl("apply", "-n", namespace, "-f", "-", stdin=NEWS + "status: {servingRevision: mine}\n")

    assert control_plane.kubectl("get", "mdep/news", "-n", namespace, "-o", "jsonpath={.status}") == ""
