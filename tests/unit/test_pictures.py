"""How the pictures of the dashboards write values, choose variables and leave out sections."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pictures.answers import Line
from tests.pictures.boards import Board, Panel
from tests.pictures.choices import Choices, Span
from tests.pictures.fields import field_of, written
from tests.pictures.tables import table_of


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.9687, "percentunit", "96.9 %"),
        (1.0, "percentunit", "100 %"),
        (0.0, "percentunit", "0 %"),
        (0.0123, "s", "12.3 ms"),
        (0.0, "s", "0 s"),
        (90.0, "s", "1.5 min"),
        (650_117_120.0, "bytes", "620 MiB"),
        (1214.0, "short", "1.21 K"),
        (35.0, "reqps", "35 req/s"),
        (-0.0195, "percentunit", "-1.95 %"),
        (float("nan"), "short", "–"),
    ],
)
def test_values_are_written_in_their_unit(value: float, unit: str, text: str) -> None:
    assert written(value, unit) == text


def test_variables_are_put_in_and_other_dollars_stay() -> None:
    choices = Choices({"model": "news", "__rate_interval": "60s"}, {})

    text = choices.put_into('label_replace(x{model="$model"}[$__rate_interval], "a", "$1", "b", "(.+)")')

    assert text == 'label_replace(x{model="news"}[60s], "a", "$1", "b", "(.+)")'
    assert choices.put_into("${model} of $model", {"model": "spam"}) == "spam of spam"


def test_rates_look_back_over_four_readings_at_least() -> None:
    assert Span(0, 900, 15).intervals["__rate_interval"] == "60s"
    assert Span(0, 90_000, 15).intervals["__rate_interval"] == "315s"


def panel(kind: str = "stat", y: int = 0, **json: Any) -> dict[str, Any]:
    return {"type": kind, "title": kind, "gridPos": {"x": 0, "y": y, "w": 24, "h": 4}, **json}


def test_sections_that_are_left_out_leave_no_gap() -> None:
    rows = [panel("row", 0, title="One"), panel(y=4), panel("row", 8, title="Two"), panel(y=12)]
    board = Board("b", {"panels": rows})

    assert [part.y for part in board.panels({}, ["Two"])] == [0, 4]
    assert [part.y for part in board.panels({})] == [0, 4, 8, 12]


def test_repeated_panels_stand_beside_and_push_down_what_follows() -> None:
    board = Board("b", {"panels": [panel(repeat="revision", maxPerRow=2), panel("table", y=4)]})

    *repeated, after = board.panels({"revision": ["a", "b", "c"]})

    assert [(part.x, part.y, part.width) for part in repeated] == [(0, 0, 12), (12, 0, 12), (0, 4, 12)]
    assert [part.scope for part in repeated] == [{"revision": "a"}, {"revision": "b"}, {"revision": "c"}]
    assert after.y == 8


def shown(json: dict[str, Any]) -> Panel:
    return Panel(json, 0, 0, 24, 4, {}, "")


def test_overrides_change_one_column_and_mappings_name_its_values() -> None:
    override = {
        "matcher": {"id": "byName", "options": "State"},
        "properties": [
            {
                "id": "mappings",
                "value": [
                    {"type": "value", "options": {"Serving": {"text": "Serving", "color": "green"}}},
                    {"type": "regex", "options": {"pattern": "(.+)", "result": {"text": "$1", "color": "red"}}},
                ],
            }
        ],
    }
    there = shown(panel(fieldConfig={"defaults": {"unit": "percentunit"}, "overrides": [override]}))

    assert field_of(there, "State").show("Serving").colour == "#73BF69"
    assert (field_of(there, "State").show("CrashLoop").text, field_of(there, "State").show("CrashLoop").colour) == (
        "CrashLoop",
        "#F2495C",
    )
    assert field_of(there, "Value").show(0.5).text == "50 %"


def test_tables_put_the_answers_for_one_model_into_one_row() -> None:
    json = panel(
        "table",
        targets=[{"refId": "A"}, {"refId": "B"}],
        options={},
        transformations=[{"id": "merge", "options": {}}],
    )
    lines = [
        Line("A", "", {"model": "news", "reason": "Serving"}, ((0, 1.0),)),
        Line("A", "", {"model": "spam", "reason": "Paused"}, ((0, 1.0),)),
        Line("B", "", {"model": "news"}, ((0, 0.9),)),
    ]

    table = table_of(shown(json), lines)

    assert table.columns == ["model", "reason", "Value #A", "Value #B"]
    assert table.rows == [["news", "Serving", 1.0, 0.9], ["spam", "Paused", 1.0, None]]
