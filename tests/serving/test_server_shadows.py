"""A candidate gets copies of requests. No client notices; pairs of predictions with one label count exactly."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections import Counter
from functools import partial
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from model_server import contract
from model_server.contract import Metric
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.serving.model_servers import ADMIN_PORT, GRPC_PORT, HTTP_PORT, call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.serving.conftest import StartServer
    from tests.serving.model_servers import ModelServer

PREDICT = contract.MODEL_PATH_TEMPLATE.format(model="m") + contract.PREDICT_SUFFIX
INFER = contract.V2_MODEL_PATH_TEMPLATE.format(model="m") + "/infer"
FEEDBACK = contract.FEEDBACK_PATH_TEMPLATE.format(model="m")
TOKEN = contract.PREDICTION_ID_HEADER
NUMBERS = (-5, 5, 15)
"""Under both limits, over that of the stable revision alone, over both."""


@pytest.fixture(scope="module")
def stable(shared: StartServer) -> ModelServer:
    return shared("over-0.keras", revision="stable")


@pytest.fixture(scope="module")
def fronted(shared: StartServer) -> ModelServer:
    return shared("over-0.keras", revision="stable", MODEL_FRONTEND_PROCESSES="1")


@pytest.fixture(scope="module")
def candidate(shared: StartServer) -> ModelServer:
    return shared("over-10.keras", revision="candidate")


@pytest.fixture(params=["stable", "fronted"])
def server(request: pytest.FixtureRequest, candidate: ModelServer) -> Iterator[ModelServer]:
    """With and without front ends, shadowed by the candidate."""
    server: ModelServer = request.getfixturevalue(request.param)
    server.rotate(candidate.host_port, copy=True)
    yield server
    server.rotate(None)


def by_rest(connection: HTTPConnection, numbers: Sequence[float]) -> str:
    return _posted(connection, PREDICT, {"instances": [[number] for number in numbers]})


def by_v2(connection: HTTPConnection, numbers: Sequence[float]) -> str:
    tensor = {"name": "x", "shape": [len(numbers), 1], "datatype": "FP32", "data": list(numbers)}
    return _posted(connection, INFER, {"inputs": [tensor]})


def _posted(connection: HTTPConnection, path: str, body: object) -> str:
    connection.request("POST", path, json.dumps(body))
    response = connection.getresponse()
    content = response.read()
    assert (response.status, response.getheader(contract.REVISION_HEADER)) == (200, "stable"), content
    assert response.getheader("Connection") != "close"
    return str(response.getheader(TOKEN))


@contextlib.contextmanager
def clients(server: ModelServer) -> Iterator[list[Callable[[Sequence[float]], str]]]:
    """Each way to ask, over connections of both processes if there are two; they return the prediction's id."""
    connections = [HTTPConnection(server.address, HTTP_PORT, timeout=30) for _ in range(2)]
    for connection in connections:
        connection.connect()
    channels = [
        grpc.insecure_channel(f"{server.address}:{GRPC_PORT}", options=(("grpc.use_local_subchannel_pool", 1),))
        for _ in range(2)
    ]
    over_http = [partial(ask, connection) for connection in connections for ask in (by_rest, by_v2)]
    ways: list[Callable[[Sequence[float]], str]] = [*over_http, *(partial(by_grpc, channel) for channel in channels)]
    try:
        yield ways
    finally:
        for one in (*connections, *channels):
            one.close()


def by_grpc(channel: grpc.Channel, numbers: Sequence[float]) -> str:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    tensor = request.inputs["x"]
    tensor.dtype = 1
    for size in (len(numbers), 1):
        tensor.tensor_shape.dim.add(size=size)
    tensor.float_val.extend(numbers)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    _, answered = stub.Predict.with_call(request, timeout=20)
    metadata = dict(answered.trailing_metadata())
    assert metadata[contract.REVISION_HEADER.lower()] == "stable"
    return str(metadata[TOKEN.lower()])


def value(server: ModelServer, name: str, **labels: str) -> float:
    page = call(server.address, ADMIN_PORT, "GET", contract.METRICS_PATH).body.decode()
    wanted = ",".join(f'{key}="{one}"' for key, one in sorted(labels.items()))
    line = f"{name}{{{wanted}}} "
    return next((float(one.removeprefix(line)) for one in page.splitlines() if one.startswith(line)), 0.0)


def copied(server: ModelServer) -> Counter[str]:
    outcomes = ("answered", "failed", "dropped")
    return Counter({one: int(value(server, Metric.COPIED, outcome=one)) for one in outcomes})


def wait_until(what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pairs(server: ModelServer) -> dict[str, int]:
    counted = next((one for one in server.counts()["pairs"] if one["revision"] == "candidate"), None)
    return {name: int(counted[name]) if counted else 0 for name in ("won", "lost", "tied")}  # type: ignore[literal-required]


def gained(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in before}


def expected(labelled: Sequence[tuple[float, int]]) -> dict[str, int]:
    """What is to be counted of numbers and their labels."""
    counted = Counter({"won": 0, "lost": 0, "tied": 0})
    for number, label in labelled:
        here, there = (number > 0) == label, (number > 10) == label
        counted["tied" if here == there else "won" if there else "lost"] += 1
    return dict(counted)


def right(labelled: Sequence[tuple[float, int]], limit: float) -> int:
    return sum((number > limit) == label for number, label in labelled)


def label(server: ModelServer, identity: str, truth: int) -> int:
    return server.feedback(identity, truth).status


def copied_one(server: ModelServer, ask: Callable[[Sequence[float]], str], numbers: Sequence[float]) -> str:
    """Ask until the candidate has answered the copy, too: on a busy machine one may be too late."""
    before = copied(server)
    token = ask(numbers)
    wait_until(lambda: (copied(server) - before).total() == 1)
    return token if (copied(server) - before)["answered"] else copied_one(server, ask, numbers)


def test_pairs_are_exact_over_every_protocol(server: ModelServer, candidate: ModelServer) -> None:
    before, theirs = pairs(server), candidate.counts()
    made: list[tuple[str, float]] = []
    with clients(server) as ways:
        for ask in ways:
            for numbers in (*([number] for number in NUMBERS), NUMBERS):
                token = copied_one(server, ask, numbers)
                made += [(f"{token}.{index}", number) for index, number in enumerate(numbers)]
    labelled = []
    for number, (identity, x) in enumerate(made):
        truth = number // 2 % 2
        assert label(server, identity, truth) == 200
        assert label(server, identity, 1 - truth) == 409  # The first one stands, in the pair, too.
        labelled.append((x, truth))
    assert gained(before, pairs(server)) == expected(labelled)
    wait_until(lambda: sum(_labels(candidate)) == len(labelled) + theirs["correct"] + theirs["wrong"])
    counts = candidate.counts()
    assert counts["correct"] - theirs["correct"] == right(labelled, 10)
    assert counts["wrong"] - theirs["wrong"] == len(labelled) - right(labelled, 10)
    for outcome, count in pairs(server).items():
        assert value(server, Metric.PAIRS, candidate="candidate", outcome=outcome) == count


def _labels(server: ModelServer) -> tuple[int, int]:
    counts = server.counts()
    return counts["correct"], counts["wrong"]


def test_a_label_that_comes_at_once_makes_a_pair_too(server: ModelServer) -> None:
    before, sent = pairs(server), copied(server)
    labelled = []
    connection = HTTPConnection(server.address, HTTP_PORT, timeout=30)
    for number in range(60):
        x = NUMBERS[number % 3]
        body = {"id": by_rest(connection, [x]), "label": number // 3 % 2}
        connection.request("POST", FEEDBACK, json.dumps(body))
        response = connection.getresponse()
        response.read()
        assert response.status == 200
        labelled.append((x, number // 3 % 2))
    connection.close()
    wait_until(lambda: (copied(server) - sent).total() == len(labelled))
    answered, found = (copied(server) - sent)["answered"], gained(before, pairs(server))
    assert answered > len(labelled) / 2  # All, unless the machine is very busy.
    assert sum(found.values()) == answered
    assert all(found[name] <= count for name, count in expected(labelled).items())


def test_agreement_is_told_without_labels_and_copies_apart_from_requests(
    server: ModelServer, candidate: ModelServer
) -> None:
    def seen() -> list[float]:
        agreement = [
            value(server, Metric.AGREEMENT, candidate="candidate", outcome=one) for one in ("same", "different")
        ]
        methods = [
            value(candidate, f"{Metric.REQUEST_SECONDS}_count", code="200", method=m) for m in ("copy", "predict")
        ]
        return agreement + methods

    before = seen()
    with clients(server) as ways:
        for ask in ways:
            copied_one(server, ask, NUMBERS)
        wanted = [2 * len(ways), len(ways), len(ways), 0]
        wait_until(lambda: [after - start for after, start in zip(seen(), before, strict=True)] == wanted)


def test_a_share_is_copied(server: ModelServer, candidate: ModelServer) -> None:
    server.rotate(candidate.host_port, 0.2, copy=True)
    before = copied(server)
    connection = HTTPConnection(server.address, HTTP_PORT, timeout=30)
    for _ in range(1000):
        by_rest(connection, [1])
    connection.close()
    wait_until(lambda: (copied(server) - before).total() > 200 - 5 * 12.7)
    assert (copied(server) - before).total() < 200 + 5 * 12.7


def test_who_hangs_or_dies_is_not_noticed(start: StartServer, server: ModelServer) -> None:
    dying = start("over-10.keras", revision="dying")
    assert dying.process is not None
    server.rotate(dying.host_port, copy=True)
    with clients(server) as ways:
        for ask in ways:
            copied_one(server, ask, NUMBERS)
        before = copied(server)
        os.kill(dying.process.pid, signal.SIGSTOP)
        asked = 0
        for _ in range(40):
            for ask in ways:
                ask(NUMBERS)
                asked += 1
        wait_until(lambda: (copied(server) - before)["dropped"] > 0)
        wait_until(lambda: (copied(server) - before).total() == asked)  # Those under way have run out of time.
        os.kill(dying.process.pid, signal.SIGCONT)
        dying.kill()
        before = copied(server)
        for _ in range(20):
            for ask in ways:
                ask(NUMBERS)
        wait_until(lambda: (copied(server) - before).total() == 20 * len(ways))
        assert (copied(server) - before)["answered"] == 0


def test_pairs_outlive_the_container(start: StartServer, candidate: ModelServer) -> None:
    pod = start("over-0.keras", revision="stable")
    pod.rotate(candidate.host_port, copy=True)
    with clients(pod) as ways:
        tokens = [copied_one(pod, ways[0], [5]) for _ in range(4)]
    assert [label(pod, token, 0) for token in tokens[:3]] == [200] * 3
    counts = pod.counts()
    assert counts["pairs"] == [{"revision": "candidate", "won": 3, "lost": 0, "tied": 0}]
    pod.kill()
    pod.start()
    pod.wait_until_ready()
    assert pod.counts() == counts  # The rotation, too.
    assert label(pod, tokens[0], 0) == 409
    assert label(pod, tokens[3], 0) == 200  # What it was to be paired with is forgotten.
    assert pod.counts()["pairs"] == counts["pairs"]
    with clients(pod) as ways:
        token = copied_one(pod, ways[0], [5])
    assert label(pod, token, 1) == 200
    assert pod.counts()["pairs"] == [{"revision": "candidate", "won": 3, "lost": 1, "tied": 0}]


@pytest.mark.parametrize(
    ("options", "counted"),
    [({"MODEL_LABEL_MATURITY": "3600"}, 0), ({"MODEL_AUDIT_FRACTION": "0.5", "MODEL_LABELS_COUNTED": "audited"}, None)],
)
def test_a_pair_counts_when_its_label_does(
    start: StartServer, candidate: ModelServer, options: dict[str, str], counted: int | None
) -> None:
    pod = start("over-0.keras", revision="stable", **options)
    pod.rotate(candidate.host_port, copy=True)
    with clients(pod) as ways:
        tokens = [copied_one(pod, ways[0], [5]) for _ in range(20)]
    assert {label(pod, token, 1) for token in tokens} == {200}
    lost = pairs(pod)["lost"]
    assert lost == pod.counts()["correct"]
    assert lost == counted if counted is not None else 0 < lost < len(tokens)
