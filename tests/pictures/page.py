"""A whole dashboard as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.pictures.answers import Asker, Event, Line
from tests.pictures.boards import Board, Panel, lines
from tests.pictures.canvas import DPI, Box, Canvas, Theme, shortened, width_of, wrapped
from tests.pictures.draw_graph import draw_graph, draw_timeline
from tests.pictures.draw_values import draw_stat, draw_table
from tests.pictures.fields import PALETTE, colour

COLUMN, LINE, GAP, HEAD = 66, 38, 8, 62
"""Pixels of a column and of a line of the grid, between panels, and of the title."""
PANEL_HEAD = 32


def draw(board: Board, asker: Asker, theme: Theme, path: Path, sections: Sequence[str] = (), scale: float = 1) -> None:
    """Draw a dashboard, or some of its sections, to a PNG file."""
    panels = board.panels(asker.choices.options, sections)
    canvas = Canvas(24 * COLUMN + GAP, lines(panels) * LINE + HEAD + GAP, theme)
    palette, events = _Palette(), asker.events(board)
    _head(canvas, board, asker, events)
    for panel in panels:
        _panel(canvas, asker, panel, events, palette)
    canvas.figure.savefig(path, dpi=DPI * scale)


class _Palette:
    """Gives each name a colour, the same in all panels of a picture."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        return self._names.setdefault(name, PALETTE[len(self._names) % len(PALETTE)])


def _head(canvas: Canvas, board: Board, asker: Asker, events: Sequence[Event]) -> None:
    theme = canvas.theme
    canvas.text(14, 22, board.title, size=19)
    chosen = [
        f"{variable['label']}: {'All' if variable['includeAll'] else asker.choices.values[variable['name']]}"
        for variable in board.json["templating"]["list"]
        if variable["type"] == "query"
    ]
    start, end = (datetime.fromtimestamp(time, UTC) for time in (asker.span.start, asker.span.end))
    canvas.text(14, 48, "    ".join(chosen), size=13, colour=theme.quiet)
    when = f"{start:%Y-%m-%d %H:%M} to {end:%H:%M} UTC"
    canvas.text(24 * COLUMN - 6, 22, when, size=13, colour=theme.quiet, align="right")
    x = 24 * COLUMN - 6.0
    for event in events:
        canvas.text(x, 48, f"▲ {event.name}", size=13, colour=colour(event.colour), align="right")
        x -= width_of(f"▲ {event.name}", 13) + 20


def _panel(canvas: Canvas, asker: Asker, panel: Panel, events: Sequence[Event], palette: _Palette) -> None:
    box = Box(
        panel.x * COLUMN + GAP,
        panel.y * LINE + HEAD,
        panel.width * COLUMN - GAP,
        panel.height * LINE - GAP,
    )
    if panel.kind == "row":
        canvas.text(box.x + 4, box.y + box.height / 2 + 2, f"▾  {panel.title}", size=15)
        return
    canvas.rectangle(box, canvas.theme.panel, edge=canvas.theme.edge, round_by=3)
    title = asker.choices.put_into(panel.title, panel.scope)
    canvas.text(box.x + 10, box.y + 17, shortened(title, 13.5, box.width - 20), size=13.5)
    found = asker.ask_all(panel)
    inner = box.inside(top=PANEL_HEAD, bottom=4)
    if not found:
        _nothing(canvas, inner, panel)
        return
    _content(canvas, inner, panel, found, asker, events, palette)


def _content(
    canvas: Canvas,
    box: Box,
    panel: Panel,
    found: Sequence[Line],
    asker: Asker,
    events: Sequence[Event],
    palette: _Palette,
) -> None:
    if panel.kind == "timeseries":
        draw_graph(canvas, box, panel, found, events, asker.span, palette)
    elif panel.kind == "state-timeline":
        draw_timeline(canvas, box, panel, found, asker.span)
    elif panel.kind == "stat":
        draw_stat(canvas, box, panel, found)
    elif panel.kind == "table":
        draw_table(canvas, box, panel, found)
    else:
        raise NotImplementedError(f"{panel.title}: panels of type {panel.kind} are not drawn yet")


def _nothing(canvas: Canvas, box: Box, panel: Panel) -> None:
    words = wrapped(panel.no_value, 13, box.width - 24)
    top = box.y + box.height / 2 - (len(words) - 1) * 9
    for number, line in enumerate(words):
        canvas.text(box.x + box.width / 2, top + number * 18, line, size=13, colour=canvas.theme.quiet, align="center")
