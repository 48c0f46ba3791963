"""Requests that come together are answered together, each with its own answer; and refused when too many wait."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from model_server.contract import Env, Metric

from tests.serving.model_servers import ADMIN_PORT, ModelServer, call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.serving.conftest import StartServer

CLIENTS = 24


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory, engine_models: Path) -> Iterator[Callable[[str], ModelServer]]:
    """Starts a server for one of `engine_models`."""
    started: list[ModelServer] = []

    def start(model: str) -> ModelServer:
        # A little patience, so that rows go together although the model is quick.
        environment = {Env.BATCHING: json.dumps({"batch_timeout_micros": 5000})}
        server = ModelServer(tmp_path_factory.mktemp("pod"), engine_models / model, environment=environment)
        started.append(server)
        server.start()
        server.wait_until_ready()
        return server

    yield start
    for server in started:
        server.kill()


def metric(server: ModelServer, name: str) -> float:
    page = call(server.address, ADMIN_PORT, "GET", "/metrics").body.decode()
    (line,) = (line for line in page.splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


def test_everyone_gets_the_own_answer_though_rows_go_together(serve: Callable[[str], ModelServer]) -> None:
    server = serve("plain")
    rows = [[[number / 1000, -number / 700]] * (number % 3 + 1) for number in range(10 * CLIENTS)]
    alone = [server.predict(each).json()["predictions"] for each in rows[:20]]
    calls = metric(server, f"{Metric.BATCH_SIZE}_count")
    with ThreadPoolExecutor(CLIENTS) as clients:
        replies = list(clients.map(server.predict, rows))
    assert {reply.status for reply in replies} == {200}
    together = [reply.json()["predictions"] for reply in replies]
    assert [len(answer) for answer in together] == [len(each) for each in rows]
    assert together[:20] == [[pytest.approx(row, abs=1e-6) for row in answer] for answer in alone]
    assert len({json.dumps(answer) for answer in together}) == len(rows)
    assert metric(server, f"{Metric.BATCH_SIZE}_count") - calls < len(rows) / 2
    assert metric(server, f"{Metric.BATCH_SIZE}_sum") == sum(map(len, rows)) + sum(map(len, rows[:20]))


def test_one_bad_request_among_many_is_the_only_one_refused(serve: Callable[[str], ModelServer]) -> None:
    server = serve("embedding")
    asked = [number % 4 if number % 10 else 7 for number in range(10 * CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as clients:
        replies = list(clients.map(lambda number: server.predict([number]), asked))
    assert [reply.status for reply in replies] == [400 if number == 7 else 200 for number in asked]
    assert all("not in [0, 4)" in reply.json()["error"] for reply in replies if reply.status == 400)


def test_what_comes_beyond_the_queue_is_refused_and_later_taken_again(start: StartServer) -> None:
    batching = {"max_batch_size": 2, "max_enqueued_batches": 1, "num_batch_threads": 1}
    server = start("slow", **{Env.BATCHING: json.dumps(batching)})
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as clients:
        replies = list(clients.map(lambda number: server.predict([number]), range(CLIENTS)))
    refused = [reply for reply in replies if reply.status != 200]
    assert 0 < len(refused) < CLIENTS
    assert {reply.status for reply in refused} == {503}
    assert {reply.json()["error"] for reply in refused} == {"2 instances are waiting already, and 2 may: try again"}
    for number, reply in enumerate(replies):
        if reply.status == 200:
            assert reply.json()["predictions"] == [pytest.approx(number)]
    assert time.monotonic() - began < 60
    assert server.predict([1.0]).status == 200
    assert metric(server, Metric.WAITING) == 0


def test_settings_that_are_wrong_are_told(start: StartServer) -> None:
    server = start("slow", wait=False, **{Env.BATCHING: '{"max_batch_size": 0}'})
    assert server.wait() == 1
    assert "max_batch_size = 0, not a whole number from 1" in server.failure["message"]
