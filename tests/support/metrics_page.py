"""Reads the tables of operator/METRICS.md, so that what is exposed can be held against what is promised."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prometheus_client.metrics_core import Metric

PAGE: Final = Path(__file__).parents[2] / "operator/METRICS.md"
POD: Final = "Of a pod"
POD_OPTIONS: Final = "Of a pod, by options"
OPERATOR: Final = "Of the operator"
_CODE: Final = re.compile(r"`([^`]+)`")
_OF_THE_LIBRARY: Final = ("process_", "python_gc_")


@dataclass(frozen=True)
class Family:
    """What is said of a metric."""

    type: str
    labels: frozenset[str]


def described(heading: str) -> dict[str, Family]:
    """The metrics under a heading of the page, by name. Those that a row has as `process_…` are left out."""
    found = {}
    for names, kind, labels, *_ in _rows(heading):
        family = Family(kind.partition(",")[0], frozenset(_labels(labels)))
        found.update(dict.fromkeys(_names(names), family))
    return found


def alerts(heading: str = "Alerts of each ModelDeployment") -> dict[str, str]:
    """The alerts under a heading of the page: severity by name."""
    return {name.strip("`"): severity for name, severity, _ in _rows(heading)}


def exposed(families: Iterable[Metric]) -> dict[str, Family]:
    """What a parser has read, by the names that the page has. All samples of a metric have to have the same labels."""
    found = {}
    for family in families:
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")  # The parsers cut it off.
        if name.startswith(_OF_THE_LIBRARY):
            continue
        labels = {frozenset(sample.labels) - {"le"} for sample in family.samples}
        assert len(labels) == 1, f"{name} has {len(labels)} sets of labels: {labels}"
        kind = "gauge" if family.type == "info" else family.type  # The text format has no type for it.
        found[name] = Family(kind, labels.pop())
    return found


def _rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, of the rows that begin with code."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def _names(cell: str) -> list[str]:
    """`a_b`, `c_d`: both; `a_b` `_c`: a_b and a_c."""
    first, *others = _CODE.findall(cell)
    whole = (first.rpartition("_")[0] + other if other.startswith("_") else other for other in others)
    return [name for name in (first, *whole) if not name.endswith("…")]


def _labels(cell: str) -> set[str]:
    """`actual`, `predicted`: names of classes → actual, predicted."""
    return {word for part in cell.partition(":")[0].split(",") for word in [part.strip().strip("`")] if word}
