"""The load generator: built from the Go sources beside this package, and run as a process of its own."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.golang import Program, compile_program
from tests.cluster.paths import cache

if TYPE_CHECKING:
    from tests.benchmarks.serving.requests import Request

SOURCES = Path(__file__).parents[1] / "load"


@dataclass(frozen=True)
class Load:
    """What the clients of one measurement saw."""

    requests: int
    seconds: float
    per_second: float
    errors: int
    first_error: str
    statuses: dict[str, int]
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float
    own_cpu_seconds: float
    answer_bytes: int
    checked_whole: int


@once
def generator() -> Path:
    """Return the executable, built if its sources are new."""
    sources = sorted(path for path in SOURCES.iterdir() if path.suffix in (".go", ".mod", ".sum"))
    content = b"\0".join(path.name.encode() + b"\0" + path.read_bytes() for path in sources)
    target = cache() / "benchmarks" / f"load-{hashlib.sha256(content).hexdigest()[:16]}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        compile_program(Program(SOURCES, ".", "", 150), target)
    return target


def run(address: str, request: Request, clients: int, *options: str) -> Load:
    """Ask a server on the loopback network; `options` are the generator's. Raises CalledProcessError."""
    command = [str(generator()), f"-address={address}", f"-path={request.path}", f"-body={request.body}"]
    command += [f"-clients={clients}", f"-expect={request.expected}"]
    command += ["-grpc"] if request.is_grpc else [f"-content-type={request.content_type}"]
    command += [f"-header={name}: {value}" for name, value in request.headers.items()]
    done = subprocess.run([*command, *options], check=True, stdout=subprocess.PIPE, text=True)
    return Load(**{"first_error": ""} | json.loads(done.stdout))
