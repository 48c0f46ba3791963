"""What a status comes to in one line, and which lines are shown."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from modeldeployment_operator.api.status import AccuracyStatus, ModelDeploymentStatus
from modeldeployment_operator.core.fleet import Model, Row, State, location, row, since, time_of, traffic
from modeldeployment_operator.core.freshness import Freshness
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.overview import PAGE_ROWS, Order, Query, Scale, overview, scale_of

from tests.support import fleets
from tests.support.observations import NOW

ACCURACY = AccuracyStatus(metric="accuracy", level="0.9", estimate="0.95", lower="0.93", upper="0.97", labels=200)


def line(status: ModelDeploymentStatus, name: str = "m", namespace: str = "team") -> Row:
    return row(Model(Key(namespace, name), status))


def names(found: list[Row]) -> list[str]:
    return [row.key.name for row in found]


def several(*kinds: Any) -> list[Row]:
    """Rows of models that are named by their kinds, in that order."""
    return [line(kind(kind.__name__), kind.__name__) for kind in kinds]


# --- One line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state", "why", "verdict"),
    [
        (fleets.healthy(), State.READY, "serves with 2 pods", "Healthy"),
        (fleets.rolled_back(), State.ROLLED_BACK, "was taken back", "Healthy"),
        (fleets.on_probation(), State.READY, "serves with 2 pods", "Inconclusive"),
        (fleets.degraded(), State.DEGRADED, "spec.policies.degraded.action is Alert", "Degraded"),
        (fleets.failing(message="no such bucket"), State.STALLED, "no such bucket", "Healthy"),
        (fleets.unjudged(), State.READY, "serves with 2 pods", "Not judged"),
        (fleets.starting(), State.PROGRESSING, "is starting", "None yet"),
        (fleets.unavailable(), State.UNAVAILABLE, "none of its pods is ready", "None yet"),
        (fleets.paused(), State.PAUSED, "set spec.paused to false", "Healthy"),
        (ModelDeploymentStatus(), State.NEW, "has not looked at it yet", "None yet"),
    ],
    ids=str,
)
def test_the_worst_is_said_first(status: ModelDeploymentStatus, state: State, why: str, verdict: str) -> None:
    told = line(status)

    assert told.state is state
    assert why in told.why
    assert told.verdict == verdict


def test_revisions_that_run_are_told_apart() -> None:
    told = line(fleets.on_probation("fraud"), "fraud")

    assert told.serving is not None
    assert told.short(told.serving.name) == "9b27e4"
    assert [(told.short(other.name), other.phase) for other in told.others] == [("6f1c0a", "Standby")]


def test_the_revision_that_serves_has_all_of_the_traffic() -> None:
    assert traffic(fleets.on_probation("fraud")) == {"fraud-9b27e4": 1, "fraud-6f1c0a": 0}


def test_the_last_rollback_is_told() -> None:
    told = line(fleets.rolled_back("reviews"), "reviews")

    assert told.rollback is not None
    assert (told.short(told.rollback.revision), told.rollback.estimate) == ("9b27e4", "0.7000")


def test_quality_is_told_in_words_too() -> None:
    told = line(ModelDeploymentStatus(accuracy=ACCURACY))

    assert told.quality is not None
    assert told.quality.sentence == "accuracy 0.95, interval 0.93 to 0.97, limit 0.9"


def test_quality_before_the_first_label() -> None:
    told = line(ModelDeploymentStatus(accuracy=AccuracyStatus(metric="f1", level="0.9")))

    assert told.quality is not None
    assert (told.quality.lower, told.quality.upper, told.quality.evidence) == (0, 1, 0)
    assert told.quality.sentence.startswith("f1 unknown")


@pytest.mark.parametrize("level", ["", "high", "nan", "inf"])
def test_what_somebody_else_wrote_is_not_drawn(level: str) -> None:
    assert line(ModelDeploymentStatus(accuracy=ACCURACY.model_copy(update={"level": level}))).quality is None


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://models/news/3.keras", "s3://models/news/3.keras"),
        ("https://user:password@host:8080/m.keras?X-Amz-Signature=abc#x", "https://host:8080/m.keras"),
        ("pvc://models/fraud", "pvc://models/fraud"),
        ("https://[broken", "(not a URI)"),
    ],
)
def test_secrets_of_uris_are_left_out(uri: str, shown: str) -> None:
    assert location(uri) == shown


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        ({"seconds": -5}, "just now"),
        ({"seconds": 59}, "just now"),
        ({"minutes": 1}, "1 min ago"),
        ({"minutes": 59}, "59 min ago"),
        ({"hours": 23}, "23 h ago"),
        ({"hours": 25}, "1 day ago"),
        ({"days": 40}, "40 days ago"),
    ],
)
def test_times_are_told_as_people_do(passed: dict[str, float], words: str) -> None:
    assert since(NOW - timedelta(**passed), NOW) == words


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-01-01T00:00:00"])
def test_a_time_that_is_none(text: str | None) -> None:
    assert time_of(text) is None


# --- Which lines -------------------------------------------------------------------------------------------


def test_the_worst_come_first() -> None:
    rows = several(fleets.healthy, fleets.starting, fleets.degraded, fleets.rolled_back, fleets.unavailable)

    assert names(overview(rows, Query()).rows) == ["unavailable", "degraded", "rolled_back", "starting", "healthy"]


@pytest.mark.parametrize(
    ("order", "first"),
    [
        (Order.NAME, "degraded"),
        (Order.ACCURACY, "degraded"),
        (Order.LABELS, "healthy"),
        (Order.EVIDENCE, "degraded"),
        (Order.ROLLBACK, "rolled_back"),
    ],
)
def test_other_orders(order: Order, first: str) -> None:
    rows = several(fleets.healthy, fleets.starting, fleets.degraded, fleets.rolled_back)

    assert names(overview(rows, Query(order=order)).rows)[0] == first
    assert names(overview(rows, Query(order=order, reverse=True)).rows)[-1] == first


def test_filters_count_what_the_others_leave() -> None:
    rows = [
        line(fleets.healthy("a"), "news-a", "one"),
        line(fleets.rolled_back("b"), "news-b", "one"),
        line(fleets.healthy("c"), "other", "one"),
        line(fleets.healthy("d"), "news-d", "two"),
    ]
    view = overview(rows, Query(namespace="one", text="news", state=State.READY))

    assert names(view.rows) == ["news-a"]
    assert view.states == {State.ROLLED_BACK: 1, State.READY: 1}
    assert (view.found, view.total, view.namespaces) == (1, 4, ["one", "two"])


def test_many_models_come_in_pages() -> None:
    rows = [row(Model(key, status)) for key, status in fleets.many(2 * PAGE_ROWS + 1)]
    pages = [overview(rows, Query(page=page)) for page in (1, 2, 3)]

    assert [len(view.rows) for view in pages] == [PAGE_ROWS, PAGE_ROWS, 1]
    assert {one.key for view in pages for one in view.rows} == {one.key for one in rows}
    assert overview(rows, Query(page=99)).query.page == 3


def test_nothing_comes_in_one_empty_page() -> None:
    view = overview([], Query())

    assert (view.rows, view.pages, view.found, view.scale) == ([], 1, 0, Scale(0, 1))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"namespace": "team", "state": "rolled-back", "name": "new", "sort": "labels", "reverse": "1", "page": "3"},
    ],
)
def test_a_query_reads_back_as_it_was_written(parameters: dict[str, str]) -> None:
    assert Query.of(parameters).parameters == parameters


@pytest.mark.parametrize(
    "parameters",
    [{"state": "happy"}, {"sort": "x"}, {"page": "0"}, {"page": "²"}, {"page": "-1"}, {"page": "9" * 99}, {"x": "y"}],
)
def test_what_is_not_understood_is_left_out(parameters: dict[str, str]) -> None:
    assert overview([], Query.of(parameters)).query == Query()


def test_links_keep_the_rest_of_the_query() -> None:
    query = Query(namespace="a&b", order=Order.LABELS, page=4)

    assert query.link(state=State.READY) == "?namespace=a%26b&state=ready&sort=labels"
    assert query.sorted_by(Order.LABELS) == "?namespace=a%26b&sort=labels&reverse=1"
    assert query.sorted_by(Order.NAME) == "?namespace=a%26b&sort=name"
    assert query.link(page=5) == "?namespace=a%26b&sort=labels&page=5"


def test_the_scale_shows_every_limit_and_value() -> None:
    low = line(ModelDeploymentStatus(accuracy=ACCURACY.model_copy(update={"estimate": "0.62"}))).quality

    assert scale_of([low, None]).low == 0.5
    assert scale_of([None]).low == 0
    for nonsense in ("1.1", "-1e308", "1e308"):
        told = line(ModelDeploymentStatus(accuracy=AccuracyStatus(metric="accuracy", level=nonsense))).quality
        assert 0 <= scale_of([told]).low < 1, "what somebody else wrote makes no page fail"
    assert [Scale(0.5, 1).at(value) for value in (0.2, 0.5, 0.75, 1, 2)] == [0, 0, 50, 100, 100]


# --- How old it is -----------------------------------------------------------------------------------------


def test_what_was_heard_a_moment_ago_is_fresh() -> None:
    fresh = Freshness(NOW, timedelta(seconds=14), synced=True)

    assert not fresh.is_old
    assert fresh.words == "Cluster last heard at 11:59:46"


@pytest.mark.parametrize(
    ("silence", "words", "advice"),
    [
        (timedelta(minutes=3), "3 min ago, at 11:57:00", "nothing from the API server since 11:57:00"),
        (None, "Not heard from the cluster yet", "nothing from the API server yet"),
    ],
)
def test_silence_is_told(silence: timedelta | None, words: str, advice: str) -> None:
    old = Freshness(NOW, silence, synced=True)

    assert old.is_old
    assert words in old.words
    assert advice in old.advice
