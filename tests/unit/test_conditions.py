"""What the conditions say, in the shape that kstatus reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.status import Verdict
from modeldeployment_operator.core.claims import View
from modeldeployment_operator.core.conditions import conditions
from modeldeployment_operator.core.decision import decide
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.kinds import OPTIONAL, PROMETHEUS_RULE, SERVICE_MONITOR, Kind
from modeldeployment_operator.core.observation import Asked, Problem
from modeldeployment_operator.core.text import timestamp

from tests.support.observations import NOW, ObservationBuilder, an_observation, degraded, healthy, inconclusive

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN
NEW = an_observation()
SERVES = NEW.serving("m-1").ready("m-1").having(selected="m-1")
STARTING = SERVES.asks_for("m-2").candidate("m-2").starting("m-2")
PROBATION = NEW.standby("m-1").ready("m-1").serving("m-2").ready("m-2").asks_for("m-2").having(selected="m-2")
ROLLED_BACK = NEW.rejected("m-2").serving("m-1").ready("m-1").asks_for("m-2").having(selected="m-1")
PULL = Problem(Reason.IMAGE_PULL_FAILED, "image x cannot be pulled")
REFUSED = Problem(Reason.APPLY_REFUSED, "the cluster refuses what the spec asks for: no")


def told(
    builder: ObservationBuilder,
    judged: Judged | None = None,
    problem: Problem | None = None,
    monitoring: Mapping[Kind, Problem] | None = None,
) -> dict[ConditionType, Condition]:
    observation = builder.obj()
    serving = observation.status.serving_revision
    decision = decide(observation, {serving: judged} if serving and judged else {})
    return {one.type: one for one in conditions(View(observation, decision, judged, problem, monitoring))}


@pytest.mark.parametrize(
    ("builder", "problem", "ready", "reason", "progress", "words"),
    [
        pytest.param(SERVES, None, TRUE, Reason.SERVING, None, "m-1 serves with 2 pods", id="serves"),
        pytest.param(
            SERVES.spec(replicas=0).ready("m-1", 0, of=0),
            None,
            TRUE,
            Reason.SCALED_TO_ZERO,
            None,
            "0 pods",
            id="scaled to zero",
        ),
        pytest.param(NEW, None, FALSE, Reason.STARTING, ConditionType.RECONCILING, "m-1 is starting", id="new"),
        pytest.param(
            STARTING,
            None,
            FALSE,
            Reason.STARTING,
            ConditionType.RECONCILING,
            "m-2 is starting; m-1 goes on serving",
            id="a candidate starts",
        ),
        pytest.param(
            SERVES.ready("m-1", 1), None, FALSE, Reason.SCALING, ConditionType.RECONCILING, "1 of 2 pods", id="scaling"
        ),
        pytest.param(
            SERVES.ready("m-1", settled=False),
            None,
            FALSE,
            Reason.SCALING,
            ConditionType.RECONCILING,
            "2 of 2 pods",
            id="rolling",
        ),
        pytest.param(
            SERVES.having(selected="m-0"),
            None,
            FALSE,
            Reason.SWITCHING,
            ConditionType.RECONCILING,
            "moving to m-1",
            id="switching",
        ),
        pytest.param(
            STARTING.failing("m-2", PULL),
            None,
            FALSE,
            Reason.IMAGE_PULL_FAILED,
            ConditionType.STALLED,
            "image x cannot be pulled; m-1 goes on serving",
            id="a candidate fails",
        ),
        pytest.param(
            SERVES.failing("m-1", PULL),
            None,
            FALSE,
            Reason.IMAGE_PULL_FAILED,
            ConditionType.STALLED,
            "image",
            id="fails",
        ),
        pytest.param(SERVES.failing("m-1", PULL).ready("m-1"), None, TRUE, Reason.SERVING, None, "serves", id="mended"),
        pytest.param(
            ROLLED_BACK.failing("m-2", PULL),
            None,
            FALSE,
            Reason.ROLLED_BACK,
            ConditionType.STALLED,
            "m-1 serves. Apply another model, or to try this one again: kubectl annotate -n team mdep m "
            "modelops.dev/retry=$(date +%s) --overwrite",
            id="rolled back",
        ),
        pytest.param(
            SERVES.asks_for("m-2").paused(), None, FALSE, Reason.PAUSED, None, "set spec.paused to false", id="paused"
        ),
        pytest.param(SERVES, REFUSED, FALSE, Reason.APPLY_REFUSED, ConditionType.STALLED, "refuses", id="refused"),
    ],
)
def test_ready_and_what_it_is_on_its_way_to(
    builder: ObservationBuilder,
    problem: Problem | None,
    ready: ConditionStatus,
    reason: Reason,
    progress: ConditionType | None,
    words: str,
) -> None:
    all_told = told(builder, problem=problem)
    summary = all_told[ConditionType.READY]

    assert (summary.status, summary.reason) == (ready, reason)
    assert words in summary.message
    assert all_told.keys() & {ConditionType.RECONCILING, ConditionType.STALLED} == ({progress} if progress else set())
    if progress:
        assert (all_told[progress].status, all_told[progress].reason) == (TRUE, reason)
        assert all_told[progress].message == summary.message
    assert all(one.observed_generation == 3 for one in all_told.values())


@pytest.mark.parametrize(
    ("builder", "status", "reason"),
    [
        (SERVES, TRUE, Reason.SERVING),
        (SERVES.ready("m-1", 1), TRUE, Reason.SERVING),
        (SERVES.ready("m-1", 0), FALSE, Reason.NO_READY_PODS),
        (SERVES.spec(replicas=0).ready("m-1", 0, of=0), FALSE, Reason.SCALED_TO_ZERO),
        (NEW, FALSE, Reason.STARTING),
        (ROLLED_BACK, TRUE, Reason.SERVING),
        (PROBATION.having(selected="m-1").ready("m-2", 0), TRUE, Reason.SERVING),
    ],
)
def test_available_is_what_clients_see(builder: ObservationBuilder, status: ConditionStatus, reason: Reason) -> None:
    available = told(builder)[ConditionType.AVAILABLE]

    assert (available.status, available.reason) == (status, reason)


SILENT = SERVES.having(silence="no route to its pods")
UNAVAILABLE = replace(healthy(), verdict=Verdict.UNAVAILABLE, before=Verdict.HEALTHY)
NOTHING_YET = replace(UNAVAILABLE, level=None, state=None)
NO_LEVEL = replace(inconclusive(), level=None, state=None)
PENDING = replace(inconclusive(), level=None)
NO_LABELS = replace(inconclusive(), state=None)


@pytest.mark.parametrize(
    ("builder", "judged", "status", "reason", "words"),
    [
        pytest.param(SERVES.spec(accuracy=None), None, UNKNOWN, Reason.NOT_JUDGED, "is not set", id="off"),
        pytest.param(SERVES, None, UNKNOWN, Reason.INCONCLUSIVE, "nothing to judge yet", id="nothing"),
        pytest.param(SERVES, NO_LEVEL, UNKNOWN, Reason.NO_BASELINE, "set spec.accuracy.minimum", id="no level"),
        pytest.param(SERVES, PENDING, UNKNOWN, Reason.INCONCLUSIVE, "when the labels are read next", id="another test"),
        pytest.param(SILENT, UNAVAILABLE, UNKNOWN, Reason.SAMPLES_UNAVAILABLE, "no route", id="unavailable"),
        pytest.param(SILENT, NOTHING_YET, UNKNOWN, Reason.SAMPLES_UNAVAILABLE, "no route", id="never available"),
        pytest.param(SERVES, NO_LABELS, UNKNOWN, Reason.INCONCLUSIVE, "should be at least 0.9", id="no labels"),
        pytest.param(SERVES, inconclusive(), UNKNOWN, Reason.INCONCLUSIVE, "needs 30 labels", id="few labels"),
        pytest.param(
            SERVES, inconclusive(85, 15), UNKNOWN, Reason.INCONCLUSIVE, "no proof either way", id="no proof either way"
        ),
        pytest.param(SERVES, healthy(), TRUE, Reason.HEALTHY, "accuracy 0.9800 [", id="healthy"),
        pytest.param(SERVES, healthy(9_800, 200), TRUE, Reason.HEALTHY, "from 10,000 labels", id="many labels"),
        pytest.param(
            SERVES, degraded(), FALSE, Reason.NO_ROLLBACK_TARGET, "apply a better model, or ask whether", id="no target"
        ),
        pytest.param(
            PROBATION.spec(policies={"degraded": {"action": "Hold"}}),
            degraded(),
            FALSE,
            Reason.ROLLBACK_DISABLED,
            "because spec.policies.degraded.action is Hold",
            id="rollback disabled",
        ),
        pytest.param(PROBATION.paused(), degraded(), FALSE, Reason.PAUSED, "because spec.paused is true", id="paused"),
        pytest.param(
            PROBATION.ready("m-1", 0),
            degraded(),
            FALSE,
            Reason.DEGRADED,
            "m-1 is being started to take the traffic back",
            id="returning",
        ),
    ],
)
def test_what_the_labels_say(
    builder: ObservationBuilder, judged: Judged | None, status: ConditionStatus, reason: Reason, words: str
) -> None:
    accuracy = told(builder, judged)[ConditionType.ACCURACY_HEALTHY]

    assert (accuracy.status, accuracy.reason) == (status, reason)
    assert words in accuracy.message


KNOWN = SERVES.having(knows=frozenset(OPTIONAL))
NO_MONITOR = KNOWN.spec(monitoring={"serviceMonitor": {"enabled": False}})
NO_RULE = KNOWN.spec(monitoring={"prometheusRule": {"enabled": False}})
BAD_RELABELING = Problem(Reason.APPLY_REFUSED, "the cluster refuses ServiceMonitor m: no such action")
UNWRITTEN = Problem(Reason.APPLY_FAILED, "PrometheusRule m could not be written yet")


@pytest.mark.parametrize(
    ("builder", "problems", "status", "reason", "words"),
    [
        pytest.param(
            KNOWN,
            {},
            TRUE,
            Reason.SERVICE_MONITOR_APPLIED,
            ["ServiceMonitor m selects the pods", "PrometheusRule m holds the alerts"],
            id="both",
        ),
        pytest.param(
            SERVES,
            {},
            FALSE,
            Reason.NO_SERVICE_MONITOR_KIND,
            ["no kind ServiceMonitor: install", "no kind PrometheusRule: install"],
            id="no kinds",
        ),
        pytest.param(
            SERVES.having(knows=frozenset({SERVICE_MONITOR})),
            {},
            FALSE,
            Reason.NO_PROMETHEUS_RULE_KIND,
            ["no kind PrometheusRule: install", "ServiceMonitor m selects the pods"],
            id="no rules",
        ),
        pytest.param(
            NO_RULE,
            {},
            TRUE,
            Reason.SERVICE_MONITOR_APPLIED,
            ["ServiceMonitor m selects the pods", "spec.monitoring.prometheusRule.enabled is false"],
            id="no alerts wanted",
        ),
        pytest.param(
            NO_MONITOR,
            {},
            FALSE,
            Reason.SWITCHED_OFF,
            ["spec.monitoring.serviceMonitor.enabled is false", "PrometheusRule m holds the alerts"],
            id="no monitor wanted",
        ),
        pytest.param(
            KNOWN,
            {SERVICE_MONITOR: BAD_RELABELING},
            FALSE,
            Reason.APPLY_REFUSED,
            ["no such action", "PrometheusRule m holds the alerts"],
            id="refused",
        ),
        pytest.param(
            NO_MONITOR,
            {PROMETHEUS_RULE: UNWRITTEN},
            FALSE,
            Reason.APPLY_FAILED,
            ["could not be written yet", "spec.monitoring.serviceMonitor.enabled is false"],
            id="the gravest first",
        ),
    ],
)
def test_monitored(
    builder: ObservationBuilder,
    problems: Mapping[Kind, Problem],
    status: ConditionStatus,
    reason: Reason,
    words: list[str],
) -> None:
    all_told = told(builder, monitoring=problems)
    monitored = all_told[ConditionType.MONITORED]

    assert (monitored.status, monitored.reason) == (status, reason)
    for part, expected in zip(monitored.message.split("; ", 1), words, strict=True):
        assert expected in part
    assert all_told[ConditionType.READY].status is TRUE, "serving never depends on it"


def test_nothing_is_said_of_monitoring_before_it_was_tried() -> None:
    before = told(KNOWN, monitoring={SERVICE_MONITOR: BAD_RELABELING})[ConditionType.MONITORED]

    assert ConditionType.MONITORED not in told(KNOWN)
    assert told(KNOWN.remembers(conditions=[before]))[ConditionType.MONITORED] == before


def test_rolled_back_stands_only_while_it_is_so() -> None:
    assert ConditionType.ROLLED_BACK not in told(SERVES)
    assert ConditionType.ROLLED_BACK not in told(ROLLED_BACK.having(asked=Asked(retry="1"), selected="m-1"))
    condition = told(ROLLED_BACK)[ConditionType.ROLLED_BACK]
    assert (condition.status, condition.reason) == (TRUE, Reason.DEGRADED)
    assert "accuracy 0.7000 [0.6000, 0.8000] from 100 labels, should have been at least 0.9000" in condition.message


def test_a_rollback_says_why_at_once() -> None:
    all_told = told(PROBATION, degraded())

    assert all_told[ConditionType.READY].reason is Reason.ROLLED_BACK
    assert all_told[ConditionType.ROLLED_BACK].status is TRUE


def test_a_time_of_transition_is_kept_until_the_status_changes() -> None:
    before = list(told(STARTING).values())
    later = STARTING.remembers(conditions=before).having(now=NOW.replace(hour=13), selected="m-1")
    failing = told(later.failing("m-2", PULL))

    assert failing[ConditionType.READY].reason is not told(STARTING)[ConditionType.READY].reason
    assert failing[ConditionType.READY].last_transition_time == timestamp(NOW)
    assert failing[ConditionType.STALLED].last_transition_time == timestamp(NOW.replace(hour=13))
    ready = told(later.serving("m-2").ready("m-2").having(selected="m-2", now=NOW.replace(hour=13)))
    assert ready[ConditionType.READY].last_transition_time == timestamp(NOW.replace(hour=13))


def test_a_message_of_any_length_can_be_told() -> None:
    ready = told(SERVES, problem=Problem(Reason.APPLY_REFUSED, "x" * 100_000))[ConditionType.READY]

    assert len(ready.message) == 4096
    assert ready.message.endswith("…")
