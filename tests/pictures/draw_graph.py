"""Lines over time, and which state held when."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tests.pictures.answers import Event, Line
from tests.pictures.boards import Panel
from tests.pictures.canvas import POINTS, Box, Canvas, width_of
from tests.pictures.choices import Span
from tests.pictures.fields import Field, colour, field_of, unit_size, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SMALL = 11.0
LEGEND_LINE = 17
TICKS = (60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 86400)
"""Seconds between two marks of the axis of time."""
Palette = Callable[[str], str]
Curve = tuple[Any, Any]
"""Times and values, as arrays; not a number where there is nothing."""


def draw_graph(
    canvas: Canvas, box: Box, panel: Panel, lines: Sequence[Line], events: Sequence[Event], span: Span, palette: Palette
) -> None:
    """Draw a panel of lines."""
    fields = {line.name: field_of(panel, line.name) for line in lines}
    colours = {name: colour(field.get("color.fixedColor")) or palette(name) for name, field in fields.items()}
    curves = {line.name: _curve(line, span) for line in lines}
    whole = field_of(panel, "")
    stacked = whole.get("custom.stacking.mode", "none") == "normal"
    low, high = _scale(whole, _stacked(curves) if stacked else curves)
    ticks = _ticks(low, high, whole.unit)
    labels = [written(tick, whole.unit) for tick in ticks]
    below = legend(canvas, box, [(name, colours[name]) for name in fields])
    left = max(width_of(label, SMALL) for label in labels) + 18
    axes = canvas.axes(box.inside(left=left, right=10, top=4, bottom=below + 22))
    _dress(canvas, axes, span)
    if stacked:
        _areas(axes, _stacked(curves), colours)
    else:
        _lines(axes, curves, fields, colours)
    for value, ink in whole.limits:
        axes.axhline(value, color=ink, lw=1, ls=(0, (6, 4)), alpha=0.8)
    axes.set_ylim(low, high)
    axes.set_yticks(ticks, labels)
    for event in events:
        mark = colour(event.colour)
        for time in event.times:
            axes.axvline(time, color=mark, lw=1, ls=(0, (4, 3)))
            axes.plot([time], [0], "^", ms=6, color=mark, transform=axes.get_xaxis_transform(), clip_on=False)


def draw_timeline(canvas: Canvas, box: Box, panel: Panel, lines: Sequence[Line], span: Span) -> None:
    """Draw a line of states for each series."""
    shown = {line.name: field_of(panel, line.name) for line in lines}
    states = {
        entry["text"]: str(colour(entry["color"]))
        for mapping in panel.defaults["mappings"]
        for entry in mapping["options"].values()
    }
    below = legend(canvas, box, list(states.items()))
    names = sorted(shown)
    left = min(max(width_of(name, SMALL) for name in names) + 16, box.width * 0.4)
    room = box.inside(left=left, right=10, top=4, bottom=below + 22)
    axes = canvas.axes(room)
    _dress(canvas, axes, span)
    axes.grid(visible=False)
    axes.set_ylim(len(names), 0)
    axes.set_yticks([number + 0.5 for number in range(len(names))], names)
    for line in lines:
        for start, end, value in _runs(line, span):
            state = shown[line.name].show(value)
            axes.barh(
                names.index(line.name) + 0.5, end - start, left=start, height=0.72, color=state.colour, alpha=0.85, lw=0
            )
            if (end - start) / span.seconds * room.width > width_of(state.text, SMALL) + 8:
                middle = ((start + end) / 2, names.index(line.name) + 0.5)
                axes.text(*middle, state.text, ha="center", va="center", color="#111217", fontsize=SMALL * POINTS)


def legend(canvas: Canvas, box: Box, entries: Sequence[tuple[str, str]]) -> float:
    """Write the names at the bottom of a box, and return how high that is."""
    rows: list[list[tuple[str, str, float]]] = [[]]
    x = 0.0
    for name, ink in entries:
        width = width_of(name, SMALL) + 34
        if x + width > box.width - 16 and rows[-1]:
            rows.append([])
            x = 0.0
        rows[-1].append((name, ink, x))
        x += width
    height = LEGEND_LINE * len(rows)
    for number, row in enumerate(rows):
        y = box.y + box.height - height + number * LEGEND_LINE + LEGEND_LINE / 2
        for name, ink, start in row:
            canvas.rectangle(Box(box.x + 10 + start, y - 2, 14, 4), ink, round_by=1.5)
            canvas.text(box.x + 29 + start, y, name, size=SMALL, colour=canvas.theme.quiet)
    return height + 4


def _dress(canvas: Canvas, axes: Axes, span: Span) -> None:
    theme = canvas.theme
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.grid(visible=True, color=theme.grid, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.quiet, labelsize=SMALL * POINTS, length=0)
    axes.set_xlim(span.start, span.end)
    every = next((step for step in TICKS if span.seconds / step <= 7), 7 * TICKS[-1])
    first = math.ceil(span.start / every) * every
    axes.set_xticks([time for time in np.arange(first, span.end, every) if time - span.start > span.seconds * 0.02])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda time, _: f"{datetime.fromtimestamp(time, UTC):%H:%M}"))


def _curve(line: Line, span: Span) -> Curve:
    """Return all points of the time; a gap is not a number, so that no line bridges it."""
    times = np.arange(span.start, span.end + span.step / 2, span.step)
    values = np.full(len(times), np.nan)
    for time, value in line.points:
        place = round((time - span.start) / span.step)
        if 0 <= place < len(times) and math.isfinite(value):
            values[place] = value
    return times, values


def _stacked(curves: Mapping[str, Curve]) -> dict[str, Curve]:
    """Put each curve upon those before it."""
    base: Any = 0.0
    stacked = {}
    for name, (times, values) in curves.items():
        base = base + np.nan_to_num(values)
        stacked[name] = (times, np.where(np.isnan(values), np.nan, base))
    return stacked


def _areas(axes: Axes, stacked: Mapping[str, Curve], colours: Mapping[str, str]) -> None:
    base: Any = 0.0
    for name, (times, top) in stacked.items():
        axes.fill_between(times, base, top, color=colours[name], alpha=0.3, lw=0)
        axes.plot(times, top, color=colours[name], lw=1.5, marker=_marker(top), ms=3)
        base = np.where(np.isnan(top), base, top)


def _lines(axes: Axes, curves: Mapping[str, Curve], fields: Mapping[str, Field], colours: Mapping[str, str]) -> None:
    for name, (times, values) in curves.items():
        field, ink = fields[name], colours[name]
        dashed = field.get("custom.lineStyle.fill") == "dash"
        width = float(field.get("custom.lineWidth", 1)) * 1.1
        axes.plot(times, values, color=ink, lw=width, ls=(0, (5, 4)) if dashed else "-", marker=_marker(values), ms=3)
        opacity = float(field.get("custom.fillOpacity", 0)) / 100
        if (other := field.get("custom.fillBelowTo")) in curves:
            axes.fill_between(times, values, curves[other][1], color=ink, alpha=opacity, lw=0)


def _marker(values: Any) -> str:
    """Show points that have no neighbours, which lines alone would not."""
    return "o" if np.count_nonzero(~np.isnan(values)) < 3 else ""


def _scale(field: Field, curves: Mapping[str, Curve]) -> tuple[float, float]:
    """Return the ends of the axis: as they are set, or else with room around the values."""
    seen = [value for _, values in curves.values() for value in values if not math.isnan(value)]
    low, high = min(seen), max(seen)
    room = high - field.settings.get("min", low) or abs(high)
    if not room:  # Nothing but zeros.
        room = high = max((limit for limit, _ in field.limits), default=1.0)
    low = field.settings.get("min", low - room * 0.06)
    high = max(high + room * 0.08, field.get("custom.axisSoftMax", high) * 1.02)
    if "max" in field.settings:
        high = field.settings["max"] * 1.004
    return low, max(high, low + 1e-9)


def _ticks(low: float, high: float, unit: str) -> list[float]:
    """Return round values in the unit that the highest is written in."""
    size = unit_size(high, unit)
    marks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(low / size, high / size)
    return [float(round(mark, 9) * size) for mark in marks if low <= mark * size <= high * 1.0001]


def _runs(line: Line, span: Span) -> list[tuple[float, float, float]]:
    """Put equal values in a row together: start, end, value."""
    runs: list[tuple[float, float, float]] = []
    for time, value in line.points:
        if runs and runs[-1][2] == value and time - runs[-1][1] < span.step / 2:
            runs[-1] = (runs[-1][0], time + span.step, value)
        else:
            runs.append((time, time + span.step, value))
    return [(start, min(end, span.end), value) for start, end, value in runs]
