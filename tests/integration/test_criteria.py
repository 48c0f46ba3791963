"""More than one demand on a revision, against a real API server: what proves it worse, and what does not."""

from __future__ import annotations

from typing import Any

from tests.integration.stories import Story
from tests.integration.test_rollout import ALONE, begun, passes

DROP = {"maximumDrop": 0.05, "sampleInterval": "1s"}
HELD = {"labels": 400, "healthy": True}
CANARY: dict[str, Any] = {"rollout": {"strategy": "Canary", "steps": [{"weight": 50, "hold": HELD}]}, "accuracy": DROP}
SHADOW: dict[str, Any] = {"rollout": {"strategy": "Shadow", "hold": HELD}, "accuracy": DROP}


def rejection(story: Story, revision: str) -> dict[str, Any]:
    """Wait until a revision is taken back; return the record."""
    record: dict[str, Any] = story.wait_for(
        lambda status: next((one for one in status.get("rejections", ()) if one["revision"] == revision), None),
        "it is taken back",
    )
    return record


def labelled(status: dict[str, Any], revision: str) -> int:
    """Return how many labels of a revision the status tells of."""
    known = next((one for one in status["revisions"] if one["name"] == revision), {})
    evidence = known.get("evidence", {})
    return int(evidence.get("right", 0) + evidence.get("wrong", 0))


def test_a_canary_that_is_worse_than_who_serves_is_taken_back(story: Story) -> None:
    first, second = begun(story, **CANARY)
    story.wait_until(lambda: passes(story, first, second, 0.5), "every other request is passed on")
    for labels in range(1, 5):
        if story.status().get("rejections"):
            break
        story.count(first, correct=95, wrong=5)
        story.count(second, correct=75, wrong=25)
        story.wait_for(
            lambda status, read=200 * labels: status.get("rejections") or labelled(status, second) >= read,
            "the labels are read",
        )
    record = rejection(story, second)
    assert (record["criterion"], record["reason"]) == ("Concurrent", "Degraded")
    assert float(record["level"]) < 0.91, "what the other one came to, less the drop"
    story.wait_until(lambda: all(pod.rotation == ALONE for pod in story.kubelet.of(first)), "it gets no request more")
    verdicts = story.kubectl("get", "modelverdicts", "-o", "jsonpath={.items[*].spec.message}")
    assert "by what the revision that serves came to over the same time" in verdicts


def test_if_all_become_worse_at_once_the_candidate_is_not_to_blame(story: Story) -> None:
    """Its operator is killed meanwhile, and goes on from what it had written down."""
    first, second = begun(story, **CANARY)
    story.wait_until(lambda: passes(story, first, second, 0.5), "every other request is passed on")
    story.count(first, correct=95, wrong=5)
    story.count(second, correct=95, wrong=5)
    story.wait_for(lambda status: labelled(status, second) == 200, "the labels are read")
    story.operator.kill()
    story.count(first, correct=25, wrong=25)
    story.count(second, correct=25, wrong=25)
    story.operator.start()
    story.wait_for(lambda status: labelled(status, second) == 300, "the labels are read")
    story.count(first, correct=50, wrong=50)
    story.count(second, correct=51, wrong=49)
    story.wait_for(lambda status: status["servingRevision"] == second, "it takes the traffic")
    story.wait_until(lambda: story.selected() == second, "the Service selects it")
    known = next(one for one in story.status()["revisions"] if one["name"] == second)
    assert (known["baseline"]["right"], known["baseline"]["wrong"]) == (340, 160), (
        "where the other one stood in the end"
    )
    assert [one["kind"] for one in known["evidence"]["further"]] == ["Concurrent"]


def test_a_shadow_that_loses_pairs_is_taken_back(story: Story) -> None:
    first, second = begun(story, **SHADOW)
    story.wait_until(lambda: passes(story, first, second, 1.0, copy=True), "copies are sent")
    serving = story.kubelet.of(first)
    for pod in serving:
        pod.pairs = [{"revision": second, "won": 0, "lost": 0, "tied": 1}]
    story.wait_until(lambda: all(pod.readings > 2 for pod in serving), "the pairs are read")
    before = [pod.readings for pod in serving]
    story.wait_until(
        lambda: all(pod.readings > number + 3 for pod, number in zip(serving, before, strict=True)), "and once more"
    )
    story.count(second, correct=70, wrong=30)
    for pod in serving:
        pod.pairs = [{"revision": second, "won": 0, "lost": 30, "tied": 70}]
    record = rejection(story, second)
    assert record["criterion"] == "Paired"
    assert story.status()["servingRevision"] == first


def test_a_slice_that_is_bad_is_enough(story: Story) -> None:
    judged = {
        "accuracy": {"minimum": 0.5, "sliceMinimum": 0.9, "sampleInterval": "1s"},
        "feedback": {"slices": {"field": "channel", "values": ["web", "app"]}},
    }
    first, second = begun(story, **CANARY | judged)
    for pod in story.kubelet.of(second):
        pod.slices = [{"name": "web", "correct": 60, "wrong": 0}, {"name": "app", "correct": 20, "wrong": 20}]
    story.count(second, correct=80, wrong=20)
    record = rejection(story, second)
    assert (record["metric"], record["slice"], record["level"]) == ("accuracy", "app", "0.9000")
    assert (record["labels"], record["wrong"]) == (80, 40)
    assert story.status()["servingRevision"] == first
