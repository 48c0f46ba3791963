"""What the model itself allows: the same function, called by threads of Python with nothing around it.

`limits FOLDER MODEL SECONDS ROWS...` prints JSON: for each number of rows, calls and rows a second of one thread and of
as many as there are processors.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

from model_server import engine
from model_server.tensors import DEFAULT_SIGNATURE

from tests.benchmarks.serving.rows import rows_of

ROUNDS = 3


def main() -> None:
    """Measure and print."""
    folder, name, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    model = engine.load(folder, frozenset(), os.cpu_count() or 1)
    (input_name,) = model.signatures[DEFAULT_SIGNATURE].inputs
    figures = {}
    for rows in map(int, sys.argv[4:]):
        inputs = {input_name: rows_of(name, rows)}
        by_threads = {}
        for threads in (1, os.cpu_count() or 1):
            rates = [_calls_per_second(model, inputs, threads, seconds) for _ in range(ROUNDS)]
            rate = statistics.median(rates)
            by_threads[threads] = {"calls_per_second": round(rate, 1), "rows_per_second": round(rate * rows, 1)}
        figures[rows] = by_threads
    print(json.dumps(figures))


def _calls_per_second(model: engine.LoadedModel, inputs: dict[str, Any], threads: int, seconds: float) -> float:
    counts = [0] * threads
    for _ in range(5):
        model.predict(DEFAULT_SIGNATURE, inputs)
    started = time.perf_counter()

    def work(number: int) -> None:
        while time.perf_counter() - started < seconds:
            model.predict(DEFAULT_SIGNATURE, inputs)
            counts[number] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
