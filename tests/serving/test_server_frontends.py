"""Processes that speak the protocols for the one that has the model: answers are the same, and labels count once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from model_server import contract
from model_server.contract import Metric

from tests.serving.load import Clients
from tests.serving.model_servers import ADMIN_PORT, HTTP_PORT, ModelServer, call
from tests.serving.otlp_receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.serving.conftest import StartServer

Found = TypeVar("Found")

PREDICT = contract.MODEL_PATH_TEMPLATE.format(model="m") + contract.PREDICT_SUFFIX
FEEDBACK = contract.FEEDBACK_PATH_TEMPLATE.format(model="m")
INFER = contract.V2_MODEL_PATH_TEMPLATE.format(model="m") + "/infer"
TEXTS = ["好", "不好", "很好"]
PREDICTED = 'model_request_duration_seconds_count{code="200",method="predict"}'
"""Requests."""


class Kept:
    """A connection that is kept, so that it stays with one process."""

    def __init__(self, server: ModelServer) -> None:
        self.connection = HTTPConnection(server.address, HTTP_PORT, timeout=30)
        self.connection.connect()

    def post(self, path: str, body: object, **headers: str) -> tuple[int, dict[str, str], Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request("POST", path, content, headers)
        response = self.connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return response.status, names, json.loads(response.read())

    def close(self) -> None:
        self.connection.close()

    def predict(self, instances: object = TEXTS) -> tuple[int, dict[str, str], Any]:
        return self.post(PREDICT, {"instances": instances})

    def feedback(self, identity: str, label: object) -> tuple[int, dict[str, str], Any]:
        return self.post(FEEDBACK, {"id": identity, "label": label})

    def holder(self) -> int:
        """The process that has the server's end."""
        inode = _inode(self.connection.sock.getpeername(), self.connection.sock.getsockname())
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if any(str(file.readlink()) == f"socket:[{inode}]" for file in (folder / "fd").iterdir()):
                    return int(folder.name)
        raise AssertionError("nobody has the connection")


def _inode(ours: tuple[str, int], theirs: tuple[str, int]) -> str:
    """Of the socket between two addresses, as the first of them sees it."""
    wanted = [f"{struct.unpack('=I', socket.inet_aton(host))[0]:08X}:{port:04X}" for host, port in (ours, theirs)]
    for line in Path("/proc/net/tcp").read_text().splitlines():
        parts = line.split()
        if parts[1:3] == wanted:
            return parts[9]
    raise AssertionError("there is no such connection")


@contextlib.contextmanager
def both(server: ModelServer, instances: object = TEXTS) -> Iterator[tuple[Kept, Kept]]:
    """A connection to the first process, and one to its front end, as soon as there is one."""
    assert server.process is not None
    with contextlib.closing(Kept(server)) as here:
        here.predict(instances)
        assert here.holder() == server.process.pid
        there = until(lambda: _at_front_end(server, instances), "a connection comes to a front end")
        with contextlib.closing(there):
            yield here, there
    time.sleep(0.05)  # Until the server has seen it: the next connection begins anew.


def _at_front_end(server: ModelServer, instances: object) -> Kept | None:
    assert server.process is not None
    one = Kept(server)
    one.predict(instances)
    if one.holder() != server.process.pid:
        return one
    one.close()
    return None


def until(look: Callable[[], Found | None], what: str, seconds: float = 30) -> Found:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def server(shared: StartServer) -> ModelServer:
    return shared("text.keras", MODEL_FRONTEND_PROCESSES="1")


def requests_counted(server: ModelServer) -> dict[str, float]:
    """Requests by method and code, as Prometheus is told."""
    lines = server.admin("GET", contract.METRICS_PATH).body.decode().splitlines()
    name = "model_request_duration_seconds_count"
    return {line.split(" ")[0]: float(line.split(" ")[1]) for line in lines if line.startswith(name)}


def frontends(server: ModelServer) -> float:
    """How many there are, as Prometheus is told."""
    page = server.admin("GET", contract.METRICS_PATH).body.decode()
    (line,) = (line for line in page.splitlines() if line.startswith(f"{Metric.FRONTENDS} "))
    return float(line.split(" ")[1])


def test_both_processes_answer_alike(server: ModelServer) -> None:
    tensor = {"name": "text", "shape": [3], "datatype": "BYTES", "data": TEXTS}
    asked: list[tuple[str, object]] = [
        (PREDICT, {"instances": TEXTS}),
        (PREDICT, {"inputs": TEXTS, "signature_name": "serving_default"}),
        (PREDICT, {"instances": [1]}),
        (PREDICT, {"instances": []}),
        (PREDICT, {"signature_name": "none", "instances": TEXTS}),
        (PREDICT, b"{"),
        (PREDICT.replace("/m:", "/other:"), {"instances": TEXTS}),
        (INFER, {"inputs": [tensor]}),
        (INFER, {"id": "7", "inputs": [tensor | {"shape": [4]}]}),
        ("/none", {}),
        (FEEDBACK, {"id": "forged", "label": 1}),
    ]
    with both(server) as (here, there):
        for path, body in asked:
            (code, headers, answer), (other_code, other_headers, other) = here.post(path, body), there.post(path, body)
            assert code == other_code, (path, body)
            assert headers.keys() == other_headers.keys()
            assert without_ids(answer) == without_ids(other)


def without_ids(answer: Any) -> Any:
    """What two answers to the same question have in common; and numbers are rounded."""
    if isinstance(answer, dict):
        return {name: without_ids(value) for name, value in answer.items() if name != "prediction_id"}
    if isinstance(answer, list):
        return [without_ids(value) for value in answer]
    return round(answer, 5) if isinstance(answer, float) else answer


def test_predictions_labels_and_requests_count_once_wherever_they_come(server: ModelServer) -> None:
    before, requests = server.counts(), requests_counted(server)
    with both(server) as (here, there):
        tokens = [one.predict()[1]["prediction-id"] for one in (here, there, there, here, there)]
        for number, token in enumerate(tokens):
            first, second = (here, there) if number % 2 else (there, here)
            assert first.feedback(f"{token}.{number % 3}", 1)[0] == 200
            assert second.feedback(f"{token}.{number % 3}", 1)[0] == 409
    after = server.counts()
    assert after["predictions"] - before["predictions"] == 3 * (len(tokens) + 2)  # `both` asks twice.
    assert sum(after[name] - before[name] for name in ("correct", "wrong")) == len(tokens)
    counted = {name: value - requests.get(name, 0) for name, value in requests_counted(server).items()}
    assert {name: value for name, value in counted.items() if value} == {
        'model_request_duration_seconds_count{code="200",method="predict"}': len(tokens) + 2,
        'model_request_duration_seconds_count{code="200",method="feedback"}': len(tokens),
        'model_request_duration_seconds_count{code="409",method="feedback"}': len(tokens),
    }


def test_the_rotation_holds_for_both(server: ModelServer, shared: StartServer) -> None:
    other = shared("text.keras", revision="other")
    with both(server) as (here, there):
        server.rotate(other.host_port)
        try:
            for one in (here, there):
                code, headers, _ = one.predict()
                assert (code, headers["model-revision"], headers["connection"]) == (200, "other", "close")
        finally:
            server.rotate(None)


def test_a_front_end_that_is_killed_takes_its_own_connections_with_it_alone(start: StartServer) -> None:
    server = start("text.keras", MODEL_FRONTEND_PROCESSES="1")
    with both(server) as (here, there):
        killed = there.holder()
        token = there.predict()[1]["prediction-id"]
        os.kill(killed, signal.SIGKILL)
        with pytest.raises((HTTPException, OSError)):
            there.predict()
        assert here.predict()[0] == 200
        with contextlib.closing(Kept(server)) as new:
            assert new.predict()[0] == 200  # At once, while there is no front end.
        assert frontends(server) == 0
        assert here.feedback(token, 1)[0] == 200
    with both(server) as (here, there):
        assert frontends(server) == 1
        next_one = there.holder()
        assert next_one != killed
        assert there.feedback(token, 1)[0] == 409
    lines = [json.loads(line) for line in server.log_file.read_text().splitlines() if line.startswith("{")]
    told = [(line.get("process"), line.get("code")) for line in lines if "a front end" in line["message"]]
    assert told == [(killed, None), (None, -signal.SIGKILL), (next_one, None)]


def test_front_ends_end_with_the_first_process(start: StartServer) -> None:
    server = start("text.keras", MODEL_FRONTEND_PROCESSES="2")
    with both(server) as (_, there):
        front_end = there.holder()
        server.kill()
        until(lambda: not Path(f"/proc/{front_end}/environ").exists() or not is_alive(front_end), "it has ended")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def test_sigterm_under_load_loses_nothing_that_front_ends_hold(start: StartServer) -> None:
    leaving = start("text.keras", revision="leaving", wait=False, MODEL_FRONTEND_PROCESSES="2")
    staying = start("text.keras", revision="staying")
    leaving.wait_until_ready()
    endpoints = [leaving.host_port]
    with both(leaving):
        pass
    async with Clients(lambda: endpoints[0], count=16) as report:
        await asyncio.sleep(1)
        leaving.terminate()
        await asyncio.sleep(0.5)
        endpoints[:] = [staying.host_port]
        assert await asyncio.to_thread(leaving.wait, 20) == 0
        await asyncio.sleep(0.5)
    assert not report.failures
    assert report.revisions["leaving"] > 20
    assert report.revisions["staying"] > 20


def test_connections_that_come_at_once_are_shared_as_others_are(server: ModelServer) -> None:
    assert server.process is not None
    with both(server), contextlib.ExitStack() as stack, stopped(server.process.pid):
        kept = [stack.enter_context(contextlib.closing(Kept(server))) for _ in range(30)]
        os.kill(server.process.pid, signal.SIGCONT)
        assert {one.predict()[0] for one in kept} == {200}
        here = [one.holder() for one in kept].count(server.process.pid)
    assert 8 <= here <= 12
    time.sleep(0.05)  # Until the server has seen them end: the next connection begins anew.


def test_connections_that_no_front_end_has_taken_yet_are_answered_before_it_ends(start: StartServer) -> None:
    server = start("text.keras", MODEL_FRONTEND_PROCESSES="1")
    assert server.process is not None
    with both(server) as (_, there):
        front_end = there.holder()
    body = json.dumps({"instances": TEXTS}).encode()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: m\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack, stopped(front_end):
        connections = [
            stack.enter_context(socket.create_connection((server.address, HTTP_PORT), 30)) for _ in range(150)
        ]
        for one in connections:
            one.sendall(head + body)
        until(lambda: requests_counted(server).get(PREDICTED, 0) >= 50, "this process has answered its third")
        server.terminate()
        time.sleep(1.5)  # Until it has drained, and has told the front end to end.
        os.kill(front_end, signal.SIGCONT)
        assert {one.recv(2**16)[:12] for one in connections} == {b"HTTP/1.1 200"}
        assert server.wait(20) == 0


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Has a process stand still, at most until the end."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_what_a_front_end_answers_is_traced_and_stands_as_an_example_in_the_metrics(start: StartServer) -> None:
    with contextlib.closing(Receiver()) as receiver:
        server = start("text.keras", MODEL_FRONTEND_PROCESSES="1", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        trace = "0af7651916cd43dd8448eb211c80319c"
        with both(server) as (_, there):
            body = {"instances": TEXTS}
            assert there.post(PREDICT, body, traceparent=f"00-{trace}-b7ad6b7169203331-01")[0] == 200
        accept = "application/openmetrics-text; version=1.0.0"
        page = call(server.address, ADMIN_PORT, "GET", contract.METRICS_PATH, Accept=accept).body.decode()
        assert f'trace_id="{trace}"' in page
        server.terminate()
        assert server.wait(20) == 0
        names = {span.name for span in receiver.spans if span.trace == trace}
        assert {"POST /v1/models/{model}:predict", "call model"} <= names


def test_what_a_client_no_longer_waits_for_leaves_the_queue(start: StartServer) -> None:
    batching = json.dumps({"num_batch_threads": 1, "max_batch_size": 1})
    server = start("slow", MODEL_FRONTEND_PROCESSES="1", MODEL_BATCHING=batching)
    with both(server, [0.0]) as (here, there), ThreadPoolExecutor(1) as pool:
        before = server.counts()["predictions"]
        running = pool.submit(here.predict, [1.0])
        time.sleep(0.1)
        there.connection.request("POST", PREDICT, json.dumps({"instances": [1.0]}))
        time.sleep(0.1)
        there.close()
        assert running.result()[0] == 200
        assert here.predict([0.0])[0] == 200
    assert server.counts()["predictions"] - before == 2
