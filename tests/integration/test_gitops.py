"""What a GitOps tool sees that applies the same manifest again and again: never a difference, whatever is done."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.integration.stories import Story

TRACKING = {
    "labels": {"app.kubernetes.io/instance": "shop", "kustomize.toolkit.fluxcd.io/name": "shop"},
    "annotations": {"argocd.argoproj.io/tracking-id": "shop:modelops.dev/ModelDeployment:test/news"},
}
"""What Argo CD and Flux put on what they apply, to know it again."""
WAYS = {
    "client-side, as Argo CD": ("apply", "-f", "-"),
    "server-side, as Flux": ("apply", "--server-side", "--field-manager=kustomize-controller", "-f", "-"),
}
SYNCS = 3
CHILDREN = "deployments,services,controllerrevisions,poddisruptionbudgets,secrets,modelverdicts"


def manifest(story: Story, model: int) -> dict[str, Any]:
    """Return what stands in Git."""
    steps = [{"weight": 10, "hold": {"labels": 20}}]
    return {
        "apiVersion": "modelops.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": story.name, **TRACKING},
        "spec": {
            "model": {"uri": f"http://store/news-{model}.keras"},
            "replicas": 2,
            "accuracy": {"minimum": 0.9, "sampleInterval": "1s"},
            "rollout": {"strategy": "Canary", "steps": steps},
        },
    }


@contextmanager
def synced(story: Story, way: tuple[str, ...], document: dict[str, Any]) -> Iterator[None]:
    """Apply a document all the time, as a tool does; fail if that ever changes anything but the first time."""
    text, stop, seen = json.dumps(document), threading.Event(), []
    story.kubectl(*way, stdin=text)
    generation = story.resource()["metadata"]["generation"]

    def sync() -> None:
        while not stop.wait(0.2) or len(seen) < SYNCS:
            seen.append(story.kubectl(*way, "-o", "jsonpath={.metadata.generation}", stdin=text))

    thread = threading.Thread(target=sync)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert set(seen) == {str(generation)}, "nothing of the spec was ever changed"
    diff = ("diff", *way[1:])
    assert story.kubectl(*diff, stdin=text) == "", "no difference that a tool would show"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_an_apply_loop_never_sees_a_difference(story: Story, way: tuple[str, ...]) -> None:
    with synced(story, way, manifest(story, 1)):
        first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    with synced(story, way, manifest(story, 2)):
        second = story.wait_for(
            lambda status: status.get("rollout", {}).get("reached") and status["rollout"]["revision"], "a canary"
        )
        story.count(second, correct=10, wrong=0)
        story.wait_for(lambda status: status["servingRevision"] == second, "it is promoted")
        story.count(second, correct=10, wrong=60)
        story.wait_for(lambda status: status["servingRevision"] == first, "it is taken back")
        story.wait_until(lambda: story.condition("Stalled"), "which is told")
        story.kubectl("annotate", "mdep", story.name, "modelops.dev/retry=1")
        story.wait_for(lambda status: status.get("rollout"), "its user has it tried again")
        assert story.resource()["metadata"]["annotations"]["modelops.dev/retry"] == "1", "the sync leaves it"


def test_children_are_not_taken_for_the_tools_own(story: Story) -> None:
    with synced(story, WAYS["server-side, as Flux"], manifest(story, 1)):
        story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    items = json.loads(story.kubectl("get", CHILDREN, "-l", f"modelops.dev/name={story.name}", "-o", "json"))["items"]
    assert items
    for item in items:
        marks = item["metadata"].get("labels", {}) | item["metadata"].get("annotations", {})
        assert not marks.keys() & {*TRACKING["labels"], *TRACKING["annotations"]}, item["kind"]
