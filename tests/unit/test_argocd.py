"""What Argo CD is given, run by a real Lua: health in every state, and what its actions change."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import lupa.lua51
import pytest
import yaml
from modeldeployment_operator.api import group
from modeldeployment_operator.api.policies import Action, Situation
from modeldeployment_operator.api.rollout import Strategy
from modeldeployment_operator.api.spec import AccuracyMetric
from modeldeployment_operator.api.status import RolloutStatus, SituationStatus, Verdict
from modeldeployment_operator.core.decision import decide
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Asked
from modeldeployment_operator.core.status import document, summarise

from tests.support.observations import ObservationBuilder, ago, an_observation, degraded, healthy

GITOPS = Path(__file__).parents[2] / "manifests/gitops"
HEALTH = (GITOPS / "argocd-health.lua").read_text(encoding="utf-8")
ACTIONS = yaml.safe_load((GITOPS / "argocd-actions.yaml").read_text(encoding="utf-8"))
RETRY = group.RETRY_ANNOTATION

SERVES = an_observation().serving("m-1").ready("m-1").having(selected="m-1")
BESIDE = SERVES.spec(rollout={"strategy": "BlueGreen", "hold": {"approval": True}}).candidate("m-2").ready("m-2")
ROLLED_BACK = an_observation().rejected("m-2").serving("m-1").ready("m-1").asks_for("m-2").having(selected="m-1")


SILENT = Judged(AccuracyMetric.ACCURACY, Verdict.UNAVAILABLE, before=Verdict.HEALTHY)
AT = RolloutStatus(revision="m-2", strategy=Strategy.BLUE_GREEN, since=ago(hours=1))
HELD = BESIDE.remembers(rollout=AT)
DRIFTING = HELD.serving("m-1", serving_since=ago(days=9))
PAUSED = HELD.spec(policies={"sourceDown": {"action": "Pause", "after": "1s"}}).remembers(
    situations=[
        SituationStatus(situation=Situation.SOURCE_DOWN, revision="m-2", since=ago(hours=1), action=Action.PAUSE)
    ]
)


def as_applied(builder: ObservationBuilder, **judged: Judged) -> dict[str, Any]:
    """Return the object as the API server has it after the operator has looked at it."""
    observation = builder.obj()
    known = {name.replace("_", "-"): one for name, one in judged.items()}
    status = document(summarise(observation, known, decide(observation, known)))
    annotations = {group.PAUSED_ANNOTATION: "true"} if observation.asked.paused else {}
    metadata = {"name": "m", "generation": observation.generation, "annotations": annotations}
    return {"metadata": metadata, "spec": builder.document, "status": status}


def run(script: str, obj: dict[str, Any]) -> Any:
    """Run a script as Argo CD does, which embeds Lua 5.1."""
    lua = lupa.lua51.LuaRuntime()
    lua.globals().obj = lua.table_from(obj, recursive=True)
    return plain(lua.execute(script))


def plain(value: Any) -> Any:
    """Return a table as a dictionary."""
    if lupa.lua51.lua_type(value) != "table":
        return value
    return {key: plain(part) for key, part in value.items()}


@pytest.mark.parametrize(
    ("obj", "health"),
    [
        (as_applied(SERVES, m_1=healthy()), "Healthy"),
        (as_applied(SERVES.asks_for("m-2")), "Progressing"),
        (as_applied(BESIDE), "Suspended"),
        (as_applied(SERVES.asks_for("m-2").paused()), "Suspended"),
        (as_applied(SERVES.asks_for("m-2").having(asked=Asked(paused=True))), "Suspended"),
        (as_applied(ROLLED_BACK), "Degraded"),
        (as_applied(HELD, m_1=SILENT), "Progressing"),
        (as_applied(PAUSED, m_1=SILENT), "Suspended"),
        (as_applied(DRIFTING, m_1=degraded(), m_2=degraded()), "Degraded"),
        ({"metadata": {"generation": 1}, "spec": {}}, "Progressing"),
    ],
    ids=[
        "serves",
        "starting",
        "to approve",
        "paused",
        "paused by annotation",
        "rolled back",
        "held",
        "paused by a policy",
        "drift",
        "new",
    ],
)
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
