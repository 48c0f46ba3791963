"""How long a decline would go unseen, and who is told."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from modeldeployment_operator.api.conditions import ConditionType
from modeldeployment_operator.api.spec import AccuracyMetric
from modeldeployment_operator.core.decision import decide
from modeldeployment_operator.core.detection import detection
from modeldeployment_operator.core.judgement import Judged, Level
from modeldeployment_operator.core.status import summarise

from tests.support.observations import LEVEL, NOW, ObservationBuilder, ago, an_observation, healthy, inconclusive


def serving(hours: float, **rollback: str) -> ObservationBuilder:
    builder = an_observation(**({"rollback": rollback} if rollback else {}))
    return builder.serving("m-1", serving_since=ago(hours=hours)).ready("m-1").having(selected="m-1")


def message(builder: ObservationBuilder, judged: Judged) -> str:
    observation = builder.obj()
    status = summarise(observation, {"m-1": judged}, decide(observation, {"m-1": judged}))
    return next(one.message for one in status.conditions if one.type is ConditionType.ACCURACY_HEALTHY)


def test_a_decline_to_half_as_many_errors_more() -> None:
    found = detection(LEVEL, 400, NOW - timedelta(hours=10), NOW)

    assert found is not None
    assert found.quality == pytest.approx(0.85)
    assert found.per_hour == 40
    assert 300 < found.labels < 700, "figures of the benchmark: 490"
    assert found.seconds == pytest.approx(found.labels / 40 * 3600)


def test_of_f1_it_is_a_value_of_f1() -> None:
    found = detection(Level(AccuracyMetric.F1, 0.9, 0.01), 400, NOW - timedelta(hours=10), NOW)

    assert found is not None
    assert 0.8 < found.quality < 0.9


def test_without_labels_it_is_never_seen() -> None:
    found = detection(LEVEL, 0, NOW - timedelta(hours=10), NOW)

    assert found is not None
    assert found.seconds == math.inf
    assert detection(LEVEL, 5, NOW - timedelta(seconds=30), NOW) is None, "too early"


def test_the_status_tells_of_it() -> None:
    observation = serving(hours=10).obj()
    accuracy = summarise(observation, {"m-1": healthy(392, 8)}, decide(observation, {"m-1": healthy(392, 8)})).accuracy

    assert accuracy is not None
    assert (accuracy.labels_per_hour, accuracy.decline) == ("40", "0.8500")
    assert accuracy.decline_labels is not None
    assert accuracy.decline_within is not None
    assert accuracy.decline_within.endswith("m") or accuracy.decline_within.endswith("h")


def test_a_warning_if_probation_is_over_before() -> None:
    told = message(serving(hours=100), healthy(98, 2))

    assert "at 1 labels an hour a decline to 0.85 would be seen in about" in told
    assert "longer than probation (24h)" in told
    assert "decline" not in message(serving(hours=100, probation="8760h"), healthy(98, 2))
    assert "decline" not in message(serving(hours=1), healthy(98, 2))


def test_a_warning_if_no_label_comes() -> None:
    assert "no label has come yet, and without any nothing can be proven" in message(
        serving(hours=1), inconclusive(0, 0)
    )
    assert "no label has come yet" not in message(serving(hours=0), inconclusive(0, 0)), "it has only just begun"
