"""What Flux is given, evaluated by Flux's own code: it says of every state what Argo CD says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from modeldeployment_operator.api import group

from tests.support.flux import healths
from tests.support.health_states import STATES, as_seen
from tests.support.world import Look
from tests.unit.lua import run
from tests.unit.test_story import Story

GITOPS = Path(__file__).parents[2] / "manifests/gitops"
LUA = (GITOPS / "argocd-health.lua").read_text(encoding="utf-8")
(CHECK,) = yaml.safe_load((GITOPS / "flux-health.yaml").read_text(encoding="utf-8"))["spec"]["healthCheckExprs"]
EXPRESSIONS = {name: CHECK[name] for name in ("inProgress", "failed", "current")}
SAME = {"Healthy": "Current", "Suspended": "Current", "Progressing": "InProgress", "Degraded": "Failed"}
"""Flux has no word for what waits for a person; neither tool is to wait for one."""


def test_it_is_for_these_objects() -> None:
    assert set(CHECK) == {"apiVersion", "kind", *EXPRESSIONS}
    assert (CHECK["apiVersion"], CHECK["kind"]) == (group.API_VERSION, group.KIND)


def test_both_tools_say_the_same_of_every_state() -> None:
    expected = {name: SAME[health] for name, (_, health) in STATES.items() if name != "new"}
    told = healths(EXPRESSIONS, [STATES[name][0] for name in expected])

    assert dict(zip(expected, told, strict=True)) == expected


def test_an_object_without_a_status_is_looked_at_again() -> None:
    """Nothing in CEL asks whether there is one at all: Flux takes the error for no answer yet, and goes on waiting."""
    (told,) = healths(EXPRESSIONS, [STATES["new"][0]])

    assert told.startswith("error: ")
    assert "no such attribute(s): status" in told
    assert healths(EXPRESSIONS, [STATES["new"][0] | {"status": {}}]) == ["InProgress"]


@pytest.mark.parametrize("name", ["serves", "rolled back", "to approve", "paused"])
def test_an_older_spec_is_in_progress(name: str) -> None:
    obj: dict[str, Any] = STATES[name][0]
    newer = obj | {"metadata": obj["metadata"] | {"generation": obj["metadata"]["generation"] + 1}}

    assert healths(EXPRESSIONS, [newer]) == ["InProgress"]
    without = {name: part for name, part in newer["status"].items() if name != "observedGeneration"}
    assert healths(EXPRESSIONS, [newer | {"status": without}]) == ["InProgress"]


def test_both_tools_say_the_same_in_every_story() -> None:
    seen: list[dict[str, Any]] = []

    class Told(Story):
        """Notes every status that is written."""

        def check(self, look: Look) -> None:
            seen.append(as_seen(look.observation, look.status))

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Told,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    by_argo = [SAME[run(LUA, obj)["status"]] for obj in seen]

    assert healths(EXPRESSIONS, seen) == by_argo
    assert set(by_argo) == set(SAME.values())
