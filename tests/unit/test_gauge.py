"""A gauge against a plain threshold: how long it must be below, and what is said of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from modeldeployment_operator.api.conditions import ConditionType
from modeldeployment_operator.api.status import ModelDeploymentStatus, Verdict
from modeldeployment_operator.api.verdict import ModelVerdictSpec, Outcome
from modeldeployment_operator.cli.seen import Seen
from modeldeployment_operator.cli.text.model import model
from modeldeployment_operator.cli.text.style import Style
from modeldeployment_operator.cli.text.why import why
from modeldeployment_operator.core.decision import decide
from modeldeployment_operator.core.judgement import judge
from modeldeployment_operator.core.observation import Sample
from modeldeployment_operator.core.passing import ANSWERS_ITSELF
from modeldeployment_operator.core.rejection import recall
from modeldeployment_operator.core.resources import build_verdict
from modeldeployment_operator.core.status import document, summarise

from tests.support.observations import NOW, ObservationBuilder, a_sample, ago, an_observation, evidence

QUERY = {"gauge": 'min(quality{namespace="$(namespace)",revision="$(revision)"})', "for": "5m"}
ACCURACY = {"minimum": 0.9, "source": "Query", "query": QUERY}
ONE = an_observation(accuracy=ACCURACY).serving("m-1").ready("m-1").having(selected="m-1")
TWO = ONE.standby("m-1").ready("m-1").serving("m-2").asks_for("m-2").ready("m-2").having(selected="m-2")


def says(**values: float) -> dict[str, Sample]:
    """What the gauge is of each revision."""
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return {name: Sample(name, name, "", 0, 0, 0, 0, 0, ANSWERS_ITSELF, gauge=value) for name, value in named.items()}


class Looks:
    """Looks again and again, and remembers what the status does."""

    def __init__(self, builder: ObservationBuilder) -> None:
        self.builder = builder
        self.minutes = 0.0

    def look(self, samples: dict[str, Sample] | None, *silent: str, after: float = 1) -> ModelDeploymentStatus:
        self.minutes += after
        seen = {"samples": samples, "silence": "no answer", "silent": frozenset(silent)}
        self.last = self.builder.having(now=NOW + timedelta(minutes=self.minutes), **seen).obj()
        self.judged = judge(self.last)
        self.decision = decide(self.last, self.judged)
        status = summarise(self.last, self.judged, self.decision)
        self.builder = self.builder.remembers(
            **{name: getattr(ModelDeploymentStatus.parse(document(status)), name) for name in type(status).model_fields}
        )
        return status

    def verdict(self, revision: str = "m-1") -> Verdict:
        return self.judged[revision].verdict

    def message(self) -> str:
        (told,) = [one for one in self.builder.status.conditions if one.type is ConditionType.ACCURACY_HEALTHY]
        return told.message


def test_it_must_be_below_for_a_while() -> None:
    looks = Looks(ONE)
    looks.look(says(m_1=0.95))
    assert looks.verdict() is Verdict.HEALTHY
    assert (
        "gauge 0.95, should be at least 0.9: a plain threshold on a gauge, without a bound on errors" in looks.message()
    )
    for _ in range(5):
        looks.look(says(m_1=0.85))
        assert looks.verdict() is Verdict.INCONCLUSIVE
    looks.look(says(m_1=0.85))
    assert looks.verdict() is Verdict.DEGRADED
    assert "it goes on serving because there is no good revision to go back to" in looks.message()


def test_at_the_minimum_it_is_good_and_the_time_begins_anew() -> None:
    looks = Looks(ONE)
    for value in (0.85, 0.85, 0.9, 0.85, 0.85, 0.85):
        looks.look(says(m_1=value), after=2)
        assert looks.verdict() is not Verdict.DEGRADED


def test_time_in_which_nothing_is_read_counts_for_nothing() -> None:
    looks = Looks(ONE)
    looks.look(says(m_1=0.85))
    looks.look({}, after=3)
    assert looks.verdict() is Verdict.INCONCLUSIVE, "one look that fails is none"
    looks.look(None, after=9)
    assert looks.verdict() is Verdict.INCONCLUSIVE, "time alone proves nothing"
    looks.look({}, "m-1")
    assert (looks.verdict(), looks.judged["m-1"].known) == (Verdict.UNAVAILABLE, Verdict.DEGRADED)
    looks.look(says(m_1=0.85))
    assert looks.verdict() is Verdict.INCONCLUSIVE, "it begins anew"


def test_an_outage_changes_no_verdict() -> None:
    looks = Looks(ONE)
    looks.look(says(m_1=0.95))
    looks.look({}, "m-1", after=60)
    assert looks.judged["m-1"].known is Verdict.HEALTHY
    looks.look(None, after=60)
    assert looks.verdict() is Verdict.UNAVAILABLE


@pytest.mark.parametrize("changed", [{"minimum": 0.8}, {"query": QUERY | {"gauge": QUERY["gauge"] + " * 1"}}])
def test_another_threshold_or_query_begins_anew(changed: dict[str, Any]) -> None:
    looks = Looks(ONE)
    looks.look(says(m_1=0.7))
    looks.builder = looks.builder.spec(accuracy=ACCURACY | changed)
    looks.look(says(m_1=0.7), after=10)
    assert looks.verdict() is Verdict.INCONCLUSIVE


def test_at_once_if_it_is_asked_for() -> None:
    looks = Looks(ONE.spec(accuracy=ACCURACY | {"query": QUERY | {"for": "0s"}}))
    looks.look(says(m_1=0.85))
    assert looks.verdict() is Verdict.DEGRADED


def test_it_takes_a_revision_back_and_says_what_that_is_worth() -> None:
    looks = Looks(TWO)
    looks.look(says(m_1=0.95, m_2=0.85))
    status = looks.look(says(m_1=0.95, m_2=0.85), after=5)

    assert status.serving_revision == "m-1"
    (rejection,) = status.rejections
    assert (rejection.metric, rejection.level, rejection.estimate, rejection.lower) == ("gauge", "0.9", "0.85", None)
    (ready,) = [one for one in status.conditions if one.type is ConditionType.READY]
    assert "gauge 0.85, should be at least 0.9, below it since 2026-01-02T12:01:00.000Z" in ready.message
    assert "without a bound on errors" in ready.message


def test_its_record_holds_against_as_low_a_threshold() -> None:
    looks = Looks(TWO)
    looks.look(says(m_1=0.95, m_2=0.85))
    looks.look(says(m_1=0.95, m_2=0.85), after=5)
    manifest = build_verdict(looks.last, looks.judged, looks.decision)
    assert manifest is not None
    verdict = ModelVerdictSpec.parse(manifest["spec"])
    assert (verdict.outcome, verdict.metric, verdict.evidence) == (Outcome.ROLLED_BACK, "gauge", None)

    def rejected(accuracy: dict[str, Any]) -> bool:
        again = an_observation(accuracy=accuracy).asks_for("m-2").obj()
        return bool(recall(again, {"v": verdict}).rejections)

    assert rejected(ACCURACY)
    assert rejected(ACCURACY | {"minimum": 0.95})
    assert not rejected(ACCURACY | {"minimum": 0.8})
    assert not rejected({"minimum": 0.9}), "labels were not judged"
    other = QUERY | {"gauge": 'freshness{namespace="$(namespace)",revision="$(revision)"}'}
    assert not rejected(ACCURACY | {"minimum": 0.95, "query": other}), "another gauge says something else"


def test_people_are_told_that_it_is_a_plain_threshold() -> None:
    looks = Looks(TWO)
    looks.look(says(m_1=0.95, m_2=0.85))

    def shown() -> Seen:
        body = {
            "metadata": {"namespace": "team", "name": "m", "uid": "u", "resourceVersion": "1", "generation": 3},
            "spec": looks.builder.document,
            "status": document(looks.builder.status),
        }
        return Seen.of(body)

    one = shown()
    told = "\n".join(model(Style(width=400), one, NOW))
    assert "gauge 0.85, should be at least 0.9, below it since 2026-01-02T12:01:00.000Z: a plain threshold" in told
    assert "labels" not in told
    told = "\n".join(why(Style(width=400), one, one.revision("m-2"), NOW))
    assert "2 (Serving) is Inconclusive: gauge 0.85" in told
    looks.look(says(m_1=0.95, m_2=0.85), after=5)
    one = shown()
    told = "\n".join(why(Style(width=400), one, one.revision("m-2"), NOW))
    assert "without a bound on errors; 1 took over. Nothing is proven against it." in told


def labels(looks: Looks, number: int) -> dict[str, Sample]:
    """What pods count, all of it right."""
    return {pod.uid: a_sample(pod.uid, number, predictions=number) for pod in looks.builder.pods}


def test_what_a_gauge_said_is_no_proof_for_the_labels_that_are_judged_next() -> None:
    looks = Looks(TWO.spec(policies={"degraded": {"action": "Alert"}}))
    looks.look(says(m_1=0.95, m_2=0.4))
    looks.look(says(m_1=0.95, m_2=0.4), after=5)
    assert looks.verdict("m-2") is Verdict.DEGRADED

    looks.builder = looks.builder.spec(accuracy={"minimum": 0.5}, policies={})
    status = looks.look(labels(looks, 1000))
    assert looks.verdict("m-2") is Verdict.INCONCLUSIVE
    assert (status.serving_revision, status.rejections) == ("m-2", [])
    looks.look(labels(looks, 2000))
    assert looks.verdict("m-2") is Verdict.HEALTHY


def test_what_labels_proved_is_no_verdict_once_nothing_was_demanded() -> None:
    worse = ONE.serving("m-1", verdict=Verdict.DEGRADED, evidence=evidence(70, 30), serving_since=ago(days=9))
    looks = Looks(worse.spec(accuracy=None).ready("m-1"))
    looks.look(None)
    looks.builder = looks.builder.spec(accuracy={"minimum": 0.5})
    for number in (1000, 2000):
        looks.look(labels(looks, number))
        assert looks.verdict() is not Verdict.DEGRADED
    assert looks.verdict() is Verdict.HEALTHY


CANARY = {"strategy": "Canary", "steps": [{"weight": 5, "hold": {"healthy": True}}]}
TRIED = an_observation(accuracy=ACCURACY, rollout=CANARY).serving("m-1", serving_since=ago(days=9)).ready("m-1")
TRIED = TRIED.candidate("m-2").ready("m-2").having(selected="m-1")


def test_both_below_is_drift_before_the_second_is_so_for_long() -> None:
    looks = Looks(TRIED)
    looks.look(says(m_1=0.95, m_2=0.95), after=0)
    for one in (0.95, *[0.5] * 5):
        looks.look(says(m_1=one, m_2=0.5))
    assert (looks.verdict("m-1"), looks.verdict("m-2")) == (Verdict.INCONCLUSIVE, Verdict.DEGRADED)
    assert (looks.decision.drift, looks.decision.rejection) == (True, None)


def test_a_gauge_that_is_below_promotes_nothing() -> None:
    looks = Looks(TRIED.spec(accuracy=ACCURACY | {"query": QUERY | {"for": "24h"}}))
    looks.builder = looks.builder.spec(policies={"noLabels": {"action": "Promote", "after": "1h"}})
    for _ in range(30):
        status = looks.look(says(m_1=0.95, m_2=0.4), after=5)
        assert (status.serving_revision, looks.decision.switched) == ("m-1", False)
