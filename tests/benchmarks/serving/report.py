"""The tables, the targets and the file of one run."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.serving.cells import Cell, Result
from tests.benchmarks.serving.processes import Memory, Running
from tests.benchmarks.serving.requests import Protocol
from tests.benchmarks.serving.servers import GRPC_FLOOR, HTTP_FLOOR, KINDS, OURS

PEERS = frozenset(kind.name for kind in KINDS if kind.is_peer)
READY_SECONDS, MEMORY_MB = 4.0, 450.0
TIMES = {
    ("dense", 1, 1): 1.6,
    ("text", 1, 1): 1.15,
    ("dense", 1, 16): 2.5,
    ("dense", 1, 64): 2.5,
    ("text", 1, 16): 2.5,
    ("text", 1, 64): 2.5,
    ("dense", 32, 16): 1.4,
    ("dense", 32, 64): 1.4,
}
"""By model, rows and clients: how many times what the best peer answers ours has to answer."""
P99_TIMES = 3.0


@dataclass
class Report:
    """All that was measured."""

    results: list[Result] = field(default_factory=list)
    start_seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    memory_at_start: dict[tuple[str, str], Memory] = field(default_factory=dict)
    memory: dict[tuple[str, str], Memory] = field(default_factory=dict)
    """After all requests. All by model and server."""
    limits: dict[str, dict[str, Any]] = field(default_factory=dict)

    def ready(self, model: str, running: Running) -> None:
        """Note how a server started."""
        self.start_seconds[model, running.name] = running.ready_seconds
        self.memory_at_start[model, running.name] = running.memory()

    def best_peer(self, cell: Cell) -> Result | None:
        """Find the peer that answers most requests of the same rows and clients, whatever its protocol."""
        peers = [
            result
            for result in self.results
            if result.cell.server in PEERS
            and (result.cell.model, result.cell.rows, result.cell.clients) == (cell.model, cell.rows, cell.clients)
        ]
        return max(peers, key=lambda result: result.per_second, default=None)

    def floor(self, cell: Cell) -> Result | None:
        """Find what the same bytes cost without a model."""
        name = GRPC_FLOOR if cell.protocol.is_grpc else HTTP_FLOOR
        wanted = dataclasses.replace(cell, server=name)
        return next((result for result in self.results if result.cell == wanted), None)

    def ours(self, **wanted: Any) -> list[Result]:
        """Find results of our server."""
        return [
            result
            for result in self.results
            if result.cell.server == OURS and all(getattr(result.cell, key) == value for key, value in wanted.items())
        ]


@dataclass(frozen=True)
class Target:
    """What should be, and what is."""

    name: str
    reached: float
    wanted: float
    is_met: bool

    def __str__(self) -> str:
        return f"{'PASS' if self.is_met else 'FAIL'}  {self.name}: {self.reached:.2f} (target {self.wanted:g})"


def targets(report: Report) -> Iterator[Target]:
    """Hold a run to the targets."""
    for (model, rows, clients), times in TIMES.items():
        for result in report.ours(model=model, rows=rows, clients=clients):
            peer = report.best_peer(result.cell)
            if peer is not None:
                ratio = result.per_second / peer.per_second
                name = f"{_name(result.cell)}, times the best peer ({peer.cell.server})"
                yield Target(name, ratio, times, ratio >= times)
    for result in report.ours(clients=64):
        ratio = result.median("p99_ms") / result.median("p50_ms")
        yield Target(f"{_name(result.cell)}, p99 over p50", ratio, P99_TIMES, ratio < P99_TIMES)
    for grpc, rest in ((Protocol.PREDICT, Protocol.V1), (Protocol.INFER, Protocol.V2)):
        for result in report.ours(protocol=grpc):
            other = report.ours(**dataclasses.asdict(dataclasses.replace(result.cell, protocol=rest)))
            if other:
                ratio = result.per_second / other[0].per_second
                yield Target(f"{_name(result.cell)}, times {rest}", ratio, 1.0, ratio >= 1.0)
    for (model, server), seconds in report.start_seconds.items():
        if server == OURS:
            yield Target(f"{model}, seconds until ready", seconds, READY_SECONDS, seconds < READY_SECONDS)
            rss = report.memory.get((model, server), report.memory_at_start[model, server]).rss
            yield Target(f"{model}, MB of memory (RSS)", rss, MEMORY_MB, rss < MEMORY_MB)


def _name(cell: Cell) -> str:
    return f"{cell.model}, {cell.rows} rows, {cell.clients} clients, {cell.protocol}"


def write(report: Report, folder: Path) -> None:
    """Print the tables and write the file."""
    _print_results(report)
    _print_servers(report)
    _print_limits(report)
    met = list(targets(report))
    for target in met:
        print(target)
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": {"processors": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        "results": [result.figures() | _ratios(report, result) for result in report.results],
        "start_seconds": _by_model(report.start_seconds),
        "memory_mb_at_start": _by_model({key: dataclasses.asdict(m) for key, m in report.memory_at_start.items()}),
        "memory_mb": _by_model({key: dataclasses.asdict(m) for key, m in report.memory.items()}),
        "in_process": report.limits,
        "targets": [dataclasses.asdict(target) for target in met],
    }
    (folder / "bench-serving.json").write_text(json.dumps(document, indent=1))
    from tests.benchmarks.serving import picture  # Here, because matplotlib takes a second.

    picture.draw(report, folder / "bench-serving.png")
    print(folder / "bench-serving.json", folder / "bench-serving.png", sep="\n")


def _ratios(report: Report, result: Result) -> dict[str, float]:
    peer, floor = report.best_peer(result.cell), report.floor(result.cell)
    return {
        name: round(result.per_second / other.per_second, 3)
        for name, other in (("times_best_peer", peer), ("times_floor", floor))
        if other is not None and other.per_second
    }


def _by_model(values: dict[tuple[str, str], Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for (model, server), value in values.items():
        found.setdefault(model, {})[server] = value
    return found


def _print_results(report: Report) -> None:
    header = f"{'':38}{'requests/s':>11}{'p50 ms':>8}{'p99 ms':>8}{'µs CPU':>8}{'batch':>7}{'x peer':>8}{'of floor':>9}"
    title = None
    for result in sorted(report.results, key=lambda r: (r.cell.model, r.cell.rows, r.cell.clients)):
        cell = result.cell
        group = f"\n{cell.model}, {cell.rows} rows a request, {cell.clients} clients"
        if group != title:
            title = group
            print(f"{group:39}{header[38:]}")
        ratios = _ratios(report, result)
        batch = f"{result.batch_rows:7.1f}" if result.batch_rows else " " * 7
        peer = f"{ratios['times_best_peer']:8.2f}" if "times_best_peer" in ratios else " " * 8
        floor = f"{ratios['times_floor']:9.2f}" if "times_floor" in ratios else ""
        trouble = f"  {result.errors} ERRORS" if result.errors else ""
        print(
            f"  {cell.server:12}{cell.protocol:24}{result.per_second:11.0f}{result.median('p50_ms'):8.2f}"
            f"{result.median('p99_ms'):8.2f}{result.cpu_micros:8.0f}{batch}{peer}{floor}{trouble}"
        )


def _print_servers(report: Report) -> None:
    print(f"\n{'':20}{'ready after s':>14}{'RSS MB':>8}{'PSS MB':>8}{'anonymous':>10}{'RSS after all':>14}")
    for (model, server), seconds in report.start_seconds.items():
        memory = report.memory_at_start[model, server]
        after = report.memory.get((model, server))
        print(
            f"{model:6}{server:14}{seconds:14.2f}{memory.rss:8.0f}{memory.pss:8.0f}{memory.anonymous:10.0f}"
            f"{after.rss if after else 0:14.0f}"
        )


def _print_limits(report: Report) -> None:
    for model, by_rows in report.limits.items():
        print(f"\n{model}, the function by itself:  rows   calls/s, 1 thread   rows/s   all threads   rows/s")
        for rows, by_threads in by_rows.items():
            one, *more = by_threads.values()
            most = more[-1] if more else one
            print(
                f"{'':36}{rows:>4}{one['calls_per_second']:20.0f}{one['rows_per_second']:9.0f}"
                f"{most['calls_per_second']:14.0f}{most['rows_per_second']:9.0f}"
            )
    print()
