"""A model is deployed, followed by a worse one, and taken back: the operator against a real API server."""

from __future__ import annotations

import json

import pytest

from tests.integration.stories import Story


@pytest.fixture
def served(story: Story) -> Story:
    """A story in which the first model serves."""
    story.apply(model=1)
    story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    return story


def test_first_model_serves_when_all_its_pods_are_ready(story: Story) -> None:
    story.apply(model=1)
    revision = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    assert story.condition("Ready")["status"] == "True"
    assert story.selected() == revision
    assert story.get("poddisruptionbudget", story.name)["spec"]["maxUnavailable"] == 1


def test_worse_model_is_taken_back(served: Story) -> None:
    first = served.status()["servingRevision"]
    served.count(first, correct=95, wrong=5)
    served.apply(model=2)
    second = served.wait_for(lambda status: status["servingRevision"] != first and status["servingRevision"], "model 2")
    served.wait_until(lambda: all(pod.forward_to for pod in served.kubelet.of(first)), "the old pods pass requests on")
    before = served.resource()

    served.count(second, correct=30, wrong=30)
    served.wait_for(lambda status: status["servingRevision"] == first, "the rollback")

    assert served.selected() == first
    assert all(pod.forward_to is None for pod in served.kubelet.of(first))
    served.wait_until(
        lambda: all(pod.forward_to == f"{first}.{served.namespace}.svc:8501" for pod in served.kubelet.of(second)),
        "the rejected pods pass requests on",
    )
    after = served.resource()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    rejection = after["status"]["rejections"][0]
    assert (rejection["revision"], rejection["labels"], rejection["wrong"]) == (second, 60 * 2, 30 * 2)
    assert served.condition("Ready")["reason"] == "RolledBack"
    assert served.condition("Stalled")["status"] == "True"
    assert served.condition("Available")["status"] == "True"
    assert "RolledBack" in {event["reason"] for event in served.events()}


def test_no_field_of_the_spec_belongs_to_the_operator(served: Story) -> None:
    managed = json.loads(served.kubectl("get", "mdep", served.name, "-o", "json", "--show-managed-fields"))
    fields = {
        entry["manager"]: set(entry["fieldsV1"])
        for entry in managed["metadata"]["managedFields"]
        if entry["manager"] == "modeldeployment-operator"
    }
    assert fields == {"modeldeployment-operator": {"f:status"}}


def test_rejected_model_stays_away_until_a_retry_is_asked_for(served: Story) -> None:
    first = served.status()["servingRevision"]
    served.apply(model=2)
    second = served.wait_for(lambda status: status["servingRevision"] != first and status["servingRevision"], "model 2")
    served.count(second, correct=10, wrong=50)
    served.wait_for(lambda status: status["servingRevision"] == first, "the rollback")
    served.operator.kill()
    served.operator.start()
    served.apply(model=2, replicas=1)
    served.wait_for(lambda status: status["observedGeneration"] == 3, "the change of replicas")
    assert served.status()["servingRevision"] == first
    assert not served.status().get("candidateRevision")

    served.kubectl("annotate", "mdep", served.name, "modelops.dev/retry=1")

    served.wait_for(lambda status: status["servingRevision"] == second, "the second try")
    served.count(second, correct=1, wrong=1)
    served.wait_for(lambda status: status["accuracy"]["labels"] == 2, "new labels only", seconds=75)
    assert served.status()["servingRevision"] == second


def test_another_model_ends_the_matter(served: Story) -> None:
    first = served.status()["servingRevision"]
    served.apply(model=2)
    second = served.wait_for(lambda status: status["servingRevision"] != first and status["servingRevision"], "model 2")
    served.count(second, correct=10, wrong=50)
    served.wait_for(lambda status: status["servingRevision"] == first, "the rollback")
    served.apply(model=3)
    served.wait_for(lambda status: status["servingRevision"] not in {first, second}, "model 3")
    assert served.condition("Ready")["status"] == "True"
    assert not served.condition("RolledBack")


def test_everything_goes_with_it_while_the_operator_is_down(served: Story) -> None:
    served.operator.kill()
    served.kubectl("delete", "mdep", served.name, "--timeout=10s")
    children = ("controllerrevisions,deployments,services,poddisruptionbudgets,secrets", "--selector=modelops.dev/name")
    # The garbage collector learns of new kinds every 30 seconds.
    served.wait_until(
        lambda: not served.kubectl("get", *children, "-o", "name").strip(), "all children are gone", seconds=60
    )


def test_pods_that_were_told_nothing_are_told_again(served: Story) -> None:
    first = served.status()["servingRevision"]
    served.apply(model=2)
    served.wait_for(lambda status: status["servingRevision"] != first, "model 2")
    old = served.kubelet.of(first)
    served.wait_until(lambda: all(pod.forward_to for pod in old), "the old pods pass requests on")
    old[0].forward_to = None
    served.wait_until(lambda: old[0].forward_to is not None, "a container that was started again is told again")
