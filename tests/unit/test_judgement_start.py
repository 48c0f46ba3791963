"""From which label on a revision is judged."""

from __future__ import annotations

from dataclasses import replace

from modeldeployment_operator.api.spec import Accuracy
from modeldeployment_operator.api.status import RevisionPhase, Verdict
from modeldeployment_operator.core.judgement import judge, judge_revision

from tests.support.life import Life, counted
from tests.support.observations import a_pod, a_revision, a_sample, an_observation, evidence

MINIMUM = {"minimum": 0.9}
LONG_AGO = "2026-01-01T00:00:00.000Z"


def test_labels_from_before_anything_was_demanded_do_not_count() -> None:
    """A level that is chosen after a look at the labels is no level to judge those labels by."""
    accuracy, level = Accuracy.parse(MINIMUM), "0.900000"
    served = a_revision("m-1", RevisionPhase.SERVING, serving_since=LONG_AGO)
    first = judge_revision(accuracy, served, [a_sample("a", 10, 190)], {"a"})
    assert (first.verdict, first.labels) == (Verdict.INCONCLUSIVE, 0)

    later = served.model_copy(update={"evidence": first.state})
    second = judge_revision(accuracy, later, [a_sample("a", 10, 191)], {"a"})
    assert second.state is not None
    assert (second.labels, second.state.level) == (1, level)


def test_nor_do_those_of_a_pod_that_could_not_be_read_just_then() -> None:
    """Its first reading is where it begins, however late it comes."""
    life = Life(serving_since=LONG_AGO)
    life.look(a_sample("a", 10, 190), present={"a", "b"})
    life.look(a_sample("a", 10, 190), present={"a", "b"})
    assert counted(life.look(a_sample("a", 10, 190), a_sample("b", 10, 190))) == (0, 0)
    assert counted(life.look(a_sample("a", 10, 191), a_sample("b", 11, 190))) == (1, 1)
    assert counted(life.look(a_sample("a", 10, 191), a_sample("b", 3, 0, started="2"))) == (4, 1), "it began anew"
    assert counted(life.look(a_sample("c", 1, 1), present={"a", "b", "c"})) == (5, 2), "and one that is new is new"


def test_another_level_is_for_what_comes_after_it_of_every_pod() -> None:
    life = Life({"minimum": 0.5})
    life.look(a_sample("a", 80, 20), a_sample("b", 8, 2))
    life.demand({"minimum": 0.95})
    life.look(a_sample("a", 80, 20), present={"a", "b"})

    late = life.look(a_sample("a", 80, 20), a_sample("b", 80, 20))
    assert (late.verdict, counted(late)) == (Verdict.INCONCLUSIVE, (0, 0))
    assert counted(life.look(a_sample("b", 7, 2), a_sample("b", 81, 20))) == (1, 0), "an older reading adds nothing"


def test_evidence_of_another_number_of_bets_is_not_read() -> None:
    state = evidence(3, 4).model_copy(update={"log_bets": ["0.0"] * 5})
    revision = a_revision("m-1", RevisionPhase.SERVING, serving_since=LONG_AGO, evidence=state)

    assert judge_revision(Accuracy.parse(MINIMUM), revision, [a_sample("a", 3, 4)], {"a"}).labels == 0


def test_the_first_revision_is_judged_from_its_first_label_on_though_no_status_tells_of_it_yet() -> None:
    """Its operator was killed before it could write one."""
    builder = an_observation(accuracy=MINIMUM).ready("m-1")
    observation = builder.having(pods=(a_pod("m-1"),), samples={"m-1-pod-0": a_sample("m-1-pod-0", 20, 3)}).obj()

    assert counted(judge(observation)["m-1"]) == (20, 3)
    serves = replace(observation, selected="m-1", generation=1)
    assert counted(judge(serves)["m-1"]) == (20, 3)
    assert judge(replace(serves, generation=2)) == {}, "that may have been demanded after a look at its labels"
