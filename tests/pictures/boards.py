"""Dashboards as their JSON says: panels in their places, repeated ones written out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

MAY_BE_EMPTY = "None: "
"""Begins what a panel says when it has nothing to show, and that is fine."""


@dataclass(frozen=True)
class Panel:
    """One panel, or the title of a section."""

    json: Mapping[str, Any]
    x: int
    y: int
    width: int
    height: int
    scope: Mapping[str, str]
    """Variables that a repeated panel has for itself."""
    section: str

    @property
    def kind(self) -> str:
        return str(self.json["type"])

    @property
    def title(self) -> str:
        return str(self.json["title"])

    @property
    def defaults(self) -> Mapping[str, Any]:
        return self.json.get("fieldConfig", {}).get("defaults", {})  # type: ignore[no-any-return]

    @property
    def no_value(self) -> str:
        return str(self.defaults.get("noValue", ""))

    @property
    def may_be_empty(self) -> bool:
        return self.no_value.startswith(MAY_BE_EMPTY)


@dataclass(frozen=True)
class Board:
    """A dashboard."""

    name: str
    json: Mapping[str, Any]

    @property
    def title(self) -> str:
        return str(self.json["title"])

    @property
    def annotations(self) -> Sequence[Mapping[str, Any]]:
        return self.json["annotations"].get("list", ())  # type: ignore[no-any-return]

    def panels(self, options: Mapping[str, Sequence[str]], sections: Sequence[str] = ()) -> list[Panel]:
        """Return the panels of some sections, or of all, moved up to where they begin."""
        placed: list[Panel] = []
        top, section, shift = 0, "", 0
        for entry in self.json["panels"]:
            if entry["type"] == "row":
                section = entry["title"]
            if sections and section not in sections:
                continue
            panels = list(_written_out(entry, section, options))
            extra = max(panel.y + panel.height for panel in panels) - entry["gridPos"]["y"] - entry["gridPos"]["h"]
            gap = entry["gridPos"]["y"] + shift - top
            if gap > 0:
                shift -= gap  # A section in between was left out.
            placed += [replace(panel, y=panel.y + shift) for panel in panels]
            shift += extra
            top = max(panel.y + panel.height for panel in placed)
        return placed


def read(path: Path) -> Board:
    """Read a dashboard."""
    return Board(path.stem, json.loads(path.read_text(encoding="utf-8")))


def _written_out(entry: Mapping[str, Any], section: str, options: Mapping[str, Sequence[str]]) -> Iterator[Panel]:
    """Yield a panel, or one for each value of the variable that it repeats for."""
    place = entry["gridPos"]
    once = Panel(entry, place["x"], place["y"], place["w"], place["h"], {}, section)
    repeat: str = entry.get("repeat", "")
    values = options.get(repeat, ())
    if not values:
        yield once
        return
    line = min(len(values), int(entry.get("maxPerRow", 4)))
    for number, value in enumerate(values):
        row, column = divmod(number, line)
        yield replace(
            once,
            x=column * (24 // line),
            y=once.y + row * once.height,
            width=24 // line,
            scope={repeat: value},
        )


def lines(panels: Sequence[Panel]) -> int:
    """Return the height of it all, in lines of the grid."""
    return math.ceil(max((panel.y + panel.height for panel in panels), default=0))
