"""One measurement: a server, what it is asked, and by how many clients."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np

from tests.benchmarks.serving import generator
from tests.benchmarks.serving.requests import Protocol, Request, read_answer
from tests.benchmarks.serving.servers import ADMIN_PORT, OURS, port_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from tests.benchmarks.serving.generator import Load
    from tests.benchmarks.serving.processes import Memory, Running


class WrongAnswerError(Exception):
    """A server answers, but not as the model does."""


@dataclass(frozen=True)
class Cell:
    """What is measured."""

    server: str
    model: str
    rows: int
    protocol: Protocol
    clients: int


@dataclass(frozen=True)
class Reading:
    """One measurement of it."""

    load: Load
    server_cpu_seconds: float
    memory: Memory
    batch_rows: float | None
    """Rows of a call of the model, in the mean; only of our own server."""


@dataclass
class Result:
    """All measurements of one cell."""

    cell: Cell
    readings: list[Reading] = field(default_factory=list)

    def median(self, name: str) -> float:
        """Return the median of a field of the load generator's."""
        return statistics.median(float(getattr(reading.load, name)) for reading in self.readings)

    @property
    def per_second(self) -> float:
        return self.median("per_second")

    @property
    def cpu_micros(self) -> float:
        """Processor time of the server for one request."""
        return statistics.median(r.server_cpu_seconds / max(r.load.requests, 1) * 1e6 for r in self.readings)

    @property
    def errors(self) -> int:
        return sum(reading.load.errors for reading in self.readings)

    @property
    def batch_rows(self) -> float | None:
        known = [reading.batch_rows for reading in self.readings if reading.batch_rows is not None]
        return statistics.median(known) if known else None

    def figures(self) -> dict[str, Any]:
        """Everything, for the file."""
        return {
            **asdict(self.cell),
            "requests_per_second": round(self.per_second, 1),
            "rows_per_second": round(self.per_second * self.cell.rows, 1),
            **{name: round(self.median(name), 3) for name in ("p50_ms", "p90_ms", "p99_ms", "max_ms")},
            "server_cpu_micros_per_request": round(self.cpu_micros, 1),
            "generator_cpu_seconds": round(self.median("own_cpu_seconds"), 3),
            "batch_rows": self.batch_rows,
            "errors": self.errors,
            "first_error": next((r.load.first_error for r in self.readings if r.load.errors), ""),
            "memory_mb": asdict(self.readings[-1].memory),
            "each_round": [round(reading.load.per_second, 1) for reading in self.readings],
        }


def check(running: Running, request: Request, answer: npt.NDArray[Any]) -> bytes:
    """Ask once, and hold the answer to the model's. Raises `WrongAnswerError`. Returns the answer's bytes."""
    headers, body = _ask(running, request)
    found = read_answer(request.protocol, headers, body)
    if found.shape != answer.ravel().shape or not np.allclose(found, answer.ravel(), atol=1e-5):
        raise WrongAnswerError(f"{running.name}, {request.protocol}: {found[:5]} instead of {answer.ravel()[:5]}")
    return body


def _ask(running: Running, request: Request) -> tuple[dict[str, str], bytes]:
    port, content = port_of(request.protocol), request.body.read_bytes()
    if request.is_grpc:
        with grpc.insecure_channel(f"{running.address}:{port}") as channel:
            return {}, channel.unary_unary(request.path)(content, timeout=30)
    connection = HTTPConnection(running.address, port, timeout=30)
    try:
        headers = {"Content-Type": request.content_type, **request.headers}
        connection.request("POST", request.path, content, headers)
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise WrongAnswerError(f"{running.name}, {request.protocol}: {response.status} {body[:300]!r}")
    return {name.lower(): value for name, value in response.getheaders()}, body


def measure(cell: Cell, running: Running, request: Request, warm_up: float, seconds: float) -> Reading:
    """Have clients ask for some seconds."""
    before = _batches(running)
    # The load generator's warm-up is in the server's time, but in its requests, too.
    options = (f"-warm-up={warm_up}s", f"-duration={seconds}s")
    cpu = running.cpu_seconds()
    load = generator.run(f"{running.address}:{port_of(cell.protocol)}", request, cell.clients, *options)
    spent = (running.cpu_seconds() - cpu) * seconds / (seconds + warm_up)
    after = _batches(running)
    calls = after[0] - before[0]
    return Reading(load, spent, running.memory(), (after[1] - before[1]) / calls if calls else None)


def _batches(running: Running) -> tuple[float, float]:
    """Read how often our server called the model so far, and with how many rows in all."""
    if running.name != OURS:
        return 0.0, 0.0
    connection = HTTPConnection(running.address, ADMIN_PORT, timeout=5)
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    finally:
        connection.close()
    values = dict(line.rsplit(" ", 1) for line in lines if line.startswith("model_batch_size_"))
    return float(values.get("model_batch_size_count", 0)), float(values.get("model_batch_size_sum", 0))
