"""When to look again."""

from __future__ import annotations

from datetime import timedelta

from modeldeployment_operator.api.status import RevisionPhase
from modeldeployment_operator.core.decision import LINGER, Decision, decide
from modeldeployment_operator.core.schedule import (
    REPAIR_INTERVAL,
    asking_interval,
    next_deadline,
    sampling_interval,
)

from tests.support.observations import NOW, ago, an_observation

SERVES = an_observation().serving("m-1").ready("m-1")
PROBATION = an_observation().standby("m-1").ready("m-1").serving("m-2").ready("m-2").asks_for("m-2")
HOURLY = {"minimum": 0.9, "sampleInterval": "1h"}
FROM_PROMETHEUS = HOURLY | {"source": "Prometheus"}


def test_pods_are_asked_as_often_as_is_wished() -> None:
    assert sampling_interval(SERVES.obj()) == timedelta(seconds=10)
    assert sampling_interval(SERVES.spec(accuracy=HOURLY).obj()) == timedelta(hours=1)
    assert sampling_interval(an_observation().obj()) is None, "there are none"


def test_without_a_judgement_only_the_rotation_is_watched() -> None:
    assert sampling_interval(SERVES.spec(accuracy=None).obj()) is None
    assert sampling_interval(PROBATION.spec(accuracy=None).obj()) == REPAIR_INTERVAL


def test_pods_that_tell_their_labels_tell_of_the_rotation_too() -> None:
    assert sampling_interval(PROBATION.spec(accuracy=HOURLY).obj()) == REPAIR_INTERVAL
    assert asking_interval(PROBATION.spec(accuracy=HOURLY).obj()) is None


def test_where_labels_come_from_prometheus_pods_are_asked_for_the_rotation_alone() -> None:
    both, alone = PROBATION.spec(accuracy=FROM_PROMETHEUS).obj(), SERVES.spec(accuracy=FROM_PROMETHEUS).obj()

    assert (sampling_interval(both), asking_interval(both)) == (timedelta(hours=1), REPAIR_INTERVAL)
    assert (sampling_interval(alone), asking_interval(alone)) == (timedelta(hours=1), None)


def test_probation_ends() -> None:
    observation = PROBATION.obj()

    assert next_deadline(observation, decide(observation, {})) == NOW + timedelta(hours=23)
    assert next_deadline(observation, Decision("m-2")) is None, "no standby, no end"


def test_lingering_ends_before_probation() -> None:
    builder = PROBATION.revision("m-0", RevisionPhase.RETIRED, serving_until=ago(seconds=30))
    observation = builder.obj()

    assert next_deadline(observation, decide(observation, {})) == NOW + timedelta(seconds=60)


def test_lingering_begins_with_the_switch_itself() -> None:
    """The status that will say so is not written yet, and nothing else may wake the operator."""
    observation = SERVES.spec(accuracy=HOURLY).asks_for("m-2").ready("m-2").obj()

    assert next_deadline(observation, decide(observation, {})) == NOW + LINGER


def test_what_is_over_is_no_deadline() -> None:
    builder = PROBATION.serving("m-2", serving_since=ago(days=2))
    observation = builder.revision("m-0", RevisionPhase.RETIRED, serving_until=ago(seconds=91)).obj()

    assert next_deadline(observation, decide(observation, {})) is None
