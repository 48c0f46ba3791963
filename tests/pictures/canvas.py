"""A page in pixels, on which panels are drawn: matplotlib's figure with the origin at the top left."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D, Transform

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 100
_FONT = FontProperties(family="DejaVu Sans")
POINTS = 72 / DPI
"""Of a pixel."""


@dataclass(frozen=True)
class Theme:
    """Colours of everything but the data."""

    page: str
    panel: str
    edge: str
    grid: str
    text: str
    quiet: str


DARK = Theme("#111217", "#181b1f", "#2c3036", "#2f333a", "#d5d6de", "#9da0ab")
LIGHT = Theme("#f4f5f5", "#ffffff", "#dfe1e4", "#e4e6e9", "#24292e", "#6b7079")
THEMES = {"dark": DARK, "light": LIGHT}


@dataclass(frozen=True)
class Box:
    """A rectangle of the page, in pixels from its top left."""

    x: float
    y: float
    width: float
    height: float

    def inside(self, left: float = 0, top: float = 0, right: float = 0, bottom: float = 0) -> Box:
        """Return what is left within margins."""
        return Box(self.x + left, self.y + top, self.width - left - right, self.height - top - bottom)


class Canvas:
    """The page."""

    def __init__(self, width: int, height: int, theme: Theme) -> None:
        self.theme = theme
        self._width, self._height = width, height
        self.figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=theme.page)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 12,
        colour: str | None = None,
        align: str = "left",
    ) -> None:
        """Write words whose middle is at `y`; sizes are in pixels."""
        self.figure.text(
            x / self._width,
            1 - y / self._height,
            words.replace("$", r"\$"),
            fontsize=size * POINTS,
            color=colour or self.theme.text,
            ha=align,
            va="center_baseline",
            fontfamily=_FONT.get_family(),
        )

    def rectangle(self, box: Box, colour: str, *, edge: str | None = None, round_by: float = 0) -> None:
        """Fill a box."""
        place = (box.x, self._height - box.y - box.height)
        size = (box.width, box.height)
        scaled = self._to_figure()
        patch: FancyBboxPatch | Rectangle
        if round_by:
            style = f"round,pad=0,rounding_size={round_by}"
            patch = FancyBboxPatch(place, *size, boxstyle=style, fc=colour, ec=edge or colour, lw=0.8, transform=scaled)
        else:
            patch = Rectangle(place, *size, fc=colour, ec=edge or "none", lw=0.8, transform=scaled)
        patch.set_zorder(-1)  # Below the axes, which are drawn among the figure's parts.
        self.figure.add_artist(patch)

    def axes(self, box: Box) -> Axes:
        """Return axes that fill a box."""
        return self.figure.add_axes(
            (
                box.x / self._width,
                1 - (box.y + box.height) / self._height,
                box.width / self._width,
                box.height / self._height,
            )
        )

    def _to_figure(self) -> Transform:
        return Affine2D().scale(1 / self._width, 1 / self._height) + self.figure.transFigure


def width_of(words: str, size: float) -> float:
    """Return how many pixels words take at a size."""
    return _width(words) * size


@cache
def _width(words: str) -> float:
    """Return the width of words at a size of one."""
    if not words.strip():
        return len(words) * 0.3
    extent = TextPath((0, 0), words.replace("$", r"\$"), size=100, prop=_FONT).get_extents()
    return float(extent.x1) / 100


def shortened(words: str, size: float, room: float) -> str:
    """Cut words that do not fit."""
    if width_of(words, size) <= room:
        return words
    while words and width_of(f"{words}…", size) > room:
        words = words[:-1]
    return f"{words}…"


def wrapped(words: str, size: float, room: float) -> list[str]:
    """Break words into lines that fit."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if width_of(longer, size) <= room or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
