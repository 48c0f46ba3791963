"""Tables, made of the answers as the panel's transformations say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.pictures.answers import Line
from tests.pictures.boards import Panel

Cell = float | str | None


@dataclass(frozen=True)
class Table:
    """Names of columns, and rows of as many cells."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


def table_of(panel: Panel, lines: Sequence[Line]) -> Table:
    """Apply a panel's transformations. One that is not known here is an error: the picture would not be Grafana's."""
    several = len(panel.json["targets"]) > 1
    letters = [target["refId"] for target in panel.json["targets"]]
    frames = [
        _frame([line for line in lines if line.query == letter], f"Value #{letter}" if several else "Value")
        for letter in letters
    ]
    for transformation in panel.json.get("transformations", ()):
        frames = [_APPLY[transformation["id"]](frames, transformation["options"])]
    return _sorted(panel, frames[0])


def _frame(lines: Sequence[Line], value: str) -> Table:
    labels = sorted({label for line in lines for label in line.labels})
    rows = [[*(line.labels.get(label) for label in labels), line.last] for line in lines]
    return Table([*labels, value], rows) if lines else Table([], [])


def _merge(frames: Sequence[Table], _options: Mapping[str, Any]) -> Table:
    """Put the rows together that have the same values in the columns that all frames share."""
    filled = [frame for frame in frames if frame.columns]
    if not filled:
        return Table([], [])
    shared = [name for name in filled[0].columns if all(name in frame.columns for frame in filled)]
    merged: dict[tuple[Cell, ...], dict[str, Cell]] = {}
    for frame in filled:
        for row in frame.rows:
            cells = dict(zip(frame.columns, row, strict=True))
            merged.setdefault(tuple(cells[name] for name in shared), {}).update(cells)
    columns = list(dict.fromkeys(name for frame in filled for name in frame.columns))
    return Table(columns, [[row.get(name) for name in columns] for row in merged.values()])


def _organize(frames: Sequence[Table], options: Mapping[str, Any]) -> Table:
    (frame,) = frames
    order: Mapping[str, int] = options["indexByName"]
    kept = [name for name in frame.columns if not options["excludeByName"].get(name)]
    kept.sort(key=lambda name: order.get(name, len(order)))
    places = [frame.columns.index(name) for name in kept]
    names = [options["renameByName"].get(name, name) for name in kept]
    return Table(names, [[row[place] for place in places] for row in frame.rows])


def _matrix(frames: Sequence[Table], options: Mapping[str, Any]) -> Table:
    (frame,) = frames
    if not frame.columns:
        return frame
    by_row, by_column, value = (
        frame.columns.index(options[name]) for name in ("rowField", "columnField", "valueField")
    )
    columns = list(dict.fromkeys(row[by_column] for row in frame.rows))
    cells = {(row[by_row], row[by_column]): row[value] for row in frame.rows}
    names = list(dict.fromkeys(row[by_row] for row in frame.rows))
    rows = [[name, *(cells.get((name, column), 0.0) for column in columns)] for name in names]
    return Table([f"{options['rowField']}\\{options['columnField']}", *map(str, columns)], rows)


def _sort_by(frames: Sequence[Table], options: Mapping[str, Any]) -> Table:
    (frame,), (by,) = frames, options["sort"]
    if by["field"] not in frame.columns:
        return frame
    place = frame.columns.index(by["field"])
    return Table(frame.columns, sorted(frame.rows, key=lambda row: str(row[place]), reverse=by["desc"]))


def _sorted(panel: Panel, table: Table) -> Table:
    for by in panel.json["options"].get("sortBy", ()):
        if by["displayName"] in table.columns:
            place = table.columns.index(by["displayName"])
            rows = sorted(
                table.rows,
                key=lambda row: (row[place] is not None, row[place] or 0),
                reverse=by["desc"],
            )
            return Table(table.columns, rows)
    return table


_APPLY = {"merge": _merge, "organize": _organize, "groupingToMatrix": _matrix, "sortBy": _sort_by}
