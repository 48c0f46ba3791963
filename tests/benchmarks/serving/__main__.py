"""Measures how fast the model server answers, and holds that to its limits, its peers and its targets.

make bench-serving            a quarter of an hour; --quick: three minutes
make bench-serving WEIGHTS=1  what passing requests on costs, and copies (3 min)
make bench-soak               memory after 200,000 requests, and with a queue held full for a minute
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.serving import report, soak, weights
from tests.benchmarks.serving.cells import Cell, Result, check, measure
from tests.benchmarks.serving.generator import generator
from tests.benchmarks.serving.models import models
from tests.benchmarks.serving.processes import Running, Server, all_of
from tests.benchmarks.serving.report import Report
from tests.benchmarks.serving.requests import Protocol, Request, write_requests
from tests.benchmarks.serving.rows import COUNTS
from tests.benchmarks.serving.servers import GRPC_FLOOR, HTTP_FLOOR, KINDS, OURS, Kind
from tests.cluster.console import step

CLIENTS = (1, 16, 64)
OUTPUT = Path("build")
LIMIT_ROWS = (1, 4, 8, 16, 32, 64, 96, 128)
"""Of a call of the function by itself: up to twice those of the calls that the server makes."""

Requests = dict[tuple[int, Protocol], Request]


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long and what."""

    rounds: int
    seconds: float
    warm_up: float
    models: tuple[str, ...]
    servers: tuple[str, ...]
    protocols: tuple[Protocol, ...]


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line."""
    arguments = _parser().parse_args(words)
    if arguments.soak:
        return soak.run()
    if arguments.weights:
        return weights.run(arguments.rounds or (1 if arguments.quick else 5), arguments.seconds or 1.6)
    plan = Plan(
        rounds=arguments.rounds or (1 if arguments.quick else 3),
        seconds=arguments.seconds or (0.8 if arguments.quick else 1.6),
        warm_up=0.3 if arguments.quick else 0.4,
        models=tuple(arguments.models),
        servers=tuple(arguments.servers),
        protocols=tuple(arguments.protocols),
    )
    generator()
    all_made = Report()
    for model in plan.models:
        _measure_model(plan, model, all_made)
    report.write(all_made, OUTPUT)
    return 0


def _measure_model(plan: Plan, model: str, made: Report) -> None:
    made_models = models()
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as name:
        folder = Path(name)
        requests: Requests = {}
        answers = {count: np.load(made_models / f"{model}-{count}.npy") for count in COUNTS[model]}
        for count, answer in answers.items():
            requests |= {(count, each): r for each, r in write_requests(folder, model, count, answer).items()}
        kinds = [kind for kind in KINDS if kind.name in plan.servers]
        servers = {kind.name: _prepare(kind, number, model, made_models, folder) for number, kind in enumerate(kinds)}
        first = [server for name, server in servers.items() if name not in (HTTP_FLOOR, GRPC_FLOOR)]
        with all_of(first) as running:
            for each in running.values():
                made.ready(model, each)
            _check_all(plan, kinds, running, requests, answers, servers)
            with all_of([server for server in servers.values() if server not in first]) as floors:
                running |= floors
                made.results += _rounds(plan, model, kinds, running, requests)
            for each in running.values():
                made.memory[model, each.name] = each.memory()
    if OURS in plan.servers:
        reached = max((r.batch_rows or 1 for r in made.results if r.cell.model == model), default=1)
        rows = [rows for rows in LIMIT_ROWS if rows <= 2 * reached]
        made.limits[model] = _limits(made_models / model, model, plan.seconds / 4, rows)


def _prepare(kind: Kind, number: int, model: str, made_models: Path, folder: Path) -> Server:
    own = folder / f"server-{number}"
    own.mkdir()
    return kind.make(f"127.77.{os.getpid() % 250}.{number + 1}", model, made_models, own)


def _check_all(
    plan: Plan,
    kinds: list[Kind],
    running: dict[str, Running],
    requests: Requests,
    answers: dict[int, Any],
    servers: dict[str, Server],
) -> None:
    """Ask each server once in each way; what ours says becomes what the floors answer."""
    for kind in kinds:
        if kind.name not in running:
            continue
        for (count, protocol), request in requests.items():
            if protocol in kind.protocols and protocol in plan.protocols:
                body = check(running[kind.name], request, answers[count])
                if kind.name == OURS:
                    for floor in {HTTP_FLOOR, GRPC_FLOOR} & servers.keys():
                        (servers[floor].folder / f"{request.body.stat().st_size}.answer").write_bytes(body)


def _rounds(plan: Plan, model: str, kinds: list[Kind], running: dict[str, Running], requests: Requests) -> list[Result]:
    """Measure every cell once a round, so that what disturbs the machine for a while disturbs all alike."""
    results = [Result(cell) for cell in _cells(plan, model, kinds, requests)]
    for number in range(plan.rounds):
        with step(f"{model}: round {number + 1} of {plan.rounds}, {len(results)} measurements"):
            for result in results:
                cell = result.cell
                request = requests[cell.rows, cell.protocol]
                result.readings.append(measure(cell, running[cell.server], request, plan.warm_up, plan.seconds))
    return results


def _cells(plan: Plan, model: str, kinds: list[Kind], requests: Requests) -> Iterator[Cell]:
    """All cells; those that are compared stand beside each other."""
    for (count, protocol), clients in itertools.product(requests, CLIENTS):
        for kind in kinds:
            if protocol in kind.protocols and protocol in plan.protocols:
                yield Cell(kind.name, model, count, protocol, clients)


def _limits(folder: Path, model: str, seconds: float, rows: list[int]) -> Any:
    command = [sys.executable, "-m", "tests.benchmarks.serving.limits", str(folder), model, str(seconds)]
    with step(f"{model}: the function by itself"):
        done = subprocess.run([*command, *map(str, rows)], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def _parser() -> argparse.ArgumentParser:
    names = [kind.name for kind in KINDS]
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.serving", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--soak", action="store_true", help="memory over many requests instead")
    parser.add_argument("--weights", action="store_true", help="what passing requests on costs instead, and copies")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--models", nargs="+", default=list(COUNTS), choices=list(COUNTS))
    parser.add_argument("--servers", nargs="+", default=names, choices=names)
    parser.add_argument("--protocols", nargs="+", default=list(Protocol), choices=list(Protocol), type=Protocol)
    return parser


if __name__ == "__main__":
    began = time.monotonic()
    code = main()
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    sys.exit(code)
