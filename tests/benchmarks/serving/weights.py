"""What it costs that a pod passes requests on to another revision, or sends it copies: beside answering itself.

Two servers of the same model, and all ways in turns in each round, so that what disturbs the machine disturbs all.
Clients that pause between requests show what one request waits; clients that do not, what is left of the throughput
when the server, the other server and the clients share the processors.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import tempfile
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from model_server import contract
from model_server.contract import Env

from tests.benchmarks.serving import generator
from tests.benchmarks.serving.cells import check
from tests.benchmarks.serving.models import models
from tests.benchmarks.serving.processes import all_of
from tests.benchmarks.serving.requests import Protocol, Request, write_requests
from tests.benchmarks.serving.servers import ADMIN_PORT, HTTP_PORT, model_server, port_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.serving.generator import Load
    from tests.benchmarks.serving.processes import Running

MODEL = "dense"
ALMOST_ALL = math.nextafter(1.0, 0.0)
"""A pod that passes on all has left the rotation, and closes its connections."""
WAYS: Mapping[str, Mapping[str, Any]] = {
    "answered here": {"forward_to": None},
    "passed on": {"share": ALMOST_ALL},
    "10 % passed on": {"share": 0.1},
    "copied": {"share": 1.0, "copy": True},
    "10 % copied": {"share": 0.1, "copy": True},
}
CLIENTS: Mapping[str, Sequence[str]] = {"4 that pause": ("-think=20ms",), "16": ()}
PROTOCOLS = (Protocol.V1, Protocol.PREDICT)
WARM_UP = 0.3


@dataclass
class Row:
    """All measurements of one way."""

    protocol: Protocol
    clients: str
    way: str
    loads: list[Load] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Microseconds of the serving pod for a request."""

    def median(self, name: str) -> float:
        """Return the median over the rounds."""
        values = self.cpu if name == "cpu_micros" else [float(getattr(load, name)) for load in self.loads]
        return statistics.median(values)


FIGURES = ("p50_ms", "p99_ms", "per_second", "cpu_micros")


def run(rounds: int, seconds: float, output: Path = Path("build/bench-weights.json")) -> int:
    """Measure; 1 if a request failed."""
    made = models()
    with tempfile.TemporaryDirectory(prefix="bench-weights-") as name:
        folder = Path(name)
        answer = np.load(made / f"{MODEL}-1.npy")
        requests = write_requests(folder, MODEL, 1, answer)
        servers = []
        for number, revision in enumerate(("stable", "candidate"), start=1):
            (folder / revision).mkdir()
            address = f"127.79.{os.getpid() % 250}.{number}"
            servers.append(model_server(revision, address, made / MODEL, folder / revision, {Env.REVISION: revision}))
        with all_of(servers) as running:
            stable, candidate = running["stable"], running["candidate"]
            for one in (stable, candidate):
                for request in requests.values():
                    check(one, request, answer)
            rows = [Row(*each) for each in _all()]
            for _ in range(rounds):
                for row in rows:
                    _rotate(stable, f"{candidate.address}:{HTTP_PORT}", WAYS[row.way])
                    _measure(row, stable, requests, seconds)
            copies = _copies(stable)
    _report(rows, copies)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"rows": [asdict(row) for row in rows], "copies": copies}, indent=1))
    failed = [f"{row.way}: {load.first_error}" for row in rows for load in row.loads if load.errors]
    for what in failed:
        print(f"FAIL  {what}")
    print(output)
    return 1 if failed else 0


def _all() -> list[tuple[Protocol, str, str]]:
    return [(protocol, clients, way) for protocol in PROTOCOLS for clients in CLIENTS for way in WAYS]


def _measure(row: Row, stable: Running, requests: Mapping[Protocol, Request], seconds: float) -> None:
    options = (f"-warm-up={WARM_UP}s", f"-duration={seconds}s", *CLIENTS[row.clients])
    count = int(row.clients.partition(" ")[0])
    cpu = stable.cpu_seconds()
    load = generator.run(f"{stable.address}:{port_of(row.protocol)}", requests[row.protocol], count, *options)
    spent = (stable.cpu_seconds() - cpu) * seconds / (seconds + WARM_UP)
    row.loads.append(load)
    row.cpu.append(spent / max(load.requests, 1) * 1e6)


def _rotate(stable: Running, target: str, way: Mapping[str, Any]) -> None:
    body = json.dumps({"forward_to": target} | dict(way))
    _admin(stable, "PUT", contract.ROTATION_PATH, body)


def _copies(stable: Running) -> dict[str, float]:
    """Tell what came of all copies."""
    page = _admin(stable, "GET", contract.METRICS_PATH, None)
    lines = (line.rpartition(" ") for line in page.splitlines() if line.startswith(contract.Metric.COPIED))
    return {name.partition('"')[2].rstrip('"}'): float(value) for name, _, value in lines}


def _admin(server: Running, method: str, path: str, body: str | None) -> str:
    connection = HTTPConnection(server.address, ADMIN_PORT, timeout=5)
    try:
        connection.request(method, path, body, {"Authorization": "Bearer token"})
        response = connection.getresponse()
        answer = response.read().decode()
    finally:
        connection.close()
    if response.status != 200:
        raise AssertionError(f"{method} {path}: {response.status} {answer}")
    return answer


def _report(rows: Sequence[Row], copies: Mapping[str, float]) -> None:
    """Print each way beside answering itself."""
    base: dict[tuple[Protocol, str], Row] = {}
    print(f"{'':16} {'clients':16} {'way':16} {'p50 ms':>14} {'p99 ms':>14} {'requests/s':>16} {'µs of the pod':>16}")
    for row in rows:
        first = base.setdefault((row.protocol, row.clients), row)
        cells = [f"{row.median(name):.2f} ({row.median(name) / first.median(name):.2f})" for name in FIGURES]
        widths = (14, 14, 16, 16)
        text = " ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        print(f"{row.protocol:16} {row.clients:16} {row.way:16} {text}")
    print("copies:", ", ".join(f"{count:.0f} {outcome}" for outcome, count in copies.items()))
