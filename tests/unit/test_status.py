"""The status: what is told, what is remembered, and what may wait to be written."""

from __future__ import annotations

from dataclasses import replace

import pytest
from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.api.status import (
    Baseline,
    ModelDeploymentStatus,
    Revision,
    RevisionPhase,
    Verdict,
)
from modeldeployment_operator.core.decision import decide
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Asked, Problem
from modeldeployment_operator.core.status import REJECTIONS_KEPT, document, refused, summarise, without_counts

from tests.support.observations import (
    NOW,
    ObservationBuilder,
    a_rejection,
    ago,
    an_observation,
    degraded,
    evidence,
    healthy,
    inconclusive,
)

NEW = an_observation()
SERVES = NEW.serving("m-1").ready("m-1").having(selected="m-1")
SUCCESSOR = SERVES.asks_for("m-2").candidate("m-2").ready("m-2")
PROBATION = NEW.standby("m-1").ready("m-1").serving("m-2").ready("m-2").asks_for("m-2").having(selected="m-2")
ROLLED_BACK = NEW.rejected("m-2").serving("m-1").ready("m-1").asks_for("m-2").having(selected="m-1")


def told(builder: ObservationBuilder, judged: dict[str, Judged] | None = None) -> ModelDeploymentStatus:
    observation = builder.obj()
    status = summarise(observation, judged or {}, decide(observation, judged or {}))
    assert ModelDeploymentStatus.parse(document(status)) == status
    return status


def revision(status: ModelDeploymentStatus, name: str) -> Revision:
    return next(one for one in status.revisions if one.name == name)


def phases(status: ModelDeploymentStatus) -> dict[str, RevisionPhase]:
    return {one.name: one.phase for one in status.revisions}


def test_at_first() -> None:
    status = told(NEW)

    assert (status.serving_revision, status.candidate_revision, status.observed_generation) == (None, "m-1", 3)
    assert (status.endpoint, status.selector, status.accuracy) == (None, None, None)
    assert phases(status) == {"m-1": RevisionPhase.CANDIDATE}


def test_the_endpoint_of_a_model_with_a_certificate() -> None:
    spec = ModelDeploymentSpec.parse({"model": {"uri": "s3://b/m"}, "serving": {"tls": {"secretName": "tls"}}})
    status = told(SERVES.having(spec=spec), {"m-1": healthy()})

    assert status.endpoint == "https://m.team.svc:8501/v1/models/m"


def test_when_it_serves() -> None:
    status = told(SERVES, {"m-1": healthy()})

    assert (status.serving_revision, status.replicas, status.ready_replicas) == ("m-1", 2, 2)
    assert status.selector == "modelops.dev/name=m,modelops.dev/revision=m-1"
    assert status.endpoint == "http://m.team.svc:8501/v1/models/m"
    assert status.accuracy is not None
    assert (status.accuracy.estimate, status.accuracy.labels, status.accuracy.wrong) == ("0.9800", 100, 2)
    assert (status.accuracy.level, status.accuracy.evidence) == ("0.9", "0.000")
    assert revision(status, "m-1").evidence == evidence(98, 2)
    assert revision(status, "m-1").verdict is Verdict.HEALTHY


def test_a_promotion() -> None:
    status = told(SUCCESSOR, {"m-1": healthy(), "m-2": inconclusive()})

    assert phases(status) == {"m-2": RevisionPhase.SERVING, "m-1": RevisionPhase.STANDBY}
    assert revision(status, "m-2").serving_since == ago()
    assert revision(status, "m-2").baseline == Baseline(metric="accuracy", right=98, wrong=2)
    assert revision(status, "m-1").serving_until == ago()
    assert revision(status, "m-1").serving_since == ago(hours=1), "as it was"


def test_a_promotion_is_written_once() -> None:
    first = told(SUCCESSOR)
    later = replace(SUCCESSOR, status=first).having(selected="m-2", now=NOW.replace(minute=1))

    assert revision(told(later), "m-2") == revision(first, "m-2")


@pytest.mark.parametrize("judged", [{}, {"m-1": replace(inconclusive(), state=None)}, {"m-1": inconclusive(0, 0)}])
def test_without_labels_there_is_no_baseline(judged: dict[str, Judged]) -> None:
    assert revision(told(SUCCESSOR, judged), "m-2").baseline is None


def test_a_promotion_after_the_status_was_lost() -> None:
    builder = NEW.ready("m-1").ready("m-2").asks_for("m-2").having(selected="m-1")

    assert revision(told(builder), "m-1").serving_until == ago()


def test_a_rollback() -> None:
    status = told(PROBATION.serving("m-2", baseline=Baseline(metric="accuracy", right=9, wrong=1)), {"m-2": degraded()})

    assert (status.serving_revision, status.standby_revision) == ("m-1", None)
    assert phases(status) == {"m-2": RevisionPhase.REJECTED, "m-1": RevisionPhase.SERVING}
    assert revision(status, "m-1").baseline is None, "it goes on being judged as it was"
    assert revision(status, "m-2").verdict is Verdict.DEGRADED
    assert [one.revision for one in status.rejections] == ["m-2"]


def test_the_latest_rejections_are_kept() -> None:
    many = [a_rejection(f"old-{number}") for number in range(REJECTIONS_KEPT)]
    status = told(PROBATION.remembers(rejections=many), {"m-2": degraded()})

    assert len(status.rejections) == REJECTIONS_KEPT
    assert (status.rejections[0].revision, status.rejections[-1].revision) == ("m-2", f"old-{REJECTIONS_KEPT - 2}")


def test_a_rejected_revision_loses_its_evidence_when_its_pods_go() -> None:
    assert revision(told(ROLLED_BACK, {"m-2": degraded()}), "m-2").evidence is None
    lingers = ROLLED_BACK.revision("m-2", RevisionPhase.REJECTED, serving_until=ago(seconds=5))
    assert revision(told(lingers, {"m-2": degraded()}), "m-2").evidence == degraded().state


@pytest.mark.parametrize("ready", [0, 2])
@pytest.mark.parametrize("before", [RevisionPhase.REJECTED, RevisionPhase.RETIRED])
def test_a_retry_begins_without_what_was_held_against_it(ready: int, before: RevisionPhase) -> None:
    """Whether it has to start or its pods still linger, and whether there was a pause between."""
    builder = ROLLED_BACK.revision("m-2", before, verdict=Verdict.DEGRADED, serving_until=ago(seconds=5))
    status = told(builder.ready("m-2", ready).having(asked=Asked(retry="1")), {"m-1": healthy(), "m-2": degraded()})
    again = revision(status, "m-2")

    assert again.phase is (RevisionPhase.SERVING if ready else RevisionPhase.CANDIDATE)
    assert again.verdict is Verdict.INCONCLUSIVE
    assert again.evidence is not None
    assert (again.evidence.right, again.evidence.wrong) == (0, 0)
    accuracy = next(one for one in status.conditions if one.type is ConditionType.ACCURACY_HEALTHY)
    assert accuracy.status is not ConditionStatus.FALSE


def test_a_retry_of_what_has_no_pods_left_forgets_the_verdict() -> None:
    assert revision(told(ROLLED_BACK.having(asked=Asked(retry="1"))), "m-2").verdict is None


def test_a_revision_that_is_tried_again_is_judged_like_any_other() -> None:
    candidate = ROLLED_BACK.candidate("m-2", evidence=evidence(30, 30)).starting("m-2").having(asked=Asked(retry="1"))

    assert revision(told(candidate, {"m-2": degraded()}), "m-2").verdict is Verdict.DEGRADED


def test_what_serves_after_all_is_no_rejection_any_more() -> None:
    assert told(ROLLED_BACK.ready("m-2").having(asked=Asked(retry="1"))).rejections == []


def test_a_retry_is_no_news_to_other_rejections() -> None:
    status = told(ROLLED_BACK.rejected("m-3").having(asked=Asked(retry="1")))

    assert {one.revision: one.retry for one in status.rejections} == {"m-3": "1", "m-2": None}


def test_revisions_come_the_newest_first_and_the_unknown_candidate_before_all() -> None:
    builder = SERVES.knows("m-0", "m-5").asks_for("m-9")

    assert list(phases(told(builder))) == ["m-9", "m-5", "m-0", "m-1"]


def test_without_a_judgement_an_old_verdict_is_kept_and_its_evidence_is_not() -> None:
    status = told(SERVES.serving("m-1", verdict=Verdict.HEALTHY, evidence=evidence(98, 2)).spec(accuracy=None))

    assert revision(status, "m-1").verdict is Verdict.HEALTHY
    assert revision(status, "m-1").evidence is None


# What may wait


@pytest.mark.parametrize(
    ("builder", "judged", "is_news"),
    [
        pytest.param(SERVES, {"m-1": healthy()}, False, id="nothing"),
        pytest.param(SERVES, {"m-1": healthy(980, 20)}, False, id="more labels"),
        pytest.param(SERVES, {"m-1": degraded()}, True, id="a verdict"),
        pytest.param(SERVES.ready("m-1", 1), {"m-1": healthy()}, True, id="a pod"),
        pytest.param(SERVES.asks_for("m-2"), {"m-1": healthy()}, True, id="a candidate"),
        pytest.param(SERVES, {}, True, id="evidence that is gone"),
        pytest.param(SERVES.having(generation=4), {"m-1": healthy()}, True, id="a generation"),
    ],
)
def test_only_counts_may_wait(builder: ObservationBuilder, judged: dict[str, Judged], is_news: bool) -> None:
    before = told(SERVES, {"m-1": healthy()})

    assert (without_counts(told(builder, judged)) != without_counts(before)) is is_news


# A spec that cannot be read


def test_a_spec_that_cannot_be_read_leaves_everything_else_as_it_was() -> None:
    before = told(SUCCESSOR.starting("m-2"))
    status = refused(before, 4, "spec.model.uri: no", NOW.replace(hour=13))
    by_type = {one.type: one for one in status.conditions}

    assert status.observed_generation == 4
    for kind, value in ((ConditionType.READY, ConditionStatus.FALSE), (ConditionType.STALLED, ConditionStatus.TRUE)):
        assert (by_type[kind].status, by_type[kind].reason) == (value, Reason.INVALID_SPEC)
        assert "spec.model.uri: no" in by_type[kind].message
    assert ConditionType.RECONCILING not in by_type
    assert by_type[ConditionType.AVAILABLE] in before.conditions
    assert status.model_copy(update={"conditions": [], "observed_generation": 3}) == before.model_copy(
        update={"conditions": []}
    )
    assert refused(status, 4, "spec.model.uri: no", NOW.replace(hour=14)) == status, "and says so once"
    assert len(refused(before, 4, "x" * 9999, NOW).conditions[0].message) == 4096


def test_a_problem_is_told_beside_what_was_decided() -> None:
    observation = SERVES.obj()
    problem = Problem(Reason.APPLY_REFUSED, "no")
    status = summarise(observation, {}, decide(observation, {}), problem)
    stalled = [one for one in status.conditions if one.type is ConditionType.STALLED]

    assert [(one.reason, one.message) for one in stalled] == [(Reason.APPLY_REFUSED, "no")]
    assert status.serving_revision == "m-1"


def test_a_condition_reads_back() -> None:
    for one in told(SERVES).conditions:
        assert Condition.parse(one.model_dump(mode="json", by_alias=True)) == one
