"""The operator's roles are what it does: nothing that it asks for is missing, and nothing that they allow is unused.

What it does is read from the API server's own log, while an installed operator goes through all that it can come
across. A right for something new shows up here as unused until the scenario has it done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.config import new_client_from_config
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.core.revisions import snapshot_of

from tests.cluster import Shape
from tests.integration import rights
from tests.integration.conftest import ControlPlane, fresh_name
from tests.integration.kustomize import Document, for_all_namespaces, for_one_namespace
from tests.integration.operator_process import Operator
from tests.integration.pod_stand_ins import Kubelet
from tests.integration.rights import Right
from tests.integration.stories import Story
from tests.support import gateway, monitoring_crds
from tests.support.clusters import borrowed

UNUSED_FOR_A_REASON = {
    # An admission plugin asks for it, which is off here: OwnerReferencesPermissionEnforcement.
    ("modeldeployments/finalizers", "update"),
}
NOT_INSTALLED = {"CustomResourceDefinition", "Deployment", "PodDisruptionBudget", "ConfigMap", "Service"}
"""Of the manifests: the operator runs as a process beside the cluster."""
SCALED: dict[str, Any] = {
    "replicas": None,
    "autoscaling": {"maxReplicas": 3, "podMetrics": [{"name": "model_requests_waiting", "averageValue": 2}]},
}
GUARDED: dict[str, Any] = {"serving": {"networkPolicy": {}}}
ROUTED: dict[str, Any] = {"route": {"parentRefs": [{"name": "public"}]}}
UNMONITORED: dict[str, Any] = {
    "monitoring": {"serviceMonitor": {"enabled": False}, "prometheusRule": {"enabled": False}}
}


@dataclass(frozen=True)
class Watched:
    """A cluster of its own, for an operator of all namespaces would take others' models for its own; and its log."""

    plane: ControlPlane
    log: Path


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with borrowed("rights", Shape.CONTROL_PLANE, audit=True) as local:
        plane = ControlPlane(local.kubeconfig, local.kubectl)
        definitions = [*monitoring_crds.manifests("servicemonitors", "prometheusrules"), *gateway.manifests()]
        plane.kubectl("apply", "--server-side", "--force-conflicts", "-k", "crds")
        plane.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(definitions))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield Watched(plane, local.paths.audit_log)


@dataclass(frozen=True)
class Installed:
    """The operator as its manifests install it."""

    documents: list[Document]
    home: str
    account: str
    namespaces: str
    """As its settings name those that it watches."""
    models: str
    """The namespace that has models."""

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.home}:{self.account}"


@pytest.fixture(params=["all namespaces", "one namespace"])
def installed(request: pytest.FixtureRequest, watched: Watched, tmp_path: Path) -> Iterator[Installed]:
    home, models = fresh_name(), fresh_name()
    if request.param == "all namespaces":
        built, namespaces = for_all_namespaces(watched.plane, tmp_path / "built", home), ""
    else:
        built, namespaces = for_one_namespace(watched.plane, tmp_path / "built", home, models), models
    left_out = NOT_INSTALLED | ({"ClusterRole"} if namespaces else set())  # The roles for users are there once.
    documents = [part for part in built if part["kind"] not in left_out]
    (account,) = (part["metadata"]["name"] for part in documents if part["kind"] == "ServiceAccount")
    watched.plane.kubectl("create", "namespace", models)
    text = yaml.safe_dump_all(documents)
    watched.plane.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    yield Installed(documents, home, account, namespaces, models)
    watched.plane.kubectl("delete", "namespace", models, "--wait=false")
    watched.plane.kubectl("delete", "--wait=false", "-f", "-", stdin=text)


@pytest.fixture
def story(watched: Watched, installed: Installed, tmp_path: Path) -> Iterator[Story]:
    """Run the operator as its own ServiceAccount."""
    kubeconfig = watched.plane.kubeconfig_of(installed.home, installed.account, tmp_path / "kubeconfig")
    log, settings = tmp_path / "operator.log", {"WATCH_NAMESPACES": installed.namespaces}
    with (
        Kubelet(new_client_from_config(str(watched.plane.kubeconfig)), installed.models) as kubelet,
        Operator(kubeconfig, log, installed.home, **settings) as operator,
    ):
        yield Story(watched.plane.in_namespace(installed.models), installed.models, kubelet, operator)


def test_each_request_is_allowed_and_each_right_is_used(watched: Watched, installed: Installed, story: Story) -> None:
    try:
        names_that_are_taken(story)
        everything_there_is(story)
        a_change_of_mind(story)
        a_rollback(story)
    finally:  # A right that is missing may have been what it failed of.
        refused = sorted(one for one in rights.requests(watched.log, installed.user) if not one.allowed)
        print("refused:", *refused, sep="\n")
    story.kubectl("delete", "mdep", "--all")
    story.operator.terminate()
    allowed, asked = rights.rights(installed.documents), rights.requests(watched.log, installed.user)

    assert [request for request in sorted(asked) if not request.allowed] == []
    assert [request for request in sorted(asked) if not any(right.covers(request) for right in allowed)] == []
    assert [str(right) for right in sorted(allowed) if not any(right.covers(request) for request in asked)] == [
        str(right) for right in sorted(allowed) if is_excused(right)
    ]


def is_excused(right: Right) -> bool:
    return (right.resource, right.verb) in UNUSED_FOR_A_REASON


def names_that_are_taken(story: Story) -> None:
    """Each kind but those that are asked for in any case has an object of somebody else's in its place."""
    for kind, theirs in {
        "ControllerRevision": {"apiVersion": "apps/v1", "revision": 99, "data": {"theirs": True}},
        "Deployment": {"apiVersion": "apps/v1", "spec": {"replicas": 0, **_pods_of_others()}},
        "PodDisruptionBudget": {"apiVersion": "policy/v1", "spec": {"minAvailable": 3}},
        "HorizontalPodAutoscaler": {"apiVersion": "autoscaling/v2", "spec": _scaling_of_others()},
        "NetworkPolicy": {"apiVersion": "networking.k8s.io/v1", "spec": {"podSelector": {}, "policyTypes": ["Egress"]}},
        "ServiceMonitor": {"apiVersion": "monitoring.coreos.com/v1", "spec": {"selector": {}, "endpoints": []}},
        "HTTPRoute": {"apiVersion": "gateway.networking.k8s.io/v1", "spec": {"parentRefs": [{"name": "theirs"}]}},
    }.items():
        name = f"taken-{kind.lower()}"
        spec: dict[str, Any] = {"model": {"uri": "http://store/m.keras"}, "replicas": 2, **GUARDED, **ROUTED}
        if kind == "HorizontalPodAutoscaler":
            spec = {key: value for key, value in (spec | SCALED).items() if value is not None}
        is_of_a_revision = kind in {"ControllerRevision", "Deployment"}
        there = snapshot_of(name, ModelDeploymentSpec.parse(spec), "any").name if is_of_a_revision else name
        story.kubectl("apply", "-f", "-", stdin=json.dumps({"kind": kind, "metadata": {"name": there}, **theirs}))
        model = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelDeployment", "metadata": {"name": name}}
        story.kubectl("apply", "-f", "-", stdin=json.dumps(model | {"spec": spec}))
        refusal = f"{kind} {story.namespace}/{there} exists and does not belong"
        story.wait_until(
            lambda name=name, refusal=refusal: (
                refusal in story.kubectl("get", "mdep", name, "-o", "jsonpath={.status}")
            ),
            refusal,
        )


def everything_there_is(story: Story) -> None:
    story.apply(1, replicas=2, revisionHistoryLimit=0)
    _wait_ready(story)
    _wait_for(story, "pdb", "servicemonitor", "prometheusrule")
    story.apply(1, revisionHistoryLimit=0, **SCALED, **GUARDED, **ROUTED)
    _wait_for(story, "hpa", "networkpolicy", "httproute")


def a_change_of_mind(story: Story) -> None:
    """All that can be switched off is, and a candidate that never was ready gives way to another."""
    story.apply(1, replicas=1, revisionHistoryLimit=0, **UNMONITORED)
    _wait_gone(story, *(f"{kind}/{story.name}" for kind in ("pdb", "hpa", "networkpolicy", "httproute")))
    _wait_gone(story, *(f"{kind}/{story.name}" for kind in ("servicemonitor", "prometheusrule")))
    held = _revision(story, 2)
    story.kubelet.held.add(held)
    story.apply(2, replicas=1, revisionHistoryLimit=0, **UNMONITORED)
    story.wait_until(lambda: _there(story, f"deployment/{held}"), "the candidate is there")
    story.apply(3, replicas=1, revisionHistoryLimit=0, **UNMONITORED)
    _wait_gone(story, f"deployment/{held}", f"service/{held}", f"controllerrevision/{held}")


def a_rollback(story: Story) -> None:
    bad = _revision(story, 3)
    story.wait_for(lambda status: status.get("servingRevision") == bad, "model 3 serves")
    story.wait_until(lambda: story.kubelet.of(bad), "its pod runs")
    story.count(bad, correct=10, wrong=90)
    story.wait_for(lambda status: status.get("servingRevision") == _revision(story, 1), "the rollback")
    story.wait_until(lambda: "RolledBack" in {event["reason"] for event in story.events()}, "it is told")


def _revision(story: Story, model: int) -> str:
    spec = {"model": {"uri": f"http://store/news-{model}.keras", "labels": ["review", "news"]}}
    return snapshot_of(story.name, ModelDeploymentSpec.parse(spec), "any").name


def _wait_ready(story: Story) -> None:
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready", seconds=60)


def _wait_for(story: Story, *kinds: str) -> None:
    for kind in kinds:
        story.wait_until(lambda kind=kind: _there(story, f"{kind}/{story.name}"), f"there is a {kind}")


def _wait_gone(story: Story, *objects: str) -> None:
    for one in objects:
        story.wait_until(lambda one=one: not _there(story, one), f"{one} is gone")


def _there(story: Story, what: str) -> bool:
    return bool(story.kubectl("get", what, "--ignore-not-found", "-o", "name"))


def _pods_of_others() -> dict[str, Any]:
    labels = {"theirs": "yes"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "theirs", "image": "theirs"}]}}
    return {"selector": {"matchLabels": labels}, "template": template}


def _scaling_of_others() -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"}
    return {"scaleTargetRef": target, "maxReplicas": 9}
