"""A pod passes on a share of its requests, chosen at random, while its clients keep their connections."""

from __future__ import annotations

import json
import math
from collections import Counter
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from model_server import contract
from model_server.contract import Metric
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.serving.model_servers import ADMIN_PORT, GRPC_PORT, HTTP_PORT, call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.serving.conftest import StartServer
    from tests.serving.model_servers import ModelServer

PREDICT = contract.MODEL_PATH_TEMPLATE.format(model="m") + contract.PREDICT_SUFFIX
INFER = contract.V2_MODEL_PATH_TEMPLATE.format(model="m") + "/infer"
REQUESTS = 2000
SIGMAS = 5
REVISION = contract.REVISION_HEADER
NOBODY = "127.0.0.1:9"


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
    """With and without front ends."""
    server: ModelServer = request.getfixturevalue(request.param)
    yield server
    server.rotate(None)


class Kept:
    """A connection that is kept; a second one would be an error."""

    def __init__(self, server: ModelServer) -> None:
        self._connection = HTTPConnection(server.address, HTTP_PORT, timeout=30)
        self._connection.connect()
        self._socket = self._connection.sock
        self.revisions: Counter[str] = Counter()

    def ask(self, number: int) -> None:
        """Ask by one protocol or the other."""
        tensor = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [5]}
        path, body = ((PREDICT, {"instances": [[5]]}), (INFER, {"inputs": [tensor]}))[number % 2]
        self._connection.request("POST", path, json.dumps(body))
        response = self._connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        assert response.status == 200, answer
        assert response.getheader("Connection") != "close"
        assert self._connection.sock is self._socket
        score = answer["predictions"][0][0] if path == PREDICT else answer["outputs"][0]["data"][0]
        revision = response.getheader(REVISION)
        assert revision == ("stable" if score > 0.5 else "candidate")
        self.revisions[revision] += 1

    def close(self) -> None:
        self._connection.close()


def bounds(share: float) -> tuple[float, float]:
    spread = SIGMAS * math.sqrt(REQUESTS * share * (1 - share))
    return REQUESTS * share - spread, REQUESTS * share + spread


def value(server: ModelServer, line: str) -> float:
    page = call(server.address, ADMIN_PORT, "GET", contract.METRICS_PATH).body.decode()
    return next((float(one.rpartition(" ")[2]) for one in page.splitlines() if one.startswith(line + " ")), 0.0)


def forwarded(server: ModelServer, outcome: str) -> float:
    return value(server, f'{Metric.FORWARDED}{{outcome="{outcome}"}}')


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_share_of_the_requests_is_answered_there_and_connections_stay(
    server: ModelServer, candidate: ModelServer, share: float
) -> None:
    before, answered = candidate.counts()["predictions"], forwarded(server, "answered")
    clients = [Kept(server), Kept(server)]  # With a front end, one in each process.
    server.rotate(candidate.host_port, share)
    for number in range(REQUESTS):
        clients[number // 2 % 2].ask(number)
    revisions = clients[0].revisions + clients[1].revisions
    for client in clients:
        client.close()
    least, most = bounds(share)
    assert least < revisions["candidate"] < most
    assert revisions.total() == REQUESTS
    assert candidate.counts()["predictions"] - before == revisions["candidate"]
    assert forwarded(server, "answered") - answered == revisions["candidate"]
    assert forwarded(server, "unreachable") == 0


def grpc_caller(server: ModelServer) -> tuple[grpc.Channel, Callable[[], str]]:
    channel = grpc.insecure_channel(f"{server.address}:{GRPC_PORT}")
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["x"].dtype = 1
    request.inputs["x"].tensor_shape.dim.add(size=1)
    request.inputs["x"].tensor_shape.dim.add(size=1)
    request.inputs["x"].float_val.append(5)

    def ask() -> str:
        _, answered = stub.Predict.with_call(request, timeout=20)
        return str(dict(answered.trailing_metadata())[REVISION.lower()])

    return channel, ask


def test_a_share_of_the_calls_is_answered_there(server: ModelServer, candidate: ModelServer) -> None:
    server.rotate(candidate.host_port, 0.2)
    channel, ask = grpc_caller(server)
    with channel:
        revisions = Counter(ask() for _ in range(REQUESTS))
    least, most = bounds(0.2)
    assert least < revisions["candidate"] < most
    assert revisions["stable"] == REQUESTS - revisions["candidate"]


def test_labels_go_to_who_answered(stable: ModelServer, candidate: ModelServer) -> None:
    stable.rotate(candidate.host_port, 0.5)
    before = {one.revision: one.counts() for one in (stable, candidate)}
    made: Counter[str] = Counter()
    for _ in range(40):
        reply = stable.predict([[5]])
        made[reply.revision] += 1
        assert stable.feedback(reply.token, 1).status == 200
    after = {one.revision: one.counts() for one in (stable, candidate)}
    stable.rotate(None)
    assert after["stable"]["correct"] - before["stable"]["correct"] == made["stable"]  # 5 is over 0,
    assert after["candidate"]["wrong"] - before["candidate"]["wrong"] == made["candidate"]  # and not over 10.


def test_no_request_fails_while_the_target_is_away(server: ModelServer) -> None:
    before = forwarded(server, "unreachable")
    server.rotate(NOBODY, 0.5)
    clients = [Kept(server), Kept(server)]
    for number in range(200):
        clients[number % 2].ask(number)
    for client in clients:
        assert set(client.revisions) == {"stable"}
        client.close()
    channel, ask = grpc_caller(server)
    with channel:
        assert {ask() for _ in range(20)} == {"stable"}
    assert 40 < forwarded(server, "unreachable") - before < 200
