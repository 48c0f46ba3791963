"""From which label on a revision is judged."""

from __future__ import annotations

from modeldeployment_operator.api.spec import Accuracy
from modeldeployment_operator.api.status import RevisionPhase, Verdict
from modeldeployment_operator.core.judgement import judge_revision

from tests.support.observations import LEVEL, a_revision, a_sample, evidence

MINIMUM = {"minimum": 0.9}


def test_labels_from_before_anything_was_demanded_do_not_count() -> None:
    """A level that is chosen after a look at the labels is no level to judge those labels by."""
    accuracy, level = Accuracy.parse(MINIMUM), LEVEL.text
    served = a_revision("m-1", RevisionPhase.SERVING, serving_since="2026-01-01T00:00:00.000Z")
    first = judge_revision(accuracy, served, [a_sample("a", 10, 190)], {"a"})
    assert (first.verdict, first.labels) == (Verdict.INCONCLUSIVE, 0)

    later = served.model_copy(update={"evidence": first.state})
    second = judge_revision(accuracy, later, [a_sample("a", 10, 191)], {"a"})
    assert second.state is not None
    assert (second.labels, second.state.level) == (1, level)


def test_evidence_of_another_number_of_bets_is_not_read() -> None:
    state = evidence(3, 4).model_copy(update={"log_bets": ["0.0"] * 5})
    revision = a_revision("m-1", RevisionPhase.SERVING, serving_since="2026-01-01T00:00:00.000Z", evidence=state)

    assert judge_revision(Accuracy.parse(MINIMUM), revision, [a_sample("a", 3, 4)], {"a"}).labels == 0
