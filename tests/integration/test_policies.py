"""Policies against a real API server: each situation is seen, told and acted on, and what was held goes on."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.stories import Story
from tests.integration.test_rollout import ALONE, begun, passes, reasons

SHORT: dict[str, Any] = {
    "strategy": "Canary",
    "steps": [{"weight": 5, "hold": {"labels": 10}}, {"weight": 50, "hold": {"labels": 10_000}}],
}
TIMED: dict[str, Any] = {
    "strategy": "Canary",
    "steps": [{"weight": 5, "hold": {"duration": "4s"}}, {"weight": 50, "hold": {"labels": 10_000}}],
}
LABELS = {"correct": 20, "wrong": 0}
BAD = {"correct": 5, "wrong": 30}
NOT_READY: dict[str, Any] = {"phase": "Pending"}


def attention(story: Story) -> str:
    """Return the reason of what needs attention; empty if nothing does."""
    return str(story.condition("NeedsAttention").get("reason", ""))


def outcomes(story: Story) -> set[tuple[str, str]]:
    """Return what was recorded, by revision."""
    path = "jsonpath={range .items[*]}{.spec.revision} {.spec.outcome} {end}"
    words = story.kubectl("get", "modelverdicts", "-o", path).split()
    return set(zip(words[::2], words[1::2], strict=True))


def reachable(story: Story, *revisions: str, answers: bool) -> None:
    """Have the pods of these revisions answer, or not."""
    for revision in revisions:
        for pod in story.kubelet.of(revision):
            pod.reachable = answers


def resume(story: Story, value: str) -> None:
    story.kubectl("annotate", "--overwrite", "mdep", story.name, f"modelops.dev/resume={value}")


def restart(story: Story) -> None:
    story.operator.kill()
    story.operator.start()


def predict(story: Story, revision: str, number: int = 1) -> None:
    """Have each pod of a revision make so many predictions."""
    for pod in story.kubelet.of(revision):
        pod.unlabelled += number


def test_an_outage_in_the_middle_of_a_canary_changes_nothing(story: Story) -> None:
    first, second = begun(story, rollout=TIMED)
    story.wait_until(lambda: passes(story, first, second, 0.05), "one request in twenty is passed on")
    reachable(story, first, second, answers=False)
    story.wait_until(lambda: attention(story) == "SourceDown", "it is told")
    before = story.status()["rollout"]
    assert (before["step"], before["weight"]) == (1, 5)
    assert story.condition("Ready")["reason"] == "SourceDown"
    assert story.condition("Reconciling")["reason"] == "SourceDown"
    restart(story)
    pods = [*story.kubelet.of(first), *story.kubelet.of(second)]
    readings = [pod.readings for pod in pods]
    story.wait_until(
        lambda: all(pod.readings > before + 5 for pod, before in zip(pods, readings, strict=True)),
        "it looks again and again",
    )
    assert {key: story.status()["rollout"][key] for key in ("step", "weight", "since")} == {
        key: before[key] for key in ("step", "weight", "since")
    }
    assert story.status()["servingRevision"] == story.selected() == first
    reachable(story, first, second, answers=True)
    story.wait_for(lambda status: status["rollout"]["step"] == 2, "it goes on by itself")
    story.wait_until(lambda: attention(story) == "", "and that is told")


def test_a_pause_outlasts_the_outage_and_the_operator(story: Story) -> None:
    policies = {"sourceDown": {"action": "Pause", "after": "1s"}}
    first, second = begun(story, rollout=TIMED, policies=policies)
    story.wait_until(lambda: passes(story, first, second, 0.05), "one request in twenty is passed on")
    reachable(story, first, second, answers=False)
    story.wait_for(lambda status: {one["action"] for one in status.get("situations", ())} == {"Pause"}, "it is paused")
    reachable(story, first, second, answers=True)
    restart(story)
    story.wait_until(lambda: story.condition("AccuracyHealthy")["reason"] == "Inconclusive", "it is read again")
    assert story.condition("Ready")["reason"] == "Paused"
    assert not story.condition("Stalled")
    assert not story.condition("Reconciling")
    assert story.status()["rollout"]["step"] == 1
    resume(story, "1")
    story.wait_for(lambda status: status["rollout"]["step"] == 2, "its user lets it go on")
    assert not story.status().get("situations")


def test_counts_that_cannot_be_hold_a_rollout(story: Story) -> None:
    first, second = begun(story, rollout=SHORT)
    story.wait_until(lambda: passes(story, first, second, 0.05), "one request in twenty is passed on")
    bad = story.kubelet.of(second)[0]
    bad.correct = -1
    story.wait_until(lambda: attention(story) == "InvalidData", "it is told")
    assert bad.name in story.condition("NeedsAttention")["message"]
    story.kubelet.of(second)[1].correct += 40
    story.wait_until(lambda: _labels(story, second) == 40, "counts that can be are judged on")
    assert story.status()["rollout"]["step"] == 1
    bad.correct = 0
    story.wait_for(lambda status: status["rollout"]["step"] == 2, "it goes on by itself")


@pytest.mark.parametrize("action", ["Hold", "RollBack", "Promote"])
def test_no_labels_come(story: Story, action: str) -> None:
    first, second = begun(story, rollout=SHORT, policies={"noLabels": {"action": action, "after": "3s"}})
    story.wait_until(lambda: passes(story, first, second, 0.05), "one request in twenty is passed on")

    def holds(reached: bool) -> bool:
        predict(story, second)
        return reached

    if action == "Hold":
        story.wait_until(lambda: holds(attention(story) == "NoLabels"), "it is told")
        assert story.condition("Stalled")["reason"] == story.condition("Ready")["reason"] == "NoLabels"
        restart(story)
        story.count(second, **LABELS)
        story.wait_for(lambda status: status["rollout"]["step"] == 2, "with labels it goes on by itself")
    elif action == "RollBack":
        story.wait_for(lambda status: holds(reasons(status) == {second: "NoLabels"}), "it is taken back")
        assert outcomes(story) == {(second, "Withdrawn")}
        story.wait_until(
            lambda: all(pod.rotation == ALONE for pod in story.kubelet.of(first)), "it gets no request more"
        )
    else:
        # The second step counts as done soon after.
        story.wait_for(
            lambda status: holds(status.get("rollout", {}).get("step") == 2 or status["servingRevision"] == second),
            "the step counts as done",
        )


@pytest.mark.parametrize("action", ["Hold", "RollBack"])
def test_no_predictions_come(story: Story, action: str) -> None:
    timed = TIMED | {"steps": [{"weight": 5, "hold": {"duration": "20s"}}, TIMED["steps"][1]]}
    first, second = begun(story, rollout=timed, policies={"noTraffic": {"action": action, "after": "4s"}})
    if action == "RollBack":
        story.wait_for(lambda status: reasons(status) == {second: "NoTraffic"}, "it is taken back")
        assert story.status()["servingRevision"] == story.selected() == first
        return
    story.wait_until(lambda: attention(story) == "NoTraffic", "it is told")
    story.operator.kill()
    predict(story, second)
    story.operator.start()
    story.wait_until(lambda: attention(story) == "", "what came meanwhile counts")

    def goes_on(status: dict[str, Any]) -> bool:
        predict(story, second)
        return bool(status["rollout"]["step"] == 2)

    story.wait_for(goes_on, "it goes on by itself")


@pytest.mark.parametrize("action", ["Hold", "Pause"])
def test_a_candidate_that_is_worse_is_left_to_its_user(story: Story, action: str) -> None:
    first, second = begun(story, rollout=SHORT, policies={"degraded": {"action": action}})
    story.count(second, **BAD)
    wanted = "Degraded" if action == "Hold" else "Paused"
    story.wait_until(lambda: story.condition("Ready")["reason"] == wanted, "it is held")
    assert (story.status()["rollout"]["step"], reasons(story.status())) == (1, {})
    if action == "Pause":
        resume(story, "1")
        story.wait_for(lambda status: status["rollout"]["step"] == 2, "its user lets it go on")
    else:
        story.kubectl("annotate", "mdep", story.name, f"modelops.dev/abort={second}")
        story.wait_for(lambda status: reasons(status), "it is given up")
    assert story.status()["servingRevision"] == first


@pytest.mark.parametrize("action", ["Hold", "RollBack"])
def test_both_fall(story: Story, action: str) -> None:
    first, second = begun(story, rollout=SHORT, policies={"drift": {"action": action}}, rollback={"probation": "0s"})
    story.wait_until(lambda: passes(story, first, second, 0.05), "one request in twenty is passed on")
    story.operator.kill()
    story.count(first, **BAD)
    story.count(second, **BAD)
    story.operator.start()
    if action == "Hold":
        story.wait_until(lambda: attention(story) == "Drift", "it is told")
        assert (story.status()["rollout"]["weight"], reasons(story.status())) == (0, {})
        assert story.condition("Stalled")["reason"] == "Drift"
    else:
        story.wait_for(lambda status: reasons(status) == {second: "Drift"}, "it is taken back")
        assert outcomes(story) == {(second, "Withdrawn")}
    story.wait_until(lambda: all(pod.rotation == ALONE for pod in story.kubelet.of(first)), "it gets no request more")
    assert story.status()["servingRevision"] == story.selected() == first


def test_pods_that_do_not_get_ready_in_time(story: Story) -> None:
    deadline = {"progressDeadline": "6s"}
    story.apply(model=1, rollout=deadline)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first revision of all serves at once")
    second = _name_of_next(story, deadline)
    since = story.wait_for(lambda status: status.get("starting", {}).get("since"), "it is remembered since when")
    restart(story)
    story.wait_for(lambda status: reasons(status) == {second: "ProgressDeadlineExceeded"}, "it is given up")
    assert story.status()["rejections"][0]["time"] > since
    message = story.condition("RolledBack")["message"]
    assert "not all ready within 6s" in message
    assert "no node has room for the pod" in message, "what its pods say"
    assert outcomes(story) == {(second, "Withdrawn")}
    story.wait_until(lambda: story.kubectl("get", "deployment", second, "--ignore-not-found") == "", "its pods end")
    assert story.status()["servingRevision"] == story.selected() == first

    del story.kubelet.failing[second]
    story.kubectl("annotate", "mdep", story.name, "modelops.dev/retry=1")
    story.wait_for(lambda status: status["servingRevision"] == second, "it is tried again")


def test_the_first_revision_is_never_given_up(story: Story) -> None:
    first = _name_of_next(story, {"progressDeadline": "2s"})
    story.wait_until(
        lambda: "within 2s" in story.condition("Stalled").get("message", ""), "its user is told that it takes too long"
    )
    assert reasons(story.status()) == {}
    del story.kubelet.failing[first]
    story.kubectl("delete", "pods", "--all", "--wait=false")
    story.wait_for(lambda status: status.get("servingRevision") == first, "it serves in the end")


def _name_of_next(story: Story, rollout: dict[str, Any]) -> str:
    """Apply a model whose pods do not come up; return the name of its revision."""
    story.kubelet.failing_all = NOT_READY
    story.apply(model=2, rollout=rollout)
    name = str(story.wait_for(lambda status: status.get("candidateRevision"), "it begins to start"))
    story.kubelet.failing[name], story.kubelet.failing_all = NOT_READY, None
    return name


def _labels(story: Story, revision: str) -> int:
    for one in story.status()["revisions"]:
        if one["name"] == revision and one.get("evidence"):
            return int(one["evidence"].get("right", 0) + one["evidence"].get("wrong", 0))
    return 0
