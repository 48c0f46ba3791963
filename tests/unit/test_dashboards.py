"""The dashboards as files: what Grafana makes of them, and whether they ask for what there is."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from manifests.dashboards import __main__ as generator
from manifests.dashboards import recorded
from tests.support.grafana_schema import faults
from tests.support.metrics_page import OPERATOR, POD, POD_OPTIONS, described

REPOSITORY = Path(__file__).parents[2]
COMPONENT = REPOSITORY / "manifests/components/dashboards"
NAMES = ("fleet", "model", "operator")
BOARDS = {name: json.loads((COMPONENT / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES}
RULES = [
    rule
    for group in yaml.safe_load((COMPONENT / "recording-rules.yaml").read_text(encoding="utf-8"))["spec"]["groups"]
    for rule in group["rules"]
]
EVERY_BOARD = pytest.mark.parametrize("board", BOARDS.values(), ids=NAMES)


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def marks(board: dict[str, Any]) -> list[dict[str, Any]]:
    return list(board["annotations"].get("list", ()))


# --- The generator -----------------------------------------------------------------------------------------


def test_files_are_what_the_generator_makes() -> None:
    assert generator.differences(COMPONENT) == []


def test_a_file_that_was_edited_is_told(tmp_path: Path) -> None:
    for name, text in generator.generate().items():
        (tmp_path / name).write_text(text.replace("Rolled back", "Taken back"), encoding="utf-8")

    assert any("Taken back" in line for line in generator.differences(tmp_path))


def test_every_file_is_in_the_component() -> None:
    component = yaml.safe_load((COMPONENT / "kustomization.yaml").read_text(encoding="utf-8"))

    files = [file for generated in component["configMapGenerator"] for file in generated["files"]]
    assert sorted(files) == sorted(generator.generate())


# --- Grafana's schema --------------------------------------------------------------------------------------


@EVERY_BOARD
def test_grafana_knows_every_field_and_its_type(board: dict[str, Any]) -> None:
    assert faults(board) == []


def of_kind(board: dict[str, Any], kind: str) -> Any:
    return next(panel for panel in board["panels"] if panel["type"] == kind)


def defaults_of(board: dict[str, Any]) -> Any:
    return of_kind(board, "timeseries")["fieldConfig"]["defaults"]


def legend_of(board: dict[str, Any]) -> Any:
    return of_kind(board, "timeseries")["options"]["legend"]


SPOILS: dict[str, Callable[[Any], object]] = {
    "unknown field": lambda board: board.update(refreshEvery="5s"),
    "unknown field of a panel": lambda board: of_kind(board, "stat").update(colour="red"),
    "unknown option": lambda board: of_kind(board, "stat")["options"].update(textSize=12),
    "unknown setting of a field": lambda board: of_kind(board, "timeseries")["fieldConfig"]["defaults"].update(
        units=""
    ),
    "unknown custom setting": lambda board: of_kind(board, "timeseries")["fieldConfig"]["defaults"]["custom"].update(
        x=1
    ),
    "unknown part of a query": lambda board: of_kind(board, "stat")["targets"][0].update(query="up"),
    "unknown part of a transformation": lambda board: of_kind(board, "table")["transformations"][0].update(name="m"),
    "unknown override": lambda board: of_kind(board, "table")["fieldConfig"]["overrides"][0]["properties"].append(
        {"id": "custom.height", "value": 3}
    ),
    "mistyped override": lambda board: of_kind(board, "table")["fieldConfig"]["overrides"][0]["properties"].append(
        {"id": "custom.width", "value": "wide"}
    ),
    "unknown type of panel": lambda board: of_kind(board, "stat").update(type="number"),
    "text for a number": lambda board: of_kind(board, "stat")["gridPos"].update(w="4"),
    "number for a text": lambda board: of_kind(board, "stat").update(title=4),
    "truth for a number": lambda board: of_kind(board, "stat")["gridPos"].update(w=True),
    "no value of an enumeration": lambda board: of_kind(board, "timeseries")["options"]["legend"].update(
        placement="top"
    ),
    "one for several": lambda board: board.update(tags="modelops"),
    "number for a query": lambda board: of_kind(board, "stat")["targets"][0].update(expr=4),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_schema_finds_what_grafana_would_not_understand(spoil: Callable[[Any], object]) -> None:
    board = copy.deepcopy(BOARDS["fleet"])
    spoil(board)

    assert len(faults(board)) >= 1


# --- What every panel has ----------------------------------------------------------------------------------


@EVERY_BOARD
def test_every_panel_explains_itself(board: dict[str, Any]) -> None:
    for panel in panels(board):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"], panel
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["unit"], panel["title"]
        assert defaults["noValue"].startswith(("No ", "None: ")), panel["title"]


@EVERY_BOARD
def test_every_query_goes_to_the_chosen_prometheus(board: dict[str, Any]) -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}

    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    asking = [
        *panels(board),
        *marks(board),
        *(v for v in variables.values() if v["type"] == "query"),
    ]
    assert all(part["datasource"] == chosen for part in asking)
    assert all(target["datasource"] == chosen for panel in panels(board) for target in panel["targets"])


@EVERY_BOARD
def test_panels_do_not_overlap(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    rows = {row for _, row in taken}
    assert taken == set(itertools.product(range(24), rows)), "a line is not filled"


@EVERY_BOARD
def test_ids_are_unique(board: dict[str, Any]) -> None:
    ids = [panel["id"] for panel in board["panels"]]

    assert len(set(ids)) == len(ids)
    assert all(ids)


def test_dashboards_can_be_told_apart_and_lead_to_each_other() -> None:
    uids = {board["uid"] for board in BOARDS.values()}
    linked = re.findall(r'"url": "/d/([\w-]+)\?', json.dumps(BOARDS))

    assert len(uids) == len({board["title"] for board in BOARDS.values()}) == len(BOARDS)
    assert linked
    assert set(linked) <= uids
    for board in BOARDS.values():
        assert [link["tags"] for link in board["links"]] == [board["tags"]]


# --- What is asked for -------------------------------------------------------------------------------------

NAME = re.compile(r"\b(?:model_|modeldeployment_|process_|namespace_model:|ALERTS)[\w:]*")
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
TARGET = frozenset({"namespace", "pod", "model", "revision", "job", "instance"})
OTHERS = {
    "ALERTS": frozenset({"alertname", "alertstate", "severity", "namespace", "model"}),
    **{rule["record"]: frozenset({"namespace", "model"}) for rule in RULES},
}


def agreed() -> dict[str, frozenset[str]]:
    """Return the labels of each series by its name; what a pod says has its target's labels, too."""
    series = dict(OTHERS)
    for heading, added in ((POD, TARGET), (POD_OPTIONS, TARGET), (OPERATOR, frozenset[str]())):
        for name, family in described(heading).items():
            labels = family.labels | added
            if family.type == "summary":
                series |= {f"{name}_sum": labels, f"{name}_count": labels}
            elif family.type == "histogram":
                series |= {f"{name}_bucket": labels | {"le"}, f"{name}_sum": labels, f"{name}_count": labels}
            else:
                series[name] = labels
    return series


def queries(board: dict[str, Any]) -> Iterator[str]:
    yield from (target["expr"] for panel in panels(board) for target in panel["targets"])
    yield from (annotation["expr"] for annotation in marks(board))
    yield from (variable["query"]["query"] for variable in board["templating"]["list"] if variable["type"] == "query")


def asked() -> list[str]:
    return [*(query for board in BOARDS.values() for query in queries(board)), *(rule["expr"] for rule in RULES)]


def strangers(query: str) -> list[str]:
    """Return the metrics and labels of a query that nobody exposes."""
    known = agreed()
    found = [
        name
        for name in NAME.findall(query)
        if name not in known and not name.startswith("process_") and name != "model_"
    ]
    for metric, matchers in SELECTOR.findall(query):
        labels = set(LABEL.findall(re.sub(r'"[^"]*"', "", matchers)))
        found += [f"{metric}{{{label}}}" for label in labels - known.get(metric, TARGET)]
    return found


def test_dashboards_ask_only_for_what_is_agreed() -> None:
    assert [(query, strangers(query)) for query in asked() if strangers(query)] == []


@pytest.mark.parametrize(
    "query",
    ["sum(model_prediction_total)", 'model_labels_total{result="correct"}', 'modeldeployment_replicas{pod="a"}'],
)
def test_what_is_not_agreed_is_noticed(query: str) -> None:
    assert len(strangers(query)) == 1


def test_every_agreed_family_is_read() -> None:
    assert {"model_accuracy", "modeldeployment_accuracy_level", "model_batch_size_bucket"} <= agreed().keys()


def test_rules_are_those_that_the_dashboards_ask_for() -> None:
    wanted = {recorded.REQUESTS, recorded.ERRORS, recorded.LATENCY}

    assert {rule["record"] for rule in RULES} == wanted
    assert wanted == {name for query in asked() for name in NAME.findall(query) if name.startswith("namespace_model:")}


@EVERY_BOARD
def test_rates_are_over_windows_that_grafana_fits_to_the_readings(board: dict[str, Any]) -> None:
    for panel in panels(board):
        for target in panel["targets"]:
            assert not re.search(r"\brate\([^[]*\[(?!\$__rate_interval)", target["expr"]), panel["title"]
