"""The operator's metrics: what statuses say, and what was counted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.policies import Action, Situation
from modeldeployment_operator.api.rollout import Strategy
from modeldeployment_operator.api.status import (
    AccuracyStatus,
    ModelDeploymentStatus,
    RevisionPhase,
    RolloutStatus,
    SituationStatus,
    Verdict,
)
from modeldeployment_operator.api.verdict import Outcome
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.fleet import Model
from modeldeployment_operator.core.observation import Key
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from tests.support.observations import KEY, a_rejection, a_revision
from tests.support.world import World

ACCURACY = AccuracyStatus(
    metric="f1", level="0.9", estimate="0.95", lower="0.9", upper="0.99", labels=200, wrong=10, evidence="0.125"
)
READY = Condition(
    type=ConditionType.READY,
    status=ConditionStatus.TRUE,
    reason=Reason.SERVING,
    message="",
    last_transition_time="2026-01-01T00:00:00Z",
    observed_generation=1,
)


def status(**fields: Any) -> ModelDeploymentStatus:
    serving = a_revision("m-2", RevisionPhase.SERVING, replicas=3, ready_replicas=2, verdict=Verdict.HEALTHY)
    standby = a_revision("m-1", RevisionPhase.STANDBY, replicas=3, ready_replicas=3)
    values: dict[str, Any] = {
        "serving_revision": "m-2",
        "accuracy": ACCURACY,
        "revisions": [serving, standby, a_revision("m-0")],
        "conditions": [READY],
    }
    return ModelDeploymentStatus(**values | fields)


def samples(telemetry: Telemetry, *models: Model) -> dict[str, dict[tuple[str, ...], float]]:
    """Return by metric the values by the labels other than namespace and model, sorted by their names."""
    body, _ = telemetry.exposition(models, "")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name not in {"namespace", "model"}}
            values = tuple(labels[name] for name in sorted(labels))
            found.setdefault(sample.name, {})[values] = sample.value
    return found


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(CollectorRegistry())


def test_a_status_is_told_as_it_is(telemetry: Telemetry) -> None:
    told = samples(telemetry, Model(KEY, status()))

    assert told["modeldeployment_condition"] == {("Serving", "True", "Ready"): 1}
    assert told["modeldeployment_revision_info"] == {("Serving", "m-2"): 1, ("Standby", "m-1"): 1}
    assert told["modeldeployment_replicas"] == {("m-2",): 3, ("m-1",): 3}
    assert told["modeldeployment_ready_replicas"] == {("m-2",): 2, ("m-1",): 3}
    assert told["modeldeployment_traffic_ratio"] == {("m-2",): 1, ("m-1",): 0}
    assert told["modeldeployment_verdict"] == {("m-2", "Healthy"): 1}
    for end, value in {"estimate": 0.95, "lower": 0.9, "upper": 0.99, "level": 0.9}.items():
        assert told[f"modeldeployment_accuracy_{end}"] == {("f1", "m-2"): value}
    assert told["modeldeployment_accuracy_labels"] == {("m-2",): 200}
    assert told["modeldeployment_evidence_ratio"] == {("m-2",): 0.125}


def test_a_revision_that_gave_its_traffic_away_runs_on_for_a_while(telemetry: Telemetry) -> None:
    lingering = a_revision("m-1", RevisionPhase.REJECTED, replicas=2, verdict=Verdict.DEGRADED)
    told = samples(telemetry, Model(KEY, status(revisions=[lingering])))

    assert told["modeldeployment_revision_info"] == {("Rejected", "m-1"): 1}
    assert told["modeldeployment_verdict"] == {("m-1", "Degraded"): 1}


def test_a_revision_that_somebody_else_named_twice_is_told_once(telemetry: Telemetry) -> None:
    twins = [a_revision("m-1", RevisionPhase.SERVING, replicas=replicas) for replicas in (1, 2)]
    body, _ = telemetry.exposition([Model(KEY, status(revisions=twins))], "")

    assert body.count(b"\nmodeldeployment_replicas{") == 1


def test_a_model_that_was_just_made_has_its_counters(telemetry: Telemetry) -> None:
    told = samples(telemetry, Model(KEY, ModelDeploymentStatus()))

    assert told["modeldeployment_rollbacks_total"] == {(): 0}
    assert told["modeldeployment_promotions_total"] == {(): 0}
    assert "modeldeployment_condition" not in told


@pytest.mark.parametrize("text", ["", "many", "nan", "1e999", None])
def test_a_number_that_is_none_is_left_out(telemetry: Telemetry, text: str | None) -> None:
    accuracy = ACCURACY.model_copy(update={"estimate": text})
    told = samples(telemetry, Model(KEY, status(accuracy=accuracy)))

    assert "modeldeployment_accuracy_estimate" not in told
    assert told["modeldeployment_accuracy_level"] == {("f1", "m-2"): 0.9}


def test_switches_are_counted_by_what_they_are(telemetry: Telemetry) -> None:
    telemetry.count(KEY, Decision("m-1", switched=True))
    telemetry.count(KEY, Decision("m-2", switched=True))
    telemetry.count(KEY, Decision("m-1", switched=True, rejection=a_rejection("m-2")))
    told = samples(telemetry, Model(KEY, status()))

    assert told["modeldeployment_promotions_total"] == {(): 2}
    assert told["modeldeployment_rollbacks_total"] == {(): 1}


def test_a_model_that_is_gone_leaves_nothing(telemetry: Telemetry) -> None:
    telemetry.count(KEY, Decision("m-1", switched=True))
    telemetry.forget(KEY)

    assert samples(telemetry, Model(KEY, status()))["modeldeployment_promotions_total"] == {(): 0}
    body, _ = telemetry.exposition([], "")
    assert KEY.namespace.encode() not in body


def test_the_story_of_a_rollback_is_told(telemetry: Telemetry) -> None:
    world = World()
    world.look()
    world.ready["m-1"] = 2
    world.look()
    world.label("m-1", 100, 0)
    world.look()
    world.wish = "m-2"
    world.look()
    world.ready["m-2"] = 2
    world.look()
    before = samples(telemetry, Model(KEY, world.look().status))
    world.label("m-2", 30, 30)
    world.now += timedelta(minutes=1)
    after = samples(telemetry, Model(KEY, world.look().status))

    assert before["modeldeployment_traffic_ratio"] == {("m-2",): 1, ("m-1",): 0}
    assert after["modeldeployment_traffic_ratio"] == {("m-1",): 1, ("m-2",): 0}
    assert after["modeldeployment_verdict"][("m-2", "Degraded")] == 1
    assert ("Degraded", "True", "RolledBack") in after["modeldeployment_condition"]


def test_labels_are_escaped(telemetry: Telemetry) -> None:
    accuracy = ACCURACY.model_copy(update={"metric": 'a"b\\c\nd'})
    told = samples(telemetry, Model(Key("team", "m"), status(accuracy=accuracy)))

    assert told["modeldeployment_accuracy_level"] == {('a"b\\c\nd', "m-2"): 0.9}


def test_times_of_creation_are_not_told(telemetry: Telemetry) -> None:
    telemetry.api_request_seconds.labels("get").observe(0.1)
    body, _ = telemetry.exposition([Model(KEY, status())], "")

    assert b"_created" not in body


def test_every_source_of_labels_begins_at_none(telemetry: Telemetry) -> None:
    assert samples(telemetry)["modeldeployment_sample_failures_total"] == {
        ("Pods",): 0,
        ("Prometheus",): 0,
        ("Query",): 0,
    }


def test_a_rollout_is_told_with_what_is_known_of_both_revisions(telemetry: Telemetry) -> None:
    candidate = a_revision("m-3", RevisionPhase.CANDIDATE, replicas=3, ready_replicas=3)
    rollout = RolloutStatus(
        revision="m-3", strategy=Strategy.CANARY, step=2, steps=3, weight=25, since="2026-01-02T12:00:00.500Z"
    )
    new = ACCURACY.model_copy(update={"estimate": "0.85", "evidence": "0.5"})
    situation = SituationStatus(
        situation=Situation.DRIFT, revision="m-3", since="2026-01-02T12:00:00Z", action=Action.HOLD
    )
    one = status(rollout=rollout, candidate_accuracy=new, situations=[situation])
    one = one.model_copy(update={"revisions": [candidate, *one.revisions]})
    told = samples(telemetry, Model(KEY, one))

    assert told["modeldeployment_rollout_info"] == {("m-3", "Canary"): 1}
    assert (told["modeldeployment_rollout_step"], told["modeldeployment_rollout_steps"]) == (
        {("m-3",): 2},
        {("m-3",): 3},
    )
    assert told["modeldeployment_rollout_weight_ratio"] == {("m-3",): 0.25}
    assert told["modeldeployment_rollout_step_start_time_seconds"] == {("m-3",): 1767355200.5}
    assert told["modeldeployment_situation"] == {("Hold", "m-3", "Drift"): 1}
    assert told["modeldeployment_accuracy_estimate"] == {("f1", "m-2"): 0.95, ("f1", "m-3"): 0.85}
    assert told["modeldeployment_evidence_ratio"] == {("m-2",): 0.125, ("m-3",): 0.5}


def test_what_another_wrote_for_a_time_is_left_out(telemetry: Telemetry) -> None:
    rollout = RolloutStatus(revision="m-3", strategy=Strategy.SHADOW, since="yesterday")
    told = samples(telemetry, Model(KEY, status(rollout=rollout)))

    assert "modeldeployment_rollout_step_start_time_seconds" not in told
    assert told["modeldeployment_rollout_step"] == {("m-3",): 1}


def test_decisions_are_counted_by_their_outcome(telemetry: Telemetry) -> None:
    told = samples(telemetry, Model(KEY, status()))["modeldeployment_decisions_total"]
    assert told == {(outcome.value,): 0 for outcome in Outcome}
    telemetry.count(KEY, Decision("m-1", rejection=a_rejection("m-2"), switched=True), Outcome.ROLLED_BACK)
    telemetry.count(KEY, Decision("m-2", switched=True), None)
    told = samples(telemetry, Model(KEY, status()))["modeldeployment_decisions_total"]
    assert {outcome for outcome, number in told.items() if number} == {("RolledBack",)}
    telemetry.forget(KEY)
    assert not any(samples(telemetry, Model(KEY, status()))["modeldeployment_decisions_total"].values())
