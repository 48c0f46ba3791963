"""A verdict reckoned once more: the same answer, or what differs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modeldeployment_operator.api.spec import Accuracy, AccuracyMetric
from modeldeployment_operator.api.status import Revision, RevisionPhase, Verdict
from modeldeployment_operator.api.verdict import ModelVerdictSpec
from modeldeployment_operator.core.decision import decide
from modeldeployment_operator.core.judgement import Judged, judge_revision
from modeldeployment_operator.core.replay import replay
from modeldeployment_operator.core.resources import build_verdict

from tests.support.observations import a_sample, an_observation

PROBATION = an_observation().standby("m-1").ready("m-1").serving("m-2").ready("m-2").asks_for("m-2")


def judged(looks: list[tuple[int, int]], metric: AccuracyMetric = AccuracyMetric.ACCURACY) -> Judged:
    """Judge a revision as the operator does, look by look."""
    accuracy = Accuracy(metric=metric, minimum=0.9)
    revision, right, wrong = Revision(name="m-2", phase=RevisionPhase.CANDIDATE, model_uri=""), 0, 0
    found = judge_revision(accuracy, revision, None, set())
    for more_right, more_wrong in looks:
        right, wrong = right + more_right, wrong + more_wrong
        cells = {"true_positive": right, "false_positive": wrong, "false_negative": wrong}
        sample = a_sample("m-2-pod-0", right, wrong, **cells)
        found = judge_revision(accuracy, revision, [sample], {"m-2-pod-0"})
        revision = revision.model_copy(update={"evidence": found.state, "verdict": found.verdict})
    return found


def recorded(found: Judged) -> ModelVerdictSpec:
    observation, known = PROBATION.obj(), {"m-2": found}
    manifest = build_verdict(observation, known, decide(observation, known))
    assert manifest is not None
    return ModelVerdictSpec.parse(manifest["spec"])


@settings(max_examples=60, deadline=None)
@given(
    looks=st.lists(st.tuples(st.integers(0, 20), st.integers(5, 20)), min_size=4, max_size=12),
    metric=st.sampled_from(AccuracyMetric),
)
def test_what_the_operator_decides_follows_from_its_record(
    looks: list[tuple[int, int]], metric: AccuracyMetric
) -> None:
    found = judged(looks, metric)
    if found.verdict is not Verdict.DEGRADED:
        return
    again = replay(recorded(found))

    assert again.differences == ()
    assert again.degraded
    assert again.log_e == found.log_e
    assert again.labels == found.labels


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"log_e": "99.000"}, "logE is 99.000, and comes to"),
        ({"estimate": "0.1000"}, "estimate is 0.1000, and comes to"),
        ({"alpha": "1e-99"}, "which the evidence does not prove"),
        ({"minimum_labels": 1000}, "which the evidence does not prove"),
        ({"outcome": "Promoted"}, "although the evidence proves it worse"),
    ],
    ids=str,
)
def test_a_record_that_was_tampered_with(changed: dict[str, Any], says: str) -> None:
    verdict = recorded(judged([(10, 20), (10, 20)]))
    document = verdict.model_dump(mode="json", by_alias=False) | changed

    assert any(says in one for one in replay(ModelVerdictSpec(**document)).differences)


def test_nothing_to_reckon() -> None:
    verdict = recorded(judged([(10, 20), (10, 20)])).model_copy(update={"evidence": None})

    with pytest.raises(ValueError, match="nothing was judged"):
        replay(verdict)
