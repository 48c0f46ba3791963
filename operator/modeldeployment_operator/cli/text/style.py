"""With what is printed: colours, signs and the width, as the terminal or the file that it goes to can have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34"}
_FALLBACKS: Final = str.maketrans(
    {
        **dict.fromkeys("█▓", "#"),
        **dict.fromkeys("░─", "-"),
        **dict.fromkeys("━═", "="),
        **dict.fromkeys("│├┤┊╷", "|"),
        **dict.fromkeys("●▲", "o"),
        **dict.fromkeys("▏▎▍▌▋▊▉", "+"),
        **dict(zip("▁▂▃▄▅▆▇", "..::+*#", strict=True)),
        "·": ".",
        "…": "~",
        "–": "-",
        "−": "-",
        "→": ">",
        "α": "alpha",
    }
)
NARROWEST: Final = 60


@dataclass(frozen=True)
class Style:
    """How to write.

    Attributes:
        width: columns.
        colour: whether colours are shown.
        unicode: whether more than ASCII is.
        cut: whether lines of a table end at the width; whoever reads a file or a pipe wants all of them.

    """

    width: int = 100
    colour: bool = False
    unicode: bool = True
    cut: bool = True

    @classmethod
    def of(cls, environment: Mapping[str, str], *, terminal: bool, width: int, encoding: str | None) -> Style:
        """Return what suits a stream."""
        colour = terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
        unicode = (encoding or "").lower().replace("-", "").startswith("utf")
        return cls(max(NARROWEST, width), colour, unicode, cut=terminal)

    def paint(self, text: str, *looks: str) -> str:
        """Return a text in colours, if there are any."""
        codes = [_CODES[look] for look in looks if look]
        return f"\x1b[{';'.join(codes)}m{text}\x1b[0m" if codes and self.colour and text else text

    def signs(self, text: str) -> str:
        """Return a text in signs that the stream can take."""
        return text if self.unicode else text.translate(_FALLBACKS).encode("ascii", "replace").decode()
