"""Numbers and tables of now."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.colors import to_hex, to_rgb

from tests.pictures.answers import Line
from tests.pictures.boards import Panel
from tests.pictures.canvas import Box, Canvas, shortened, width_of
from tests.pictures.fields import NAMED, Field, Shown, field_of
from tests.pictures.tables import Cell, Table, table_of

SIZE = 12.5
ROW = 27
BLUE = "#3274D9"


def draw_stat(canvas: Canvas, box: Box, panel: Panel, lines: Sequence[Line]) -> None:
    """Draw one number, or one name, as large as fits."""
    line = lines[0]
    shown = field_of(panel, line.name).show(line.last)
    named = panel.json["options"]["textMode"] == "name"
    words = line.name if named else shown.text
    size = next(size for size in range(42, 6, -1) if width_of(words, size) < box.width - 20 or size == 7)
    canvas.text(
        box.x + box.width / 2,
        box.y + box.height / 2,
        words,
        size=size,
        colour=shown.colour,
        align="center",
    )


def draw_table(canvas: Canvas, box: Box, panel: Panel, lines: Sequence[Line]) -> None:
    """Draw a table; what does not fit is cut at the bottom, as it is in Grafana before one scrolls."""
    table = table_of(panel, lines)
    fields = [field_of(panel, name) for name in table.columns]
    widths = _widths(table, fields, box.width - 16)
    top = max((value for row in table.rows for value in row if isinstance(value, float)), default=1.0)
    x = box.x + 8
    fitting = table.rows[: int((box.height - ROW) // ROW)]
    for place, (name, field, width) in enumerate(zip(table.columns, fields, widths, strict=True)):
        numbers = any(isinstance(row[place], float) for row in table.rows)
        _write(canvas, Box(x, box.y, width, ROW), name, NAMED["blue"], right=numbers)
        for number, row in enumerate(fitting):
            cell = Box(x, box.y + ROW * (number + 1), width, ROW)
            shown = field.show(row[place])
            ink = _ink(canvas, cell, field, shown, row[place], top)
            _write(canvas, cell, shown.text, ink, right=numbers)
        x += width
    for number in range(len(fitting) + 1):
        canvas.rectangle(Box(box.x + 8, box.y + ROW * (number + 1), sum(widths), 0.8), canvas.theme.grid)


def _ink(canvas: Canvas, cell: Box, field: Field, shown: Shown, value: Cell, top: float) -> str | None:
    """Colour the text of a cell, or what is behind it."""
    mode = field.get("custom.cellOptions.type")
    if mode == "color-text":
        return shown.colour
    if mode == "color-background" and isinstance(value, float) and math.isfinite(value):
        share = min(1.0, value / (field.settings.get("max") or top or 1.0))
        behind = _between(canvas.theme.panel, BLUE, share)
        canvas.rectangle(cell.inside(left=1, right=1, top=1), behind)
        return "#ffffff" if share > 0.55 else None
    return None


def _write(canvas: Canvas, cell: Box, words: str, ink: str | None, *, right: bool) -> None:
    words = shortened(words, SIZE, cell.width - 12)
    x = cell.x + cell.width - 6 if right else cell.x + 6
    canvas.text(x, cell.y + cell.height / 2, words, size=SIZE, colour=ink, align="right" if right else "left")


def _widths(table: Table, fields: Sequence[Field], room: float) -> list[float]:
    """Return the widths that are set; the other columns share what is left."""
    fixed = [float(field.get("custom.width", 0)) for field in fields]
    free = fixed.count(0) or 1
    left = max(room - sum(fixed), free * 60)
    widths = [width or left / free for width in fixed]
    scale = room / sum(widths) if table.columns else 1.0
    return [width * scale for width in widths]


def _between(one: str, other: str, share: float) -> str:
    red, green, blue = (a + (b - a) * share for a, b in zip(to_rgb(one), to_rgb(other), strict=True))
    return to_hex((red, green, blue))
