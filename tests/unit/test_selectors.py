"""Selectors of a user's counters."""

from __future__ import annotations

import pytest
from modeldeployment_operator.api.query import Query
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.selectors import distinguishing, filled

HERE = 'namespace="$(namespace)",revision="$(revision)"'
KEY = Key("team", "a.b")


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param(f"c{{{HERE}}}", 'c{namespace="team",revision="a.b-1"}', id="names"),
        pytest.param(
            f'c{{{HERE},model="$(name)"}}', 'c{namespace="team",revision="a.b-1",model="a.b"}', id="of the model"
        ),
        pytest.param(
            f'c{{{HERE},pod=~"$(revision)-.*|x"}}',
            r'c{namespace="team",revision="a.b-1",pod=~"a\\.b-1-.*|x"}',
            id="a dot is itself in an expression",
        ),
        pytest.param(
            f'{{ __name__ = "c", {HERE} , note!="$", }}',
            '{ __name__="c", namespace="team",revision="a.b-1" , note!="$", }',
            id="the name among the labels",
        ),
        pytest.param(
            f'c{{{HERE},note="a \\"b=\\" $(name)"}}',
            'c{namespace="team",revision="a.b-1",note="a \\"b=\\" a.b"}',
            id="marks within a text",
        ),
        pytest.param(
            f"label_replace(c{{{HERE},app='$(name)',pod=~'$(name)-.*'}}, 'x', '$(name)', 'y', '')",
            "label_replace(c{namespace=\"team\",revision=\"a.b-1\",app='a.b',pod=~'a\\\\.b-.*'}, 'x', 'a.b', 'y', '')",
            id="an expression with single quotes",
        ),
        pytest.param(
            f"c{{{HERE},app=`$(name)`,pod=~`$(name)-.*`}}",
            r'c{namespace="team",revision="a.b-1",app=`a.b`,pod=~`a\.b-.*`}',
            id="back quotes",
        ),
    ],
)
def test_what_is_asked_for_a_revision(selector: str, expected: str) -> None:
    assert filled(selector, KEY, "a.b-1") == expected


@pytest.mark.parametrize(
    ("correct", "total", "labels"),
    [
        ('c{X,outcome="correct"}', "c{X}", {"outcome"}),
        ('c{X,outcome="correct"}', 'c{X,outcome=~"correct|wrong"}', {"outcome"}),
        ("right_total{X}", "all_total{X}", set()),
        ('c{X,pod=~"m-.*",ok="true"}', 'c{X,pod=~"m-.*"}', {"ok"}),
        ('c{X, a = "1"}', 'c{a="1",X}', set()),
    ],
)
def test_what_both_select_differently_tells_no_processes_apart(correct: str, total: str, labels: set[str]) -> None:
    query = Query(correct=correct.replace("X", HERE), total=total.replace("X", HERE) + " ")

    assert distinguishing(query) == {"__name__"} | labels


def test_the_same_query_is_the_same_however_it_is_spaced() -> None:
    one = Query(correct=f'c{{{HERE},ok="1"}}', total=f"c{{{HERE}}}")

    assert Query(correct=f'c{{{HERE},ok="1"}}\n', total=f"c{{{HERE}}}\n").digest == one.digest
    assert Query(correct=f'c{{{HERE},ok="2"}}', total=f"c{{{HERE}}}").digest != one.digest
