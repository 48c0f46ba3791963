"""Small plots in one or two lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from modeldeployment_operator.cli.text.style import Style

_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_HEIGHTS: Final = " ▁▂▃▄▅▆▇█"


def bar(share: float, width: int) -> str:
    """Return a bar that is so full; it is empty at 0 alone, and full at 1 alone."""
    share = min(1.0, max(0.0, share))
    eighths = round(share * width * 8)
    if share > 0:
        eighths = max(1, eighths)
    if share < 1:
        eighths = min(width * 8 - 1, eighths)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[rest] if rest else "")).ljust(width, "·")


def interval(
    style: Style, scale: tuple[float, float], ends: tuple[float, float], value: float | None, level: float, width: int
) -> list[str]:
    """Return an axis with an interval, the value in it, and under it the level with its number.

    0.8 ├────────────╷━━━━━━━●━━━━━─────┤ 1
                     0.9
    """
    low, high = scale

    def at(number: float) -> int:
        share = (min(high, max(low, number)) - low) / (high - low)
        return min(width - 1, round(share * (width - 1)))

    signs = ["─"] * width
    first, last, mark = at(ends[0]), at(ends[1]), at(level)
    for place in range(first, last + 1):
        signs[place] = "━"
    signs[mark] = "│" if signs[mark] == "─" else "┊"
    if value is not None:
        signs[at(value)] = "●"
    bad = value is not None and value < level
    looks = ["" if sign == "─" else "yellow" if sign in "│┊" else "red" if bad else "green" for sign in signs]
    axis = "".join(style.paint(sign, look) for sign, look in zip(signs, looks, strict=True))
    left = f"{low:g} ├"
    number = f"{level:g}"
    under = " " * (len(left) + mark) + "▲ " + number
    return [f"{left}{axis}┤ {high:g}", style.paint(under, "yellow")]


def curve(shares: Sequence[float]) -> str:
    """Return shares as heights: empty at 0 alone, and full at 1 alone."""
    heights = []
    for share in shares:
        height = round(min(1.0, max(0.0, share)) * 8)
        if share > 0:
            height = max(1, height)
        if share < 1:
            height = min(7, height)
        heights.append(_HEIGHTS[height])
    return "".join(heights)
