"""Rollouts against a real API server: shares reach the pods, steps end, and what is worse loses its share at once."""

from __future__ import annotations

from typing import Any

import pytest
from model_server import contract

from tests.integration.stories import Story

STEPS = [{"weight": 5, "hold": {"labels": 40}}, {"weight": 50, "hold": {"approval": True}}]
CANARY: dict[str, Any] = {"rollout": {"strategy": "Canary", "steps": STEPS}}
ALONE: contract.Rotation = {"forward_to": None, "share": 1.0, "copy": False}


def begun(story: Story, **spec: Any) -> tuple[str, str]:
    """Serve model 1, and have model 2 at its first step; return the names of their revisions."""
    story.apply(model=1, **spec)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first revision of all serves at once")
    story.wait_until(lambda: story.selected() == first, "the Service selects it")
    story.apply(model=2, **spec)
    second = story.wait_for(lambda status: status.get("rollout", {}).get("revision"), "the rollout begins")
    return first, second


def passes(story: Story, serving: str, candidate: str, share: float, *, copy: bool = False) -> bool:
    """Return whether all pods that serve pass such a share on, and the candidate's answer all they get."""
    target = f"{candidate}.{story.namespace}.svc:{contract.HTTP_PORT}"
    told = [pod.rotation for pod in story.kubelet.of(serving)]
    wanted = {"forward_to": target, "share": share, "copy": copy}
    return told == [wanted] * 2 and all(pod.rotation == ALONE for pod in story.kubelet.of(candidate))


def reasons(status: dict[str, Any]) -> dict[str, str]:
    """Return by revision why it was taken back."""
    return {one["revision"]: one["reason"] for one in status.get("rejections", ())}


def test_a_canary_that_is_promoted(story: Story) -> None:
    first, second = begun(story, **CANARY)
    story.wait_until(lambda: passes(story, first, second, 0.05), "one request in twenty is passed on")
    rollout = story.wait_for(
        lambda status: status["rollout"].get("reached") == 5 and status["rollout"], "so it is told"
    )
    assert (rollout["step"], rollout["steps"], rollout["waitsFor"]) == (1, 2, "40 labels")
    assert story.condition("Ready")["reason"] == "RollingOut"
    assert story.condition("Reconciling")["status"] == "True"
    assert story.selected() == first

    story.count(second, correct=20, wrong=1)
    story.wait_until(lambda: passes(story, first, second, 0.5), "every other request is passed on")
    story.wait_until(lambda: story.condition("Ready")["reason"] == "AwaitingApproval", "its user is waited for")
    assert "kubectl model promote" in story.condition("Ready")["message"]
    assert not story.condition("Reconciling")

    story.kubectl("annotate", "mdep", story.name, f"modelops.dev/promote={second}")
    story.wait_for(lambda status: status["servingRevision"] == second, "it takes the traffic")
    story.wait_until(lambda: story.selected() == second, "the Service selects it")
    assert "rollout" not in story.status()
    assert story.status()["standbyRevision"] == first
    assert {event["message"] for event in story.events() if event["reason"] == "StepStarted"} == {
        f"Step 1 of 2: {second} answers 5% of the requests, until 40 labels",
        f"Step 2 of 2: {second} answers 50% of the requests, until kubectl model promote",
    }


def test_a_canary_that_is_worse_loses_its_share(story: Story) -> None:
    first, second = begun(story, **CANARY)
    story.wait_until(lambda: passes(story, first, second, 0.05), "one request in twenty is passed on")
    story.count(second, correct=5, wrong=30)
    story.wait_for(lambda status: reasons(status) == {second: "Degraded"}, "it is taken back")
    story.wait_until(lambda: all(pod.rotation == ALONE for pod in story.kubelet.of(first)), "it gets no request more")
    story.wait_until(lambda: not story.kubelet.of(second), "its pods end")
    status = story.status()
    assert (status["servingRevision"], story.selected(), status.get("rollout")) == (first, first, None)
    assert story.condition("Stalled")["reason"] == "RolledBack"
    assert story.condition("Available")["status"] == "True"


def test_shadow_sends_copies(story: Story) -> None:
    first, second = begun(story, rollout={"strategy": "Shadow", "hold": {"labels": 40}})
    story.wait_until(lambda: passes(story, first, second, 1.0, copy=True), "copies are sent")
    assert story.status()["rollout"]["weight"] == 0
    story.count(second, correct=20, wrong=0)
    story.wait_for(lambda status: status["servingRevision"] == second, "it takes the traffic")


@pytest.mark.parametrize("verb", ["abort", "another model"])
def test_a_rollout_that_is_ended_by_its_user(story: Story, verb: str) -> None:
    first, second = begun(story, **CANARY)
    story.wait_until(lambda: passes(story, first, second, 0.05), "one request in twenty is passed on")
    if verb == "abort":
        story.kubectl("annotate", "mdep", story.name, f"modelops.dev/abort={second}")
        story.wait_for(lambda status: reasons(status) == {second: "Aborted"}, "it is given up")
    else:
        story.apply(model=1, **CANARY)
    story.wait_until(lambda: all(pod.rotation == ALONE for pod in story.kubelet.of(first)), "it gets no request more")
    story.wait_until(lambda: not story.kubelet.of(second), "its pods end")
    assert story.status()["servingRevision"] == first


def test_an_operator_that_is_killed_in_a_rollout_goes_on_where_it_was(story: Story) -> None:
    first, second = begun(story, **CANARY)
    story.count(second, correct=15, wrong=0)
    began = story.wait_for(lambda status: status["rollout"].get("reached") == 5 and status["rollout"], "it has begun")
    story.operator.kill()
    story.count(second, correct=5, wrong=0)
    story.operator.start()
    story.wait_until(lambda: passes(story, first, second, 0.5), "labels of before and after count together")
    assert story.status()["rollout"]["since"] > began["since"]
