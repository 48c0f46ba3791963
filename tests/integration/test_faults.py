"""What goes wrong is told where its user looks, and whatever served before goes on serving."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.core.revisions import snapshot_of

from tests.integration.stories import Story


def failed_init(message: dict[str, str] | str, *, exit_code: int = 1) -> dict[str, Any]:
    """Return the status of a pod whose init container has ended."""
    text = message if isinstance(message, str) else json.dumps(message)
    ended = {"exitCode": exit_code, "reason": "Error", "message": text}
    return _scheduled() | {"initContainerStatuses": [_container("fetch", {"terminated": ended})]}


def waiting(reason: str, message: str) -> dict[str, Any]:
    """Return the status of a pod whose server is kept waiting."""
    state = {"waiting": {"reason": reason, "message": message}}
    return _scheduled() | {"containerStatuses": [_container("server", state)]}


def _scheduled() -> dict[str, Any]:
    return {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True", "reason": None}]}


def _container(name: str, state: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "image": "i", "imageID": "", "ready": False, "restartCount": 1, "state": state}


@pytest.mark.parametrize(
    ("pod_status", "reason", "words"),
    [
        (failed_init({"reason": "DigestMismatch", "message": "it is sha256:aa"}), "DigestMismatch", "sha256:aa"),
        (failed_init({"reason": "FetchFailed", "message": "no such bucket"}), "FetchFailed", "no such bucket"),
        (failed_init("Traceback: boom", exit_code=3), "CrashLoop", "boom"),
        (waiting("ImagePullBackOff", "not found"), "ImagePullFailed", "spec.serving.image"),
    ],
)
def test_pod_that_cannot_start(story: Story, pod_status: dict[str, Any], reason: str, words: str) -> None:
    story.apply(model=1, replicas=1)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    bad = _next_revision(story)
    story.kubelet.failing[bad] = pod_status
    story.apply(model=2, replicas=1)

    story.wait_until(lambda: story.condition("Stalled").get("reason") == reason, f"Stalled with {reason}")

    assert story.condition("Ready")["reason"] == reason
    assert words in story.condition("Ready")["message"]
    assert first in story.condition("Ready")["message"]
    assert story.condition("Available")["status"] == "True"
    assert story.selected() == first
    assert reason in {event["reason"] for event in story.events()}


def test_service_of_somebody_else_is_left_alone(story: Story) -> None:
    story.kubectl("create", "service", "clusterip", story.name, "--tcp=80:80")
    before = story.get("service", story.name)
    story.apply(model=1, replicas=1)
    story.wait_until(lambda: story.condition("Stalled").get("reason") == "ApplyRefused", "Stalled")
    assert f"Service {story.namespace}/{story.name}" in story.condition("Stalled")["message"]
    assert story.get("service", story.name)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]

    story.kubectl("delete", "service", story.name)
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "it goes on by itself", seconds=75)


def test_quota_is_told(story: Story) -> None:
    story.kubectl("create", "quota", "none", "--hard=pods=0")
    story.apply(model=1, replicas=1)
    story.wait_until(lambda: story.condition("Stalled").get("reason") == "PodRefused", "Stalled")
    assert "exceeded quota" in story.condition("Stalled")["message"]


def test_change_by_hand_is_undone(story: Story) -> None:
    story.apply(model=1)
    revision = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    story.kubectl("scale", "deployment", revision, "--replicas=5")
    story.wait_until(lambda: story.get("deployment", revision)["spec"]["replicas"] == 2, "two replicas again")
    story.kubectl("delete", "service", story.name)
    story.wait_until(lambda: story.selected() == revision, "the Service is there again")


def test_record_deleted_by_hand_is_made_again(story: Story) -> None:
    story.apply(model=1)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    story.operator.kill()
    story.kubectl("delete", "controllerrevisions", "--all")
    story.operator.start()
    story.apply(model=2)
    story.wait_for(lambda status: status["servingRevision"] != first, "model 2")
    records = story.kubectl("get", "controllerrevisions", "-o", "name").split()
    assert f"controllerrevision.apps/{first}" in records


def test_silence_is_no_evidence(story: Story) -> None:
    story.apply(model=1)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    story.apply(model=2)
    story.wait_for(lambda status: status["servingRevision"] != first, "model 2")
    second = story.status()["servingRevision"]
    for pod in story.kubelet.of(second):
        pod.reachable = False
    story.wait_until(
        lambda: story.condition("AccuracyHealthy").get("reason") == "SamplesUnavailable", "the silence is told"
    )
    assert story.status()["servingRevision"] == second


def test_the_traffic_waits_for_a_pod_that_answers_itself(story: Story) -> None:
    """Pods that still pass requests on to the bad revision must not get the traffic back."""
    first, second = _second_serves(story, accuracy={"minimum": 0.9, "sampleInterval": "2s"})
    for pod in story.kubelet.of(first):
        pod.reachable = False
    story.count(second, correct=10, wrong=50)
    story.wait_for(lambda status: status["servingRevision"] == first, "the rollback is decided")
    time.sleep(3)
    assert story.selected() == second
    for pod in story.kubelet.of(first):
        pod.reachable = True
    story.wait_until(lambda: story.selected() == first, "the traffic is back", seconds=60)
    assert all(pod.forward_to is None for pod in story.kubelet.of(first))


def test_somebody_elses_condition_does_no_harm(story: Story) -> None:
    first, second = _second_serves(story)
    condition = {
        "type": "BackedUp",
        "status": "True",
        "reason": "Velero",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    patch = json.dumps([{"op": "add", "path": "/status/conditions/-", "value": condition}])
    story.kubectl("patch", "mdep", story.name, "--subresource=status", "--type=json", "-p", patch)
    story.count(second, correct=10, wrong=50)
    story.wait_for(lambda status: status["servingRevision"] == first, "the rollback")


def test_a_deletion_that_is_refused_is_told(story: Story) -> None:
    story.apply(model=1)
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready")
    policy = f"no-deletion-{story.namespace}"
    story.kubectl("apply", "-f", "-", stdin=json.dumps(_no_deletion(policy, story.namespace)))
    try:
        time.sleep(2)  # Until the API server knows of the policy.
        story.apply(model=1, replicas=1)
        story.wait_until(lambda: story.condition("Ready").get("reason") == "ApplyRefused", "the refusal is told")
        assert "nothing is deleted here" in story.condition("Ready")["message"]
        assert story.status()["observedGeneration"] == 2
    finally:
        story.kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", policy)


def test_taking_the_retry_away_is_no_retry(story: Story) -> None:
    first, second = _second_serves(story)
    story.count(second, correct=10, wrong=50)
    story.wait_for(lambda status: status["servingRevision"] == first, "the rollback")
    story.kubectl("annotate", "mdep", story.name, "modelops.dev/retry=1")
    story.wait_for(lambda status: status["servingRevision"] == second, "the second try")
    story.count(second, correct=10, wrong=50)
    story.wait_for(lambda status: status["servingRevision"] == first, "the second rollback")
    story.kubectl("annotate", "mdep", story.name, "modelops.dev/retry-")
    time.sleep(3)
    assert story.status()["servingRevision"] == first


def test_labels_from_before_a_demand_take_nothing_back(story: Story) -> None:
    story.apply(model=1, accuracy=None)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    story.apply(model=2, accuracy=None)
    story.wait_for(lambda status: status["servingRevision"] != first, "model 2")
    second = story.status()["servingRevision"]
    story.count(second, correct=60, wrong=40)
    story.apply(model=2)
    story.wait_for(lambda status: status.get("accuracy"), "it is judged")
    time.sleep(3)
    assert story.status()["servingRevision"] == second
    assert story.status()["accuracy"]["labels"] == 0


def test_a_pause_holds_the_traffic(story: Story) -> None:
    story.apply(model=1)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    story.apply(model=2, paused=True)
    story.wait_until(lambda: story.condition("Ready").get("reason") == "Paused", "Paused")
    assert story.selected() == first
    assert not story.status().get("candidateRevision")
    story.apply(model=2)
    story.wait_for(lambda status: status["servingRevision"] != first, "model 2")


def _second_serves(story: Story, **spec: Any) -> tuple[str, str]:
    """Deploy two models, one after the other; return their revisions."""
    story.apply(model=1, **spec)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    story.apply(model=2, **spec)
    story.wait_for(lambda status: status["servingRevision"] != first, "model 2")
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready")
    story.wait_until(lambda: all(pod.forward_to for pod in story.kubelet.of(first)), "the old pods pass requests on")
    return first, story.status()["servingRevision"]


def _no_deletion(name: str, namespace: str) -> dict[str, Any]:
    """Return a policy that lets nobody delete a PodDisruptionBudget in a namespace, and its binding."""
    kind = "ValidatingAdmissionPolicy"
    what = {"apiGroups": ["policy"], "apiVersions": ["v1"], "resources": ["poddisruptionbudgets"]}
    rule = what | {"operations": ["DELETE"]}
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    policy = {
        "matchConstraints": {"resourceRules": [rule], "namespaceSelector": selector},
        "validations": [{"expression": "false", "message": "nothing is deleted here"}],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    group = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": name}}
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            group | {"kind": kind, "spec": policy},
            group | {"kind": f"{kind}Binding", "spec": binding},
        ],
    }


def _next_revision(story: Story) -> str:
    """Return the name that the revision of model 2 will have: names are made from the spec alone."""
    spec = {"model": {"uri": "http://store/news-2.keras", "labels": ["review", "news"]}}
    return snapshot_of(story.name, ModelDeploymentSpec.parse(spec), "any").name
