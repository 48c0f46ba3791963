"""Records of decisions: when there is one, what it says, and whom it keeps from being served."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from modeldeployment_operator.api.rollout import Strategy
from modeldeployment_operator.api.status import RejectionCause, RolloutStatus
from modeldeployment_operator.api.verdict import ModelVerdictSpec, Outcome
from modeldeployment_operator.core.decision import decide
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Asked
from modeldeployment_operator.core.rejection import latched_rejection, recall
from modeldeployment_operator.core.resources import build_verdict
from modeldeployment_operator.core.revisions import Snapshot, content_of

from tests.support.observations import (
    ObservationBuilder,
    a_template,
    ago,
    an_observation,
    degraded,
    healthy,
    inconclusive,
)

PROBATION = an_observation().standby("m-1").ready("m-1").serving("m-2").ready("m-2").asks_for("m-2")
ROLLOUT = RolloutStatus(revision="m-2", strategy=Strategy.BLUE_GREEN, since=ago(hours=2))
BESIDE = (
    an_observation(rollout={"strategy": "BlueGreen", "hold": {"duration": "1h"}})
    .serving("m-1")
    .ready("m-1")
    .candidate("m-2")
    .ready("m-2")
    .remembers(rollout=ROLLOUT)
)
DIGEST = "sha256:" + "ab" * 32


def recorded(builder: ObservationBuilder, **judged: Judged) -> dict[str, Any] | None:
    observation, known = builder.obj(), {name.replace("_", "-"): one for name, one in judged.items()}
    return build_verdict(observation, known, decide(observation, known))


def spec_of(manifest: dict[str, Any] | None) -> ModelVerdictSpec:
    assert manifest is not None
    return ModelVerdictSpec.parse(manifest["spec"])


@pytest.mark.parametrize(
    ("builder", "judged", "outcome"),
    [
        (PROBATION, {"m_2": degraded()}, Outcome.ROLLED_BACK),
        (BESIDE, {"m_1": healthy(), "m_2": degraded()}, Outcome.REJECTED),
        (BESIDE, {"m_2": healthy()}, Outcome.PROMOTED),
        (BESIDE.having(asked=Asked(abort="m-2")), {}, Outcome.ABORTED),
        (PROBATION.having(asked=Asked(abort="m-2")), {"m_2": healthy()}, Outcome.ABORTED),
    ],
    ids=str,
)
def test_what_is_decided_is_recorded(builder: ObservationBuilder, judged: dict[str, Judged], outcome: Outcome) -> None:
    verdict = spec_of(recorded(builder, **judged))

    assert (verdict.revision, verdict.outcome, verdict.model, verdict.model_uid) == ("m-2", outcome, "m", "uid-1")


@pytest.mark.parametrize(
    ("builder", "judged"),
    [
        (PROBATION, {"m_2": inconclusive()}),
        (an_observation().ready("m-1"), {}),
        (an_observation().serving("m-1").ready("m-1").candidate("m-2").ready("m-2"), {"m_1": healthy()}),
    ],
    ids=["nothing is decided", "the first revision", "the spec alone decides"],
)
def test_what_rests_on_nothing_is_not(builder: ObservationBuilder, judged: dict[str, Judged]) -> None:
    assert recorded(builder, **judged) is None


def test_it_has_all_that_the_decision_rests_on_and_no_owner() -> None:
    manifest = recorded(PROBATION.having(asked=Asked(retry="3")), m_2=degraded(70, 30))
    verdict = spec_of(manifest)

    assert manifest is not None
    assert "ownerReferences" not in manifest["metadata"]
    assert verdict.evidence is not None
    assert (verdict.evidence.right, verdict.evidence.wrong, bool(verdict.evidence.log_bets)) == (70, 30, True)
    assert (verdict.metric, verdict.level, verdict.alpha, verdict.minimum_labels) == ("accuracy", "0.9000", "0.01", 30)
    assert (verdict.estimate, verdict.serves, verdict.retry) == ("0.7000", "m-1", "3")
    assert verdict.message.startswith("m-2 was taken back: accuracy 0.7000 [")


def test_the_same_decision_has_the_same_name_and_another_one_another() -> None:
    def name(builder: ObservationBuilder) -> str:
        manifest = recorded(builder, m_2=degraded())
        assert manifest is not None
        return str(manifest["metadata"]["name"])

    assert name(PROBATION) == name(PROBATION.having(now=PROBATION.obj().now.replace(hour=13)))
    others = [PROBATION.serving("m-2", serving_since=ago(hours=2)), PROBATION.having(asked=Asked(retry="1"))]
    assert len({name(PROBATION), *map(name, others)}) == 3


def a_verdict(model: str = "m", revision: str = "m-2", time: str = "2026-01-01", **fields: Any) -> ModelVerdictSpec:
    known = {"metric": "accuracy", "level": "0.9000", "estimate": "0.7000", "model_uri": "s3://b/m"}
    if "digest" in fields:
        known["content"] = content_of(a_template(revision, digest=fields["digest"]))
    values: dict[str, Any] = {"outcome": Outcome.ROLLED_BACK} | known | fields
    return ModelVerdictSpec(model=model, model_uid="u", revision=revision, time=time, message="", **values)


@pytest.mark.parametrize(
    ("verdict", "digest", "condemned"),
    [
        (a_verdict(), None, True),
        (a_verdict(outcome=Outcome.REJECTED), None, True),
        (a_verdict(outcome=Outcome.ABORTED), None, False),
        (a_verdict(outcome=Outcome.PROMOTED), None, False),
        (a_verdict(model="other"), None, False),
        (a_verdict(revision="m-7"), None, False),
        (a_verdict(model="other", revision="other-7", digest=DIGEST), DIGEST, True),
        (a_verdict(model="other", digest="sha256:" + "cd" * 32), DIGEST, False),
        (a_verdict(model="other", digest=DIGEST, content="0123456789"), DIGEST, False),
    ],
    ids=[
        "the same revision of a former object",
        "on its way to the traffic",
        "given up by its user",
        "promoted",
        "another model's",
        "another revision's",
        "the same content by another name",
        "another file",
        "the same file with other classes",
    ],
)
def test_who_was_proven_worse_is_not_served_again(
    verdict: ModelVerdictSpec, digest: str | None, *, condemned: bool
) -> None:
    desired = Snapshot("m-2", a_template("m-2", **({"digest": digest} if digest else {})))
    observation = an_observation().asks_for("m-2").obj()
    status = recall(replace(observation, desired=desired), {"v": verdict})

    assert [(one.revision, one.verdict) for one in status.rejections] == ([("m-2", "v")] if condemned else [])


def test_the_latest_verdict_holds() -> None:
    before, after = a_verdict(), a_verdict(time="2026-01-02")
    observation = an_observation().asks_for("m-2").obj()
    promoted = after.model_copy(update={"outcome": Outcome.PROMOTED})

    assert recall(observation, {"a": before, "b": promoted}).rejections == []
    assert recall(observation, {"a": after, "b": promoted.model_copy(update={"time": "2026"})}).rejections


@pytest.mark.parametrize(
    "builder",
    [
        an_observation().serving("m-2"),
        an_observation().candidate("m-2"),
        an_observation().rejected("m-2"),
        an_observation().standby("m-2", serving_since=ago(hours=2)),
        an_observation(policies={"degraded": {"action": "Alert"}}),
        an_observation(accuracy={"minimum": 0.7}),
        an_observation(accuracy={"minimum": 0.9, "metric": "recall"}),
    ],
    ids=[
        "it serves",
        "it is being tried",
        "it is known",
        "it stands by",
        "nothing is taken back here",
        "less is demanded",
        "something else is demanded",
    ],
)
def test_what_is_under_way_goes_on(builder: ObservationBuilder) -> None:
    observation = builder.asks_for("m-2").obj()

    assert recall(observation, {"v": a_verdict()}) == observation.status


def test_its_user_may_ask_for_another_try() -> None:
    builder = an_observation().asks_for("m-2")
    status = recall(builder.obj(), {"v": a_verdict(retry="1")})
    recalled = builder.remembers(rejections=status.rejections)

    rejection = latched_rejection(recalled.obj(), "m-2")
    assert rejection is not None
    assert rejection.reason is RejectionCause.DEGRADED
    assert latched_rejection(recalled.having(asked=Asked(retry="1")).obj(), "m-2") is not None
    assert latched_rejection(recalled.having(asked=Asked(retry="2")).obj(), "m-2") is None
