"""The dashboards on a real Prometheus that has seen a fleet: each query answers, and each panel can be drawn."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from manifests.dashboards.__main__ import DIRECTORY
from tests.integration.conftest import REPOSITORY, ControlPlane
from tests.integration.kustomize import build, only, overlay
from tests.pictures import __main__ as command_line
from tests.pictures import check
from tests.pictures.answers import Asker
from tests.pictures.boards import Board, read
from tests.pictures.choices import Span, choose
from tests.pictures.tables import table_of
from tests.support import debian
from tests.support.backfilled import Backfilled, backfilled, rule_groups

NAMES = ("fleet", "model", "operator")
EVERY_BOARD = pytest.mark.parametrize("name", NAMES)
NEWS = {"namespace": "demo", "model": "news-classifier"}
SECONDS, STEP = 3600, 30
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backfilled]:
    with backfilled(tmp_path_factory.mktemp("fleet"), SECONDS, STEP) as there:
        yield there


def asker(seen: Backfilled, board: Board) -> Asker:
    span = Span(seen.end - SECONDS, seen.end, STEP)
    return Asker(seen.prometheus, span, choose(board, seen.prometheus, span, NEWS))


def board_of(name: str) -> Board:
    return read(DIRECTORY / f"{name}.json")


@EVERY_BOARD
def test_every_query_has_an_answer(seen: Backfilled, name: str) -> None:
    board = board_of(name)

    assert [str(empty) for empty in check.empty(board, asker(seen, board))] == []


@EVERY_BOARD
def test_every_series_has_its_name(seen: Backfilled, name: str) -> None:
    board = board_of(name)
    asking = asker(seen, board)

    for panel in board.panels(asking.choices.options):
        for target in panel.json.get("targets", ()):
            named_by = set(PLACEHOLDER.findall(target.get("legendFormat", "")))
            for line in asking.ask(panel, target):
                assert named_by <= line.labels.keys(), (panel.title, line.labels)
        names = [line.name for line in asking.ask_all(panel)]
        if panel.kind in ("timeseries", "state-timeline"):
            assert len(set(names)) == len(names), (panel.title, names)


def test_rollback_is_marked_when_it_was(seen: Backfilled) -> None:
    board = board_of("model")

    marked = {event.name: event.times for event in asker(seen, board).events(board)}

    begin = seen.end - SECONDS
    assert [round((time - begin) / SECONDS, 1) for time in marked["Promoted"]] == [0.4]
    assert [round((time - begin) / SECONDS, 2) for time in marked["Rolled back"]] == [pytest.approx(0.55, abs=0.02)]


def test_start_of_the_operator_is_marked(seen: Backfilled) -> None:
    board = board_of("operator")

    (started,) = asker(seen, board).events(board)

    assert [round((time - seen.end) / SECONDS, 1) for time in started.times] == [-0.3]


def test_fleet_has_a_line_for_each_model_with_what_is_known_of_it(seen: Backfilled) -> None:
    board = board_of("fleet")
    asking = asker(seen, board)
    (panel,) = (panel for panel in board.panels({}) if panel.kind == "table")

    table = table_of(panel, asking.ask_all(panel))

    rows: list[dict[str, Any]] = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    by_model = {row["Model"]: row for row in rows}
    assert len(rows) == len(by_model) == 5
    assert rows[0]["Model"] == "chargeback", "most evidence first"
    news = by_model["news-classifier"]
    assert (news["State"], news["Serving revision"], news["Alerts"]) == ("RolledBack", "news-classifier-5d1f0c2b7e", 1)
    assert news["From"] < news["Value"] < news["To"]
    assert by_model["fraud-detector"]["Judged by"] == "precision"
    assert by_model["ranker"]["Errors"] == 0
    assert all(cell is not None for row in rows for cell in row.values())


@pytest.mark.parametrize(("name", "theme"), [("fleet", "dark"), ("model", "light"), ("operator", "dark")])
def test_every_panel_can_be_drawn(seen: Backfilled, name: str, theme: str, tmp_path: Path) -> None:
    code = run(seen, "--dashboards", name, "--theme", theme, "--output", str(tmp_path))

    picture = matplotlib.image.imread(tmp_path / f"{name}.png")
    assert code == 0
    assert picture.shape[1] == 24 * 66 + 8
    assert len(np.unique(picture[::7, ::7].reshape(-1, 4), axis=0)) > 100


def test_check_passes_where_there_is_everything(seen: Backfilled, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(seen, "--check") == 0
    assert "Every query has its answer" in capsys.readouterr().out


def test_check_names_the_query_without_an_answer(
    seen: Backfilled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (DIRECTORY / "operator.json").read_text(encoding="utf-8")
    (tmp_path / "operator.json").write_text(text.replace("process_open_fds", "process_closed_fds"), encoding="utf-8")
    monkeypatch.setattr(command_line, "DASHBOARDS", tmp_path)

    assert run(seen, "--dashboards", "operator", "--check") == 1
    assert "Open files: EMPTY" in capsys.readouterr().out


def test_check_names_the_query_that_prometheus_refuses(
    seen: Backfilled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (DIRECTORY / "operator.json").read_text(encoding="utf-8")
    (tmp_path / "operator.json").write_text(text.replace("process_open_fds", "process_open_fds("), encoding="utf-8")
    monkeypatch.setattr(command_line, "DASHBOARDS", tmp_path)

    assert run(seen, "--dashboards", "operator", "--check") == 1
    assert "parse error" in capsys.readouterr().out


def test_model_that_prometheus_does_not_know_is_told(seen: Backfilled, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(seen, "--check", model="nobody") == 1
    assert "knows no nobody of $model" in capsys.readouterr().err


def run(seen: Backfilled, *arguments: str, model: str = "news-classifier") -> int:
    """Run the command line of the pictures, at the end of what was seen."""
    where = ["--prometheus", seen.prometheus.url, "--namespace", "demo", "--model", model]
    when = ["--range", "1h", "--end", repr(seen.end), "--scrape-interval", str(STEP)]
    return command_line.main([*where, *when, *arguments])


# --- The component -----------------------------------------------------------------------------------------


def test_rules_are_sound(tmp_path: Path) -> None:
    command: Sequence[str | Path] = (debian.command("promtool"), "check", "rules", "--lint=all", rule_groups(tmp_path))

    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_component_brings_the_dashboards_to_grafana(control_plane: ControlPlane, tmp_path: Path) -> None:
    directory = overlay(
        tmp_path, "resources: ['{manifests}/default']\ncomponents: ['{manifests}/components/dashboards']\n"
    )

    documents = build(control_plane, directory)

    namespace = only(documents, "PrometheusRule")["metadata"]["namespace"]
    for name in NAMES:
        found = only(documents, "ConfigMap", f"modeldeployment-dashboard-{name}")
        assert found["metadata"]["name"] == f"modeldeployment-dashboard-{name}"
        assert found["metadata"]["namespace"] == namespace == "modelops-system"
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert found["metadata"]["annotations"] == {"grafana_folder": "Models"}
        assert json.loads(found["data"][f"{name}.json"])["uid"] == f"modelops-{name}"
        assert len(json.dumps(found)) < 262_144, "kubectl apply keeps a copy in an annotation, and has no more room"


def test_component_can_be_patched_as_it_says(control_plane: ControlPlane, tmp_path: Path) -> None:
    head = (REPOSITORY / "manifests/components/dashboards/kustomization.yaml").read_text(encoding="utf-8")
    patches = [line.removeprefix("#   ") for line in head.splitlines() if line.startswith("#   ")]
    base = "resources: ['{manifests}/default']\ncomponents: ['{manifests}/components/dashboards']\n"
    directory = overlay(tmp_path, base + "\n".join(patches))

    documents: list[dict[str, Any]] = build(control_plane, directory)

    dashboards = [part for part in documents if part["metadata"]["name"].startswith("modeldeployment-dashboard-")]
    assert [part["metadata"]["annotations"] for part in dashboards] == [{"grafana_folder": "Platform"}] * len(NAMES)
    assert only(documents, "PrometheusRule")["metadata"]["labels"]["release"] == "kube-prometheus-stack"
