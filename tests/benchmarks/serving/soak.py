"""Memory over many requests, and with a queue that is held full.

Memory is what the process holds for itself (`anonymous`): its code is mapped from files, and comes in as it is used.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tests.benchmarks.serving import generator
from tests.benchmarks.serving.cells import check
from tests.benchmarks.serving.models import models
from tests.benchmarks.serving.requests import Protocol, Request, write_requests
from tests.benchmarks.serving.servers import OURS, model_server, port_of

if TYPE_CHECKING:
    from tests.benchmarks.serving.processes import Running

REQUESTS = 200_000
CLIENTS = 64
FULL_SECONDS = 60.0
FULL_CLIENTS = 256
SMALL_QUEUE = {"max_batch_size": 4, "max_enqueued_batches": 2, "num_batch_threads": 1}
GROWTH_MB = 12.0
"""In the second half. malloc gives each thread its own arena when it is first used; 150 bytes lost a request show."""
SAMPLE_SECONDS = 0.5
PROTOCOLS = (Protocol.V1, Protocol.V2, Protocol.V2_BINARY, Protocol.PREDICT, Protocol.INFER)
REFUSALS = ("503", "429")
GRPC_REFUSALS = ("8", "14")


def run(output: Path = Path("build/bench-soak.json")) -> int:
    """Run both; 1 if memory grew, or an answer was wrong."""
    figures = {"requests": many_requests(), "full": full_queue()}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figures, indent=1))
    failed = [f"{name}: {what}" for name, each in figures.items() for what in each["failures"]]
    for what in failed:
        print(f"FAIL  {what}")
    print(output)
    return 1 if failed else 0


def many_requests() -> dict[str, Any]:
    """Send so many requests in all protocols in turns, and sample memory."""
    with _server("dense", {}) as (running, requests):
        share = REQUESTS // len(PROTOCOLS) // 2
        figures = []
        with _Sampler(running) as sampler:
            for protocol in PROTOCOLS * 2:  # Twice, so that what one protocol needs is there before the second half.
                load = generator.run(_address(running, protocol), requests[protocol], CLIENTS, f"-requests={share}")
                figures.append({"protocol": protocol, **asdict(load)})
                print(
                    f"{protocol:16} {load.requests} requests, {load.per_second:.0f}/s, {load.errors} errors", flush=True
                )
        failures = [f"{each['protocol']}: {each['first_error']}" for each in figures if each["errors"]]
        return {"loads": figures, **sampler.figures(), "failures": failures + sampler.failures()}


def full_queue() -> dict[str, Any]:
    """Ask of a short queue, over REST and gRPC at once, more than it holds; for a minute."""
    environment = {"MODEL_BATCHING": json.dumps(SMALL_QUEUE)}
    with _server("text", environment) as (running, requests):
        loads: list[generator.Load] = []

        def ask(protocol: Protocol) -> None:
            tolerated = GRPC_REFUSALS if protocol.is_grpc else REFUSALS
            options = [f"-tolerate={status}" for status in tolerated]
            options += ["-pause=5ms", "-warm-up=100ms", f"-duration={FULL_SECONDS}s"]
            loads.append(generator.run(_address(running, protocol), requests[protocol], FULL_CLIENTS // 2, *options))

        threads = [threading.Thread(target=ask, args=(each,)) for each in (Protocol.V1, Protocol.PREDICT)]
        with _Sampler(running) as sampler:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        after = generator.run(_address(running, Protocol.V1), requests[Protocol.V1], 4, "-duration=2s")
        refused = sum(n for load in loads for status, n in load.statuses.items() if status in REFUSALS + GRPC_REFUSALS)
        answered = sum(load.requests for load in loads) - refused
        print(
            f"full for {FULL_SECONDS:.0f} s: {answered} answered, {refused} refused; afterwards {after.errors} errors"
        )
        failures = [f"{load.errors} errors: {load.first_error}" for load in (*loads, after) if load.errors]
        if not refused or len(loads) < len(threads):
            failures.append("the queue was never full")
        figures = {"answered": answered, "refused": refused, "loads": [asdict(load) for load in (*loads, after)]}
        return {**figures, **sampler.figures(), "failures": failures + sampler.failures()}


@contextmanager
def _server(model: str, environment: dict[str, str]) -> Iterator[tuple[Running, dict[Protocol, Request]]]:
    made = models()
    with tempfile.TemporaryDirectory(prefix="bench-soak-") as name:
        folder = Path(name)
        answer = np.load(made / f"{model}-1.npy")
        requests = write_requests(folder, model, 1, answer)
        running = model_server(OURS, f"127.78.{os.getpid() % 250}.1", made / model, folder, environment).start()
        try:
            for request in requests.values():
                check(running, request, answer)
            yield running, requests
        finally:
            running.stop()


def _address(running: Running, protocol: Protocol) -> str:
    return f"{running.address}:{port_of(protocol)}"


class _Sampler:
    """Reads a server's memory now and then."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._samples: list[tuple[float, float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _sample(self) -> None:
        started = time.monotonic()
        while not self._end.wait(SAMPLE_SECONDS):
            memory = self._running.memory()
            self._samples.append((round(time.monotonic() - started, 1), memory.rss, memory.anonymous))

    def figures(self) -> dict[str, Any]:
        """Tell seconds, RSS and anonymous megabytes of each sample."""
        first, last = self._from_to()
        rss = self._samples[-1][1]
        print(f"anonymous memory: {first:.1f} MB after a half, {last:.1f} MB at the end; RSS {rss:.0f} MB")
        return {"samples": self._samples, "anonymous_mb": {"half": first, "end": last}}

    def failures(self) -> list[str]:
        """Tell if memory grew."""
        first, last = self._from_to()
        return [f"memory grew from {first:.1f} to {last:.1f} MB"] if last > first + GROWTH_MB else []

    def _from_to(self) -> tuple[float, float]:
        if len(self._samples) < 8:
            raise AssertionError("too short to see memory grow")
        return self._samples[len(self._samples) // 2][2], self._samples[-1][2]
