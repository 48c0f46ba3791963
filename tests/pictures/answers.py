"""What Prometheus answers to a panel's queries."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.pictures.boards import Board, Panel
from tests.pictures.choices import Choices, Span
from tests.support.prometheus import Prometheus

_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Line:
    """One series of a panel, or one value of now."""

    query: str
    """The letter of the query that it answers."""
    name: str
    labels: Mapping[str, str]
    points: Points

    @property
    def last(self) -> float:
        return self.points[-1][1]


@dataclass(frozen=True)
class Event:
    """An annotation."""

    name: str
    colour: str
    times: tuple[float, ...]


@dataclass(frozen=True)
class Asker:
    """Asks for the time that is shown, with the values that are chosen."""

    prometheus: Prometheus
    span: Span
    choices: Choices

    def ask(self, panel: Panel, target: Mapping[str, Any]) -> list[Line]:
        """Return the answer to one query. Series without a number are none."""
        expression = self.choices.put_into(target["expr"], panel.scope)
        letter, legend = target["refId"], target.get("legendFormat", "")
        if target.get("instant"):
            found: list[tuple[Mapping[str, str], Points]] = [
                (sample.labels, ((sample.time, sample.value),))
                for sample in self.prometheus.query(expression, self.span.end)
            ]
        else:
            ranged = self.prometheus.query_range(expression, self.span.start, self.span.end, self.span.step)
            found = [(series.labels, series.points) for series in ranged]
        lines = [Line(letter, called(legend, labels), labels, points) for labels, points in found]
        return [line for line in lines if any(math.isfinite(value) for _, value in line.points)]

    def ask_all(self, panel: Panel) -> list[Line]:
        """Return the answers to all queries of a panel."""
        return [line for target in panel.json.get("targets", ()) for line in self.ask(panel, target)]

    def events(self, board: Board) -> list[Event]:
        """Return the annotations; of points in a row only the first, as it is when it happened."""
        found = []
        for annotation in board.annotations:
            expression = self.choices.put_into(annotation["expr"])
            series = self.prometheus.query_range(expression, self.span.start, self.span.end, self.span.step)
            times: set[float] = set()
            for one in series:
                times |= set(_times(one.points, self.span.step, bool(annotation.get("useValueForTime"))))
            inside = tuple(sorted(time for time in times if self.span.start <= time <= self.span.end))
            found.append(Event(annotation["name"], annotation["iconColor"], inside))
        return found


def called(legend: str, labels: Mapping[str, str]) -> str:
    """Name a series as Grafana does: by the legend, or else by all labels."""
    if legend:
        return _LABEL.sub(lambda found: labels.get(found[1], ""), legend)
    return ", ".join(f"{label}={value}" for label, value in sorted(labels.items())) or "Value"


def _times(points: Points, step: float, value_is_time: bool) -> list[float]:
    if value_is_time:
        return [value / 1000 for _, value in points]
    at = [time for time, value in points if value > 0]
    return [time for before, time in zip([-math.inf, *at], at, strict=False) if time - before > step * 1.5]
