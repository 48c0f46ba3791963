"""From what Prometheus answers to the counts of pods."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.core.errors import PrometheusError
from modeldeployment_operator.core.observation import Key, Observation, Sample, StoredRevision
from modeldeployment_operator.core.promql import Wish, queries, read_answers, wish_of
from modeldeployment_operator.core.samples import samples_of
from modeldeployment_operator.core.validity import sift

from tests.support.observations import KEY, a_sample, a_template, an_observation
from tests.support.prometheus_answers import STARTED, a_pods_series, a_series, a_target, an_answer

POD = "m-1-pod-0"
ONE = an_observation().serving("m-1").ready("m-1", 1, of=1)
TWO = an_observation().serving("m-1").ready("m-1")


def read(*series: dict[str, Any], of: Observation | None = None) -> tuple[dict[str, Sample], str | None]:
    return samples_of(of or ONE.obj(), read_answers([an_answer(*series)]))


def a_count(correct: int, wrong: int, started: str = STARTED, **fields: Any) -> dict[str, Sample]:
    return {POD: a_sample(POD, correct, wrong, started=started, **fields)}


# What is asked


def spec(**fields: Any) -> ModelDeploymentSpec:
    return ModelDeploymentSpec.parse({"model": {"uri": "http://h/m"}} | fields)


@pytest.mark.parametrize(
    ("monitor", "window"),
    [
        pytest.param({}, 90, id="three scrapes"),
        pytest.param({"interval": "5s"}, 60, id="not less than a minute"),
        pytest.param({"interval": "2m"}, 300, id="not more than Prometheus looks back"),
        pytest.param({"enabled": False, "interval": "5s"}, 300, id="whoever scrapes does so as often as he likes"),
    ],
)
def test_the_window_is_a_few_scrapes_long(monitor: dict[str, Any], window: int) -> None:
    assert wish_of(KEY, spec(monitoring={"serviceMonitor": monitor})).window == window


@pytest.mark.parametrize(("metric", "by_class"), [("accuracy", False), ("precision", True), ("f1", True)])
def test_labels_by_class_are_asked_for_where_they_are_judged(metric: str, by_class: bool) -> None:
    assert wish_of(KEY, spec(accuracy={"minimum": 0.9, "metric": metric})).by_class is by_class
    both = spec(accuracy={"minimum": 0.9, "additional": [{"metric": "recall", "minimum": 0.5}]})
    assert wish_of(KEY, both).by_class, "that is judged besides"


def test_one_query_is_for_all() -> None:
    wishes = [Wish(Key("b", "x.y"), False, 60.0), Wish(Key("a", "z"), False, 90.0), Wish(Key("a", "x.y"), False, 60.0)]

    assert queries(wishes) == [
        '{__name__=~"model_labels_total|model_counting_info",namespace=~"a|b",model=~"x\\\\.y|z"}[90s]'
    ]


def test_another_is_for_those_that_need_their_labels_by_class() -> None:
    wishes = [Wish(Key("a", "x"), False, 60.0), Wish(Key("b", "y"), True, 90.0)]

    assert queries(wishes)[1:] == ['{__name__=~"model_confusion_total",namespace=~"b",model=~"y"}[90s]']


# What counts


def test_the_latest_scrape_counts() -> None:
    assert read(*a_pods_series(a_target(), {100.0: (5, 1), 130.0: (7, 2)})) == (a_count(7, 2), None)


def test_a_scrape_that_is_not_whole_does_not_count() -> None:
    """As when a store that is written to from afar has got only some of its series."""
    right, wrong, info = a_pods_series(a_target(), {100.0: (5, 1), 130.0: (7, 2)})
    for part in (right, wrong, info):
        whole = [one if one is not part else one | {"values": one["values"][:1]} for one in (right, wrong, info)]
        assert read(*whole) == (a_count(5, 1), None)


def test_numbers_of_different_scrapes_are_never_put_together() -> None:
    right = a_series("model_labels_total", {100.0: 5}, a_target() | {"outcome": "correct"})
    wrong = a_series("model_labels_total", {115.0: 1}, a_target() | {"outcome": "wrong"})
    info = a_pods_series(a_target(), {100.0: (0, 0), 115.0: (0, 0)})[2]

    samples, problem = read(right, wrong, info)

    assert samples == {}
    assert problem is not None
    assert "no scrape has all of model_labels_total, model_counting_info" in problem


def test_of_replicas_of_prometheus_the_furthest_counts() -> None:
    behind = a_pods_series(a_target(prometheus_replica="a"), {130.0: (5, 1)})
    ahead = a_pods_series(a_target(prometheus_replica="b"), {125.0: (7, 2)})

    assert read(*behind, *ahead) == (a_count(7, 2), None)
    assert read(*ahead, *behind) == (a_count(7, 2), None)


def test_a_new_run_of_counting_counts_though_it_has_less() -> None:
    before = a_pods_series(a_target(), {100.0: (50, 10)}, started="1")
    after = a_pods_series(a_target(), {130.0: (2, 1)}, started="2")
    replica = a_pods_series(a_target(prometheus_replica="b"), {120.0: (60, 12)}, started="1")

    assert read(*before, *after) == (a_count(2, 1, "2"), None)
    assert read(*replica, *before, *after) == (a_count(2, 1, "2"), None)


def test_two_runs_in_one_scrape_are_none() -> None:
    series = a_pods_series(a_target(), {100.0: (5, 1), 130.0: (7, 2)})
    another = a_pods_series(a_target(), {130.0: (7, 2)}, started="another")[2]

    assert read(*series, another) == (a_count(5, 1), None)


def test_the_start_of_counting_is_what_the_pods_say_themselves() -> None:
    long = "x" * 100

    assert read(*a_pods_series(a_target(), {100.0: (5, 1)}, started=long)) == (a_count(5, 1, long[:64]), None)


# Whose it is


@pytest.mark.parametrize(
    "target",
    [
        pytest.param(a_target(namespace="other"), id="namespace"),
        pytest.param(a_target(model="other"), id="model"),
        pytest.param(a_target(revision="m-2"), id="revision"),
        pytest.param(a_target("m-1-pod-7"), id="pod"),
        pytest.param({"job": "m"}, id="no labels"),
    ],
)
def test_what_is_not_of_the_pod_does_not_count(target: dict[str, str]) -> None:
    samples, problem = read(*a_pods_series(target | {"x": "y"}, {100.0: (5, 1)}, uid=POD))

    assert samples == {}
    assert problem is not None
    assert f"no model_labels_total and model_counting_info of pod {POD}" in problem
    assert "ServiceMonitor m" in problem


def test_who_scrapes_without_a_service_monitor_is_told_what_to_see_to() -> None:
    _, problem = read(of=ONE.spec(monitoring={"serviceMonitor": {"enabled": False}}).obj())

    assert problem is not None
    assert "gives them these labels" in problem
    assert "ServiceMonitor" not in problem


def test_a_pod_of_the_same_name_is_another_one() -> None:
    samples, problem = read(*a_pods_series(a_target(), {100.0: (5, 1)}, uid="another"))

    assert samples == {}
    assert problem is not None
    assert f"with pod_uid {POD}" in problem


def test_the_others_count_though_one_pod_is_missing() -> None:
    samples, problem = read(*a_pods_series(a_target(), {100.0: (5, 1)}), of=TWO.obj())

    assert samples == a_count(5, 1)
    assert problem is not None
    assert "m-1-pod-1" in problem


def test_pods_that_do_not_run_are_not_missed() -> None:
    pods = tuple(replace(pod, running=pod.name == POD) for pod in TWO.pods)

    assert read(*a_pods_series(a_target(), {100.0: (5, 1)}), of=replace(TWO, pods=pods).obj()) == (a_count(5, 1), None)


def test_other_series_are_passed_over() -> None:
    other = a_series("model_predictions_total", {100.0: "NaN"}, a_target())

    assert read(other, *a_pods_series(a_target(), {100.0: (5, 1)})) == (a_count(5, 1), None)


# Labels by class

RECALL = ONE.spec(accuracy={"minimum": 0.9, "metric": "recall"})
NAMED = replace(RECALL, stored={"m-1": StoredRevision(1, a_template("m-1", labels=["ham", "spam"]))})
CELLS = {("0", "0"): 50, ("0", "1"): 3, ("1", "0"): 4, ("1", "1"): 20}
NAMES = {"0": "ham", "1": "spam"}
NAMED_CELLS = {(NAMES[actual], NAMES[predicted]): number for (actual, predicted), number in CELLS.items()}
COUNTED = {"true_positive": 20, "false_positive": 3, "false_negative": 4}


@pytest.mark.parametrize(("observation", "cells"), [(RECALL.obj(), CELLS), (NAMED.obj(), NAMED_CELLS)])
def test_the_second_class_is_the_positive_one(observation: Observation, cells: dict[tuple[str, str], int]) -> None:
    series = a_pods_series(a_target(), {100.0: (70, 7)}, cells=cells)

    assert read(*series, of=observation) == (a_count(70, 7, **COUNTED), None)


def test_predictions_of_no_class_are_wrong_ones() -> None:
    cells = NAMED_CELLS | {("spam", "none"): 2, ("ham", "none"): 1}
    series = a_pods_series(a_target(), {100.0: (70, 10)}, cells=cells)

    more = {"true_positive": 20, "false_positive": 4, "false_negative": 6}
    assert read(*series, of=NAMED.obj()) == (a_count(70, 10, **more), None)


@pytest.mark.parametrize(
    ("names", "no_class"),
    [(("ham", "spam"), "none"), (("none", "spam"), "(none)"), (("none", "(none)"), "((none))")],
)
def test_no_class_is_called_as_no_class_is(names: tuple[str, str], no_class: str) -> None:
    named = replace(RECALL, stored={"m-1": StoredRevision(1, a_template("m-1", labels=list(names)))})
    cells = {(names[0], names[0]): 0, (names[0], names[1]): 0, (names[1], names[0]): 3, (names[1], names[1]): 20}
    series = a_pods_series(a_target(), {100.0: (20, 7)}, cells=cells | {(names[1], no_class): 4})

    more = {"true_positive": 20, "false_positive": 0, "false_negative": 7}
    assert read(*series, of=named.obj()) == (a_count(20, 7, **more), None)


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param({}, id="none"),
        pytest.param(
            {cell: number for cell, number in NAMED_CELLS.items() if cell != ("ham", "spam")}, id="one missing"
        ),
        pytest.param(NAMED_CELLS | {("eggs", "ham"): 1}, id="three classes"),
        pytest.param(NAMED_CELLS | {("ham", "eggs"): 1}, id="another class predicted"),
        pytest.param(CELLS, id="other names"),
    ],
)
def test_labels_that_are_not_of_the_two_classes_do_not_count(cells: dict[tuple[str, str], int]) -> None:
    samples, problem = read(*a_pods_series(a_target(), {100.0: (70, 7)}, cells=cells), of=NAMED.obj())

    assert samples == {}
    assert problem is not None
    assert "model_confusion_total of two classes" in problem


def test_a_revision_of_three_classes_has_no_positive_one() -> None:
    stored = {"m-1": StoredRevision(1, a_template("m-1", labels=["a", "b", "c"]))}
    series = a_pods_series(a_target(), {100.0: (70, 7)}, cells=CELLS)

    assert read(*series, of=replace(RECALL, stored=stored).obj())[0] == {}


def test_the_two_answers_are_put_together_by_the_time_of_the_scrape() -> None:
    labels = a_pods_series(a_target(), {100.0: (60, 7), 130.0: (70, 7)})
    by_class = a_pods_series(a_target(), {100.0: (0, 0)}, cells=CELLS)[3:]

    answers = read_answers([an_answer(*labels), an_answer(*by_class)])
    assert samples_of(RECALL.obj(), answers) == (a_count(60, 7, **COUNTED), None)


# What is wrong

GOOD = a_pods_series(a_target(), {100.0: (5, 1)})


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1", "1.5", "9007199254740992", "1e300"])
def test_what_is_no_number_of_labels_does_not_count(value: str) -> None:
    other = a_pods_series(a_target("m-1-pod-1"), {100.0: (9, 2)})
    samples, problem = read(*a_pods_series(a_target(), {100.0: (5, 1), 130.0: (value, 1)}), *other, of=TWO.obj())

    sound, invalid = sift(samples)
    assert list(sound) == ["m-1-pod-1"], "nor does it harm others"
    assert invalid == {"m-1": problem}
    assert problem is not None
    assert f"of pod {POD} cannot be used: model_labels_total is" in problem


@pytest.mark.parametrize("value", ["5", "5.0", "5e0", "0.5e1"])
def test_a_number_may_be_written_in_any_way(value: str) -> None:
    assert read(*a_pods_series(a_target(), {100.0: (value, 1)})) == (a_count(5, 1), None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"null",
        b"[]",
        b"{}",
        b'"success"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"status": "success"}',
        b'{"status": "success", "data": null}',
        an_answer(*GOOD)[:-20],
        an_answer(data={"resultType": "matrix", "result": None}),
        an_answer(data={"resultType": "matrix", "result": {"metric": {}}}),
        an_answer(data={"resultType": "matrix", "result": [None]}),
        an_answer({"metric": {}}, {"values": []}),
        an_answer({"metric": "model_labels_total", "values": []}),
        an_answer({"metric": {"__name__": ["model_labels_total"]}, "values": [[1, "1"]]}),
        an_answer({"metric": {"__name__": "model_labels_total", "outcome": {}}, "values": [[1, "1"]]}),
        an_answer({"metric": {"__name__": "model_labels_total", "pod": []}, "values": [[1, "1"]]}),
        an_answer({"metric": {"__name__": "model_counting_info", "started": 1}, "values": [[1, "1"]]}),
        an_answer({"metric": {"__name__": "model_labels_total"}, "values": [[1]]}),
        an_answer({"metric": {"__name__": "model_labels_total"}, "values": [["x", "1"]]}),
        an_answer({"metric": {"__name__": "model_labels_total"}, "values": [[1, "x"]]}),
        an_answer({"metric": {"__name__": "model_labels_total"}, "values": [[1, None]]}),
        an_answer({"metric": {"__name__": "model_labels_total"}, "value": [1, "1"]}),
        an_answer({"metric": {"__name__": "model_labels_total"}, "histograms": [[1, {"count": "1"}]]}),
        an_answer(*GOOD).replace(b"100.0", b"NaN"),
    ],
)
def test_an_answer_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(PrometheusError, match="the answer is not in the form of Prometheus"):
        read_answers([an_answer(*GOOD), body])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"status": "error", "error": "query timed out"}, "the answer is an error: query timed out"),
        ({"warnings": ["store a is down"]}, "the answer may lack something: .*store a is down"),
        ({"isPartial": True}, "the answer may lack something: it is partial"),
        ({"data": {"resultType": "vector", "result": []}}, "the answer is of type 'vector', not 'matrix'"),
    ],
)
def test_an_answer_that_is_not_the_one_is_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(PrometheusError, match=words):
        read_answers([an_answer(*GOOD, **changed)])


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["model_labels_total"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["metric", "values", "__name__"]), inner)
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=3))
def test_whatever_is_answered_it_is_read_or_refused(result: list[Any]) -> None:
    try:
        answers = read_answers(
            [json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()]
        )
    except PrometheusError:
        return
    samples, _ = samples_of(ONE.obj(), answers)
    assert samples == {}
