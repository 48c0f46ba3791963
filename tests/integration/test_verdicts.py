"""ModelVerdicts in a real API server: they outlive what they are about, and cannot be changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.stories import Story


def verdicts(story: Story) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(story.kubectl("get", "modelverdicts", "-o", "json"))["items"]
    return items


def apply(story: Story, name: str, model: dict[str, Any]) -> None:
    """Apply a ModelDeployment of any name and source."""
    kind = {"apiVersion": "modelops.dev/v1alpha1", "kind": "ModelDeployment"}
    spec = {"model": model, "replicas": 2, "accuracy": {"minimum": 0.9, "sampleInterval": "1s"}}
    story.kubectl("apply", "-f", "-", stdin=json.dumps(kind | {"metadata": {"name": name}, "spec": spec}))


def rolled_back(story: Story, second_model: dict[str, Any] | None = None) -> tuple[str, str]:
    """Serve model 1, then model 2, and have that be proven worse; return the names of their revisions."""
    story.apply(model=1)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    if second_model:
        apply(story, story.name, second_model)
    else:
        story.apply(model=2)
    second = story.wait_for(
        lambda status: status["servingRevision"] != first and status["servingRevision"], "model 2 serves"
    )
    story.count(second, correct=10, wrong=50)
    story.wait_for(lambda status: status["servingRevision"] == first, "the rollback")
    return first, second


def test_a_rollback_is_recorded_once_and_for_good(story: Story) -> None:
    first, second = rolled_back(story)

    (verdict,) = verdicts(story)
    spec = verdict["spec"]
    assert (spec["outcome"], spec["revision"], spec["serves"], spec["model"]) == ("RolledBack", second, first, "news")
    assert (spec["evidence"]["right"], spec["evidence"]["wrong"]) == (20, 100)
    assert "ownerReferences" not in verdict["metadata"]

    name = verdict["metadata"]["name"]
    with pytest.raises(pytest.fail.Exception, match="cannot be changed"):
        story.kubectl("patch", "mver", name, "--type=merge", "-p", '{"spec": {"outcome": "Promoted"}}')
    columns = story.kubectl("get", "mver", "--no-headers").split()
    assert columns[:6] == [name, "news", second, "RolledBack", spec["estimate"], spec["level"]]


def test_what_was_proven_worse_does_not_come_back_with_another_object(story: Story) -> None:
    _, second = rolled_back(story)
    (verdict,) = verdicts(story)
    story.kubectl("delete", "mdep", story.name)
    story.wait_until(lambda: not story.kubelet.of(second), "all of it is gone", seconds=60)

    story.apply(model=2)
    story.wait_until(lambda: story.condition("Stalled").get("reason") == "RolledBack", "it is not served again")
    assert story.status().get("servingRevision") is None
    assert verdict["metadata"]["name"] in story.condition("Ready")["message"]
    assert not story.kubelet.of(second)
    assert [one["metadata"]["uid"] for one in verdicts(story)] == [verdict["metadata"]["uid"]]

    story.kubectl("annotate", "mdep", story.name, "modelops.dev/retry=1")
    story.wait_for(lambda status: status.get("servingRevision") == second, "its user lets it in")
    story.wait_until(lambda: len(verdicts(story)) == 2, "that is recorded, too")
    assert "rejections" not in story.status() or story.status()["rejections"] == []
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "it stays")


def test_content_that_was_proven_worse_is_known_by_its_digest(story: Story) -> None:
    digest = "sha256:" + "ab" * 32
    model = {"uri": "http://store/news-2.keras", "labels": ["review", "news"], "digest": digest}
    rolled_back(story, model)
    story.name = "copy"
    apply(story, "copy", model | {"uri": "https://mirror/m"})
    story.wait_until(lambda: story.condition("Stalled").get("reason") == "RolledBack", "it is not served either")


def test_a_verdict_that_is_deleted_is_forgiven_with_the_next_object(story: Story) -> None:
    _, second = rolled_back(story)
    story.kubectl("delete", "mdep", story.name)
    story.wait_until(lambda: not story.kubelet.of(second), "all of it is gone", seconds=60)
    story.kubectl("delete", "mver", "--all")

    story.apply(model=2)
    story.wait_for(lambda status: status.get("servingRevision") == second, "it is served")
