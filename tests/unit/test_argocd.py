"""What Argo CD is given, run by a real Lua: health in every state, and what its actions change."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from modeldeployment_operator.api import group
from modeldeployment_operator.core.observation import Asked

from tests.support.health_states import BESIDE, PAUSED, ROLLED_BACK, SERVES, SILENT, STATES, as_applied
from tests.support.observations import ObservationBuilder, degraded, healthy
from tests.unit.lua import run

GITOPS = Path(__file__).parents[2] / "manifests/gitops"
HEALTH = (GITOPS / "argocd-health.lua").read_text(encoding="utf-8")
ACTIONS = yaml.safe_load((GITOPS / "argocd-actions.yaml").read_text(encoding="utf-8"))
RETRY = group.RETRY_ANNOTATION


@pytest.mark.parametrize(("obj", "health"), STATES.values(), ids=STATES)
def test_health(obj: dict[str, Any], health: str) -> None:
    told = run(HEALTH, obj)

    assert told["status"] == health
    assert told["message"]


def test_an_older_spec_is_not_healthy() -> None:
    obj = as_applied(SERVES, m_1=healthy())
    obj["metadata"]["generation"] += 1

    assert run(HEALTH, obj)["status"] == "Progressing"


def enabled(obj: dict[str, Any]) -> set[str]:
    return {name for name, action in run(ACTIONS["discovery.lua"], obj).items() if not action["disabled"]}


def test_actions_that_make_sense_are_offered() -> None:
    assert enabled(as_applied(SERVES)) == {"pause"}
    assert enabled(as_applied(BESIDE)) == {"promote", "abort", "pause"}
    assert enabled(as_applied(ROLLED_BACK)) == {"retry", "pause"}
    assert enabled(as_applied(SERVES.having(asked=Asked(paused=True)))) == {"resume"}
    assert {one["name"] for one in ACTIONS["definitions"]} == set(run(ACTIONS["discovery.lua"], as_applied(SERVES)))


@pytest.mark.parametrize(
    ("name", "builder", "asked"),
    [
        ("promote", BESIDE, Asked(promote="m-2")),
        ("abort", BESIDE, Asked(abort="m-2")),
        ("pause", SERVES, Asked(paused=True)),
        ("resume", SERVES.having(asked=Asked(paused=True)), Asked()),
    ],
)
def test_actions_ask_as_kubectl_model_does_and_leave_the_spec_alone(
    name: str, builder: ObservationBuilder, asked: Asked
) -> None:
    before = as_applied(builder)
    after = acted(name, before)

    assert Asked.of(after["metadata"]["annotations"]) == asked
    assert after["spec"] == run("return obj", before)["spec"]


def test_a_retry_is_a_new_value_and_ends_an_abort() -> None:
    before = as_applied(ROLLED_BACK, m_2=degraded())
    before["metadata"]["annotations"] = {group.ABORT_ANNOTATION: "m-2", RETRY: "1"}
    asked = Asked.of(acted("retry", before)["metadata"]["annotations"])

    assert asked.abort is None
    assert asked.retry not in {None, "1"}


def test_a_pause_by_a_policy_is_ended_by_a_new_value() -> None:
    before = as_applied(PAUSED, m_1=SILENT)
    assert "resume" in enabled(before)
    asked = Asked.of(acted("resume", before)["metadata"]["annotations"])

    assert asked.resume is not None
    assert not asked.paused


def acted(name: str, obj: dict[str, Any]) -> dict[str, Any]:
    (script,) = [one["action.lua"] for one in ACTIONS["definitions"] if one["name"] == name]
    return dict(run(script, copy.deepcopy(obj)))
