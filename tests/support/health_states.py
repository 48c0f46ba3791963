"""ModelDeployments in every state that GitOps tools tell apart."""

from __future__ import annotations

from typing import Any

from modeldeployment_operator.api import group
from modeldeployment_operator.api.policies import Action, Situation
from modeldeployment_operator.api.rollout import Strategy
from modeldeployment_operator.api.spec import AccuracyMetric
from modeldeployment_operator.api.status import ModelDeploymentStatus, RolloutStatus, SituationStatus, Verdict
from modeldeployment_operator.core.decision import decide
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Asked, Observation
from modeldeployment_operator.core.status import document, summarise

from tests.support.observations import ObservationBuilder, ago, an_observation, degraded, healthy

SERVES = an_observation().serving("m-1").ready("m-1").having(selected="m-1")
BESIDE = SERVES.spec(rollout={"strategy": "BlueGreen", "hold": {"approval": True}}).candidate("m-2").ready("m-2")
ROLLED_BACK = an_observation().rejected("m-2").serving("m-1").ready("m-1").asks_for("m-2").having(selected="m-1")


SILENT = Judged(AccuracyMetric.ACCURACY, Verdict.UNAVAILABLE, before=Verdict.HEALTHY)
AT = RolloutStatus(revision="m-2", strategy=Strategy.BLUE_GREEN, since=ago(hours=1))
HELD = BESIDE.remembers(rollout=AT).having(silence="nobody answers")
DRIFTING = HELD.serving("m-1", serving_since=ago(days=9))
PAUSED = HELD.spec(policies={"sourceDown": {"action": "Pause", "after": "1s"}}).remembers(
    situations=[
        SituationStatus(situation=Situation.SOURCE_DOWN, revision="m-2", since=ago(hours=1), action=Action.PAUSE)
    ]
)


NEW: dict[str, Any] = {"metadata": {"generation": 1}, "spec": {}}


def as_applied(builder: ObservationBuilder, **judged: Judged) -> dict[str, Any]:
    """Return the object as the API server has it after the operator has looked at it."""
    observation = builder.obj()
    known = {name.replace("_", "-"): one for name, one in judged.items()}
    return as_seen(observation, summarise(observation, known, decide(observation, known)))


def as_seen(observation: Observation, status: ModelDeploymentStatus) -> dict[str, Any]:
    """Return the object as the API server has it with a status."""
    annotations = {group.PAUSED_ANNOTATION: "true"} if observation.asked.paused else {}
    return {
        "apiVersion": group.API_VERSION,
        "kind": group.KIND,
        "metadata": {"name": "m", "generation": observation.generation, "annotations": annotations},
        "spec": observation.spec.model_dump(mode="json", by_alias=True, exclude_unset=True),
        "status": document(status),
    }


STATES: dict[str, tuple[dict[str, Any], str]] = {
    "serves": (as_applied(SERVES, m_1=healthy()), "Healthy"),
    "starting": (as_applied(SERVES.asks_for("m-2")), "Progressing"),
    "to approve": (as_applied(BESIDE), "Suspended"),
    "paused": (as_applied(SERVES.asks_for("m-2").paused()), "Suspended"),
    "paused by annotation": (as_applied(SERVES.asks_for("m-2").having(asked=Asked(paused=True))), "Suspended"),
    "rolled back": (as_applied(ROLLED_BACK), "Degraded"),
    "held": (as_applied(HELD, m_1=SILENT), "Progressing"),
    "paused by a policy": (as_applied(PAUSED, m_1=SILENT), "Suspended"),
    "drift": (as_applied(DRIFTING, m_1=degraded(), m_2=degraded()), "Degraded"),
    "new": ({"apiVersion": group.API_VERSION, "kind": group.KIND, **NEW}, "Progressing"),
}
"""By what is so: the object, and what Argo CD calls its health."""
