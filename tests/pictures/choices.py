"""The dashboards' variables: what they can be, and what is chosen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.pictures.boards import Board
from tests.support.prometheus import Prometheus

_LABEL_VALUES = re.compile(r"label_values\((?P<metric>.+), (?P<label>\w+)\)")
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


class NothingToChooseError(Exception):
    """Prometheus knows no value for a variable that must have one."""


@dataclass(frozen=True)
class Span:
    """The time that is shown."""

    start: float
    end: float
    """Unix time, in seconds."""
    scrape: float
    """Seconds between two readings, as Grafana's data source has it."""

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def step(self) -> float:
        """Seconds between two points; Grafana asks for about one for each two pixels."""
        return max(self.scrape, round(self.seconds / 300))

    @property
    def intervals(self) -> dict[str, str]:
        """Grafana's own variables."""
        rate = max(self.step + self.scrape, 4 * self.scrape)
        return {
            "__interval": f"{self.step:.0f}s",
            "__rate_interval": f"{rate:.0f}s",
            "__range": f"{self.seconds:.0f}s",
        }


@dataclass(frozen=True)
class Choices:
    """Values of the variables, as they are put into queries."""

    values: Mapping[str, str]
    options: Mapping[str, Sequence[str]]
    """Of variables of several values: all of them."""

    def put_into(self, text: str, scope: Mapping[str, str] | None = None) -> str:
        """Replace the variables that a text names; other signs of dollars stay."""
        known = {**self.values, **(scope or {})}
        return _VARIABLE.sub(lambda found: known.get(found[1], found[0]), text)


def choose(board: Board, prometheus: Prometheus, span: Span, wanted: Mapping[str, str]) -> Choices:
    """Find the values of a dashboard's variables. Of several: all. Of one: the wanted, or the first."""
    choices = Choices(span.intervals, {})
    for variable in board.json["templating"]["list"]:
        name = variable["name"]
        if variable["type"] == "datasource":
            continue
        found = _LABEL_VALUES.fullmatch(variable["query"]["query"])
        assert found, variable["query"]
        metric, label = choices.put_into(found["metric"]), found["label"]
        there = prometheus.query(f"group by ({label}) (last_over_time({metric}[{span.seconds:.0f}s]))", span.end)
        values = sorted(sample.labels[label] for sample in there if label in sample.labels)
        if variable["includeAll"]:
            chosen = variable["allValue"]
        elif name in wanted:
            chosen = wanted[name]
        else:
            chosen = values[0] if values else ""
        if not values or (name in wanted and not variable["includeAll"] and chosen not in values):
            raise NothingToChooseError(
                f"{board.title}: Prometheus knows no {chosen or 'value'} of ${name} ({metric}, label {label}); it has "
                f"{', '.join(values) or 'none'}. Is it scraping the operator?"
            )
        choices = Choices({**choices.values, name: chosen}, {**choices.options, name: values})
    return choices
