"""Columns and paragraphs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from modeldeployment_operator.cli.text.style import Style


@dataclass(frozen=True)
class Cell:
    """A text with its look; how long it is does not depend on that."""

    text: str
    look: str = ""


Row = Sequence[Cell | str]
_LEAST: Final = 12
"""Columns that the last one has in any case."""


def table(style: Style, heads: Sequence[str], rows: Iterable[Row], *, ends: bool = False) -> list[str]:
    """Return lines with a head, as kubectl has them. The last column may be cut; of a URI its end is what matters."""
    cells = [[one if isinstance(one, Cell) else Cell(one) for one in row] for row in rows]
    shown = [index for index in range(len(heads)) if index == 0 or any(row[index].text for row in cells)]
    widths = {index: max([len(heads[index]), *(len(row[index].text) for row in cells)]) for index in shown}
    lines = []
    for row in ([Cell(head, "dim") for head in heads], *cells):
        parts, left = [], style.width
        for index in shown:
            last = index == shown[-1]
            text = _fitted(style, row[index].text, left, ends=ends) if last else row[index].text.ljust(widths[index])
            parts.append(style.paint(text, row[index].look))
            left -= widths[index] + 2
        lines.append("  ".join(parts).rstrip())
    return lines


def _fitted(style: Style, text: str, left: int, *, ends: bool) -> str:
    """Return the beginning, or the end, of a text that is too long."""
    width = max(left, _LEAST)
    if len(text) <= width or not style.cut:
        return text
    return "…" + text[-width + 1 :] if ends else text[: width - 1] + "…"


def paragraph(style: Style, text: str, indent: str = "", hanging: str | None = None) -> list[str]:
    """Return a text in lines."""
    return textwrap.wrap(
        text,
        width=style.width,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


def facts(style: Style, pairs: Iterable[tuple[str, str]], indent: str = "") -> list[str]:
    """Return names with what is said of them beside."""
    known = [(name, text) for name, text in pairs if text]
    width = max((len(name) for name, _ in known), default=0) + 2
    lines = []
    for name, text in known:
        first, *rest = paragraph(style, text, indent + " " * width) or [""]
        lines.append(indent + style.paint(name.ljust(width), "dim") + first[len(indent) + width :])
        lines += rest
    return lines
