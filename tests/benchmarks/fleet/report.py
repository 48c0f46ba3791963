"""The tables, the targets and the file of one run."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.fleet.audit import WRITES
from tests.benchmarks.fleet.contestants import Figures

RESULT: Final = Path("build/bench/operator.json")
CREATE_LIMIT, EDIT_LIMIT, CREATE_FLOOR, EDIT_FLOOR = 1.25, 1.25, 2.5, 1.9
STATUS_WRITES, EVENTS, MEMORY_MIB = 3, 2, 110.0
_STATUS: Final = "patch modeldeployments/status"
_EVENT: Final = "create events"


@dataclass
class Report:
    """All that was measured, by contestant and number of models."""

    figures: dict[str, dict[int, Figures]] = field(default_factory=dict)

    def add(self, contestant: str, figures: Figures) -> None:
        """Take note of what was measured."""
        self.figures.setdefault(contestant, {})[figures.models] = figures

    def of(self, contestant: str, models: int) -> Figures:
        """Return what was measured."""
        return self.figures[contestant][models]

    def lines(self) -> Iterator[str]:
        """Yield the tables."""
        sizes = sorted(self.figures.get("ours", {}))
        yield from _table(
            ["models", "", "floor", "limit", "ours", "of the limit", "of the floor", "CPU of ours"],
            [row for models in sizes for row in self._times(models)],
        )
        yield ""
        yield from _table(
            ["models", "create: children", "status", "Events", "reads", "edit: children", "status", "Events"],
            [self._requests(models) for models in sizes],
        )
        yield ""
        yield from _table(
            ["models", "peak MiB", "writes idle", "requests idle", "restart s", "CPU s", "lists", "writes", "delete s"],
            [self._rest(models) for models in sizes],
        )

    def missed(self) -> Iterator[str]:
        """Yield what is not as it should be at the largest size."""
        models = max(self.figures["ours"])
        ours, floor, limit = (self.of(name, models) for name in ("ours", "floor", "limit"))
        held = {
            f"create within {CREATE_LIMIT} times the limit": ours.create <= CREATE_LIMIT * limit.create,
            f"edit within {EDIT_LIMIT} times the limit": ours.edit <= EDIT_LIMIT * limit.edit,
            f"create within {CREATE_FLOOR} times the floor": ours.create <= CREATE_FLOOR * floor.create,
            f"edit within {EDIT_FLOOR} times the floor": ours.edit <= EDIT_FLOOR * floor.edit,
            f"at most {STATUS_WRITES} writes of status": _worst(ours, _STATUS) <= STATUS_WRITES * models,
            # Events are written beside: some of the creation come during the edit.
            f"at most {EVENTS} Events": _sum(ours, _EVENT) <= 2 * EVENTS * models,
            f"peak memory under {MEMORY_MIB:.0f} MiB": ours.peak_memory < MEMORY_MIB,
            "no writes while idle": not _writes(ours.idle_requests),
            "no writes at a restart": not _writes(ours.restart_requests),
        }
        yield from (target for target, holds in held.items() if not holds)

    def save(self) -> None:
        """Write everything to a file."""
        machine = {"processors": os.cpu_count(), "system": platform.platform()}
        figures = {name: [one.document() for one in sizes.values()] for name, sizes in self.figures.items()}
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps({"machine": machine, "figures": figures}, indent=1) + "\n")

    def _times(self, models: int) -> Iterator[list[str]]:
        ours, floor, limit = (self.of(name, models) for name in ("ours", "floor", "limit"))
        for what in ("create", "edit", "delete"):
            mine, least, bare = getattr(ours, what), getattr(floor, what), getattr(limit, what)
            cpu = getattr(ours, f"cpu_{what}", 0.0)
            yield [
                str(models),
                what,
                f"{least:.1f} s",
                f"{bare:.1f} s" if bare else "",
                f"{mine:.1f} s",
                f"{mine / bare:.2f}" if bare else "",
                f"{mine / least:.2f}",
                f"{cpu:.1f} s, {cpu / models * 1000:.1f} ms each" if cpu else "",
            ]

    def _requests(self, models: int) -> list[str]:
        ours = self.of("ours", models)

        def each(requests: Mapping[str, int]) -> list[str]:
            told, events = requests.get(_STATUS, 0), requests.get(_EVENT, 0)
            return [f"{number / models:.2f}" for number in (_writes(requests) - told - events, told, events)]

        reads = sum(number for what, number in ours.create_requests.items() if what.startswith("get "))
        return [str(models), *each(ours.create_requests), f"{reads / models:.2f}", *each(ours.edit_requests)]

    def _rest(self, models: int) -> list[str]:
        ours = self.of("ours", models)
        lists = sum(number for what, number in ours.restart_requests.items() if what.startswith("list "))
        return [
            str(models),
            f"{ours.peak_memory:.0f}",
            str(_writes(ours.idle_requests)),
            str(sum(ours.idle_requests.values())),
            f"{ours.restart:.1f}",
            f"{ours.cpu_restart:.1f}",
            str(lists),
            str(_writes(ours.restart_requests)),
            f"{ours.delete:.1f}",
        ]


def _writes(requests: Mapping[str, int]) -> int:
    return sum(number for what, number in requests.items() if what.partition(" ")[0] in WRITES)


def _worst(figures: Figures, what: str) -> int:
    return max(figures.create_requests.get(what, 0), figures.edit_requests.get(what, 0))


def _sum(figures: Figures, what: str) -> int:
    return figures.create_requests.get(what, 0) + figures.edit_requests.get(what, 0)


def _table(head: list[str], rows: list[list[Any]]) -> Iterator[str]:
    widths = [max(len(str(row[place])) for row in [head, *rows]) for place in range(len(head))]
    for row in [head, *rows]:
        yield "  ".join(str(cell).rjust(width) for cell, width in zip(row, widths, strict=True))
