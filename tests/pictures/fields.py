"""How values are written and coloured: units, mappings and thresholds of a field."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.pictures.boards import Panel

NAMED = {
    "green": "#73BF69",
    "red": "#F2495C",
    "orange": "#FF9830",
    "blue": "#5794F2",
    "yellow": "#FADE2A",
    "semi-dark-yellow": "#E0B400",
}
PALETTE = (
    "#73BF69", "#F2CC0C", "#8AB8FF", "#FF780A", "#F2495C", "#5794F2", "#B877D9", "#37872D", "#E0B400", "#3274D9",
    "#C4162A", "#8F3BB8", "#96D98D", "#FFA6B0", "#CA95E5", "#FFCB7D",
)  # fmt: skip
STEPS: Mapping[str, tuple[tuple[float, str], ...]] = {
    "s": ((1e-6, " µs"), (1e-3, " ms"), (1, " s"), (60, " min"), (3600, " h"), (86400, " d")),
    "dtdurations": ((1, " s"), (60, " min"), (3600, " h"), (86400, " d")),
    "bytes": ((1, " B"), (2**10, " KiB"), (2**20, " MiB"), (2**30, " GiB")),
    "short": ((1, ""), (1e3, " K"), (1e6, " Mil")),
    "none": ((1, ""),),
    "reqps": ((1, " req/s"), (1e3, " K req/s")),
    "cps": ((1, " c/s"), (1e3, " K c/s")),
}


@dataclass(frozen=True)
class Shown:
    """A value as it is written, and its colour; without one it has the theme's."""

    text: str
    colour: str | None = None


@dataclass(frozen=True)
class Field:
    """What is set for one series or column: the panel's defaults, and what overrides them."""

    settings: Mapping[str, Any]

    @property
    def unit(self) -> str:
        return str(self.settings.get("unit", "short"))

    def get(self, name: str, otherwise: Any = None) -> Any:
        """Return a setting by its path, as `custom.lineWidth`."""
        found: Any = self.settings
        for part in name.split("."):
            if not isinstance(found, Mapping) or part not in found:
                return otherwise
            found = found[part]
        return found

    def show(self, value: float | str | None) -> Shown:
        """Write a value: as its mapping says, or in its unit with the colour of its threshold."""
        for mapping in self.settings.get("mappings", ()):
            if (found := _mapped(mapping, value)) is not None:
                return Shown(found["text"].replace("$1", str(value)), colour(found.get("color")))
        if value is None or isinstance(value, str):
            return Shown(value or "")
        return Shown(written(value, self.unit), self.threshold(value))

    def threshold(self, value: float) -> str | None:
        """Return the colour of the highest threshold that a value has reached."""
        reached = [step["color"] for step in self.thresholds if step["value"] is None or value >= step["value"]]
        return colour(reached[-1]) if reached else None

    @property
    def thresholds(self) -> Sequence[Mapping[str, Any]]:
        return self.settings.get("thresholds", {}).get("steps", ())  # type: ignore[no-any-return]

    @property
    def limits(self) -> list[tuple[float, str]]:
        """Values at which a line is drawn."""
        style = self.get("custom.thresholdsStyle.mode", "off")
        if style == "off":
            return []
        return [(step["value"], NAMED[step["color"]]) for step in self.thresholds if step["value"] is not None]


def field_of(panel: Panel, name: str) -> Field:
    """Return what is set for the series or column of this name."""
    settings = _copy(panel.defaults)
    for override in panel.json["fieldConfig"].get("overrides", ()):
        if override["matcher"] == {"id": "byName", "options": name}:
            for entry in override["properties"]:
                _put(settings, entry["id"].split("."), entry["value"])
    return Field(settings)


def colour(name: str | None) -> str | None:
    """Turn Grafana's name of a colour into its number."""
    if name in (None, "transparent", "text"):
        return None
    return NAMED.get(name or "", name)


def written(value: float, unit: str, digits: int = 3) -> str:
    """Write a value in its unit, with about so many digits."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    if unit == "percentunit":
        return f"{_digits(value * 100, digits)} %"
    size = unit_size(value, unit)
    return _digits(value / size, digits) + dict(STEPS[unit])[size]


def unit_size(value: float, unit: str) -> float:
    """Return how much one is of the unit that a value is written in: of an hour, 3600."""
    if unit == "percentunit":
        return 0.01
    steps = STEPS[unit]
    reached = [size for size, _ in steps if abs(value) >= size * 0.9995]
    return (reached or [steps[0][0]])[-1] if value else 1


def _digits(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(places, 4)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _mapped(mapping: Mapping[str, Any], value: float | str | None) -> Mapping[str, Any] | None:
    options = mapping["options"]
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    if mapping["type"] == "special":
        matches = (missing and options["match"] in ("null+nan", "nan")) or (value == "" and options["match"] == "empty")
        return options["result"] if matches else None
    if missing:
        return None
    text = f"{value:.0f}" if isinstance(value, float) else str(value)
    if mapping["type"] == "value":
        return options.get(text)  # type: ignore[no-any-return]
    if mapping["type"] == "regex" and re.fullmatch(options["pattern"], text):
        return options["result"]  # type: ignore[no-any-return]
    return None


def _copy(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in settings.items()}


def _put(settings: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        settings = settings.setdefault(part, {})
    settings[path[-1]] = value
