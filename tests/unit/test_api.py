"""The models of the resource: what they accept, refuse and say."""

from __future__ import annotations

from collections import Counter

import pytest
from modeldeployment_operator.api import group
from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.policies import Action
from modeldeployment_operator.api.spec import AccuracyMetric, ModelDeploymentSpec
from modeldeployment_operator.api.status import ModelDeploymentStatus
from pydantic import ValidationError

from tests import golden

LEAST = {"model": {"uri": "http://h/m"}}


@pytest.mark.parametrize("case", golden.valid(), ids=str)
def test_sound_object_is_accepted(case: golden.Case) -> None:
    assert golden.refusals(case) == []


@pytest.mark.parametrize("case", golden.invalid(), ids=str)
def test_flawed_object_is_refused_with_its_reason(case: golden.Case) -> None:
    assert case.models in "\n".join(golden.refusals(case))


def test_every_flawed_case_tells_both_answers() -> None:
    assert [case.title for case in golden.invalid() if not (case.server and case.models)] == []


def test_every_case_of_the_corpus_has_a_title_of_its_own() -> None:
    titles = Counter(case.title for case in golden.valid() + golden.invalid())

    assert [title for title, times in titles.items() if times > 1] == []


def test_absent_fields_have_their_defaults() -> None:
    spec = ModelDeploymentSpec.parse(LEAST | {"accuracy": {"minimum": 0.9}})

    assert spec.replicas is None
    assert spec.policies.degraded.action is Action.ROLL_BACK
    assert seconds(spec.rollback.probation) == 24 * 3600
    assert spec.monitoring.service_monitor.enabled
    assert spec.revision_history_limit == 10
    assert not spec.paused
    assert spec.accuracy is not None
    assert spec.accuracy.metric is AccuracyMetric.ACCURACY
    assert (spec.accuracy.alpha, spec.accuracy.minimum_labels) == (0.01, 30)


def test_a_spec_reads_back_as_it_was_written() -> None:
    everything = next(case for case in golden.valid() if case.title == "everything")

    spec = ModelDeploymentSpec.parse(everything.spec)

    assert spec.model_dump(mode="json", by_alias=True, exclude_unset=True) == everything.spec


def test_opaque_parts_are_handed_on_untouched() -> None:
    toleration = {"key": "gpu", "operator": "Exists", "camelCase": {"and_snake": [1, None, "x"]}}

    spec = ModelDeploymentSpec.parse(LEAST | {"serving": {"tolerations": [toleration]}})

    assert spec.serving.tolerations == [toleration]


def test_models_cannot_be_changed() -> None:
    spec = ModelDeploymentSpec.parse(LEAST)

    with pytest.raises(ValidationError, match="frozen"):
        spec.replicas = 3  # type: ignore[misc]  # what is forbidden is what is tried


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("10s", 10),
        ("1m", 60),
        ("1h30m", 5400),
        ("24h", 86400),
        ("1h0m1s", 3601),
        ("0s", 0),
        ("007s", 7),
        ("1s5ms", 1.005),
    ],
)
def test_durations_come_out_in_seconds(duration: str, expected: float) -> None:
    assert seconds(duration) == expected


@pytest.mark.parametrize("text", ["", "10", "s", "1d", "30m1h", "-1s", "1.5h", "10 s", "10s\n"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="write hours, minutes and seconds as 24h, 1h30m or 10s"):
        seconds(text)


def test_names_leave_room_for_what_is_made_of_them() -> None:
    assert group.NAME_RULE.holds("a" * group.NAME_MAX_LENGTH)
    assert not group.NAME_RULE.holds("a" * (group.NAME_MAX_LENGTH + 1))


@pytest.mark.parametrize("name", ["", "-a", "a-", "1a", "a.b", "A", "a_b", "a\n", "ä"])
def test_names_that_no_service_may_have_are_refused(name: str) -> None:
    assert not group.NAME_RULE.holds(name)


def test_an_empty_status_is_a_status() -> None:
    status = ModelDeploymentStatus.parse({})

    assert status.conditions == []
    assert status.serving_revision is None


def test_a_status_reads_back_as_it_was_written() -> None:
    ready = Condition(
        type=ConditionType.READY,
        status=ConditionStatus.TRUE,
        reason=Reason.SERVING,
        message="2 of 2 pods serve.",
        last_transition_time="2026-01-01T00:00:00Z",
        observed_generation=1,
    )
    status = ModelDeploymentStatus(observed_generation=1, serving_revision="news-1", conditions=[ready])

    written = status.model_dump(mode="json", by_alias=True, exclude_none=True)

    assert written["conditions"][0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    assert ModelDeploymentStatus.parse(written) == status


def test_a_condition_stands_once() -> None:
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }

    with pytest.raises(ValidationError, match="'Ready' stands twice in the list"):
        ModelDeploymentStatus.parse({"conditions": [ready, ready]})


def test_reasons_are_as_kubernetes_wants_them() -> None:
    for reason in Reason:
        assert reason.isalpha()
        assert reason[0].isupper()
