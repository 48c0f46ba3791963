"""Requests through a real Envoy, which a real Envoy Gateway configures from the operator's HTTPRoute."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from model_server.contract import REVISION_HEADER
from model_server.protocols import open_inference_pb2 as messages

from tests.demo.records import Connections, Kind
from tests.e2e.clients import SECONDS, TEXT, Client, Clients
from tests.e2e.model_pods import pods_of
from tests.e2e.waiting import wait_until
from tests.support.gateway import NAME, EnvoyGateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.demo.records import Record
    from tests.e2e.deployments import ModelDeployment

# The first test to run brings the cluster up, and builds Envoy Gateway.
pytestmark = pytest.mark.timeout(1800)

HOST = "localhost"
SHARE, LARGER = 20, 60
PREDICTIONS = 400
"""Seen by the clients at each share that is measured."""
SIGMAS = 5.0
# The labels of the first step come to more than what is measured in it.
STEPS = [{"weight": SHARE, "hold": {"labels": 200}}, {"weight": LARGER, "hold": {"approval": True}}]
SPEC: dict[str, Any] = {
    "replicas": 2,
    "route": {"parentRefs": [{"name": NAME}], "hostnames": [HOST]},
    "rollout": {"strategy": "Canary", "steps": STEPS},
}


@pytest.fixture
def gateway(model: ModelDeployment, tmp_path: Path) -> Iterator[EnvoyGateway]:
    """Run Envoy Gateway and Envoy for the namespace of a model."""

    def kubectl(*words: str, stdin: str | None = None) -> str:
        return model.kubectl(*words, stdin=None if stdin is None else stdin.encode())

    with EnvoyGateway(model.stage.cluster.kubeconfig, kubectl, model.namespace, tmp_path) as running:
        yield running


def test_a_canary_answers_its_share_through_the_gateway_and_is_promoted(
    model: ModelDeployment, gateway: EnvoyGateway
) -> None:
    client, stable = _serve(model, gateway)
    with _clients(model, client) as clients:
        model.apply(_another(model))
        canary = _begun(model)
        _assert_share(clients, model, canary, SHARE)
        model.wait(lambda status: status["rollout"].get("reached") == LARGER, "it has labels enough for more")
        _assert_share(clients, model, canary, LARGER)
        _assert_share_of_calls(client, canary, LARGER)
        model.wait_for_condition("Ready", "False", "AwaitingApproval")
        model.kubectl("annotate", "mdep", model.name, f"modelops.dev/promote={canary}")
        model.wait_for_condition("Ready", "True", "Serving")
        _go_on(clients, model)
        clients.end()
    _assert_none_failed(clients, model)
    predictions = [one for one in clients.records if one.kind is Kind.PREDICTION]
    assert {one.revision for one in predictions[-20:]} == {canary}
    counted = {
        name: sum(pod.counts()[word] for pod in pods_of(model) if pod.revision == name for word in ("correct", "wrong"))
        for name in (stable, canary)
    }
    assert counted == {name: clients.labels(name) for name in (stable, canary)}, "each label, by who predicted"


def test_a_canary_that_is_worse_is_taken_back_from_the_gateway_and_no_request_fails(
    model: ModelDeployment, gateway: EnvoyGateway
) -> None:
    client, stable = _serve(model, gateway)
    with _clients(model, client) as clients:
        model.apply(model.document("spoilt", **SPEC))
        canary = _begun(model)
        model.wait(lambda status: [one["revision"] for one in status["rejections"]] == [canary], "it is taken back")
        wait_until(lambda: not _is_divided(model), "the route leads to the Service alone", seconds=30)
        last = max(one.done for one in clients.records if one.revision == canary)
        _go_on(clients, model)
        # Its pods end 90 s after they were taken back: that no request fails is seen beyond that.
        model.wait(lambda _: canary not in {pod.revision for pod in pods_of(model)}, "its pods are gone", seconds=200)
        _go_on(clients, model)
        clients.end()
    _assert_none_failed(clients, model)
    predictions = [one for one in clients.records if one.kind is Kind.PREDICTION]
    assert all(one.revision == stable for one in predictions if one.sent > last + 1)
    assert model.serving() == stable


def test_a_label_whose_pod_is_gone_finds_its_heir_through_the_gateway(
    model: ModelDeployment, gateway: EnvoyGateway
) -> None:
    """Only a pod of the same revision finds it: some of the labels would be lost if they were divided as well."""
    client, stable = _serve(model, gateway)
    model.apply(_another(model))
    _begun(model)
    answers = [client.predict() for _ in range(60)]
    mine = [one.prediction_id for one in answers if one.revision == stable]
    before = {pod.name for pod in pods_of(model) if pod.revision == stable}
    model.kubectl("delete", "pod", *sorted(before), "--wait=true")
    wait_until(
        lambda: len({pod.name for pod in pods_of(model) if pod.revision == stable} - before) == 2,
        "others are there in their place",
        seconds=120,
    )
    model.wait(lambda status: status["readyReplicas"] == 2, "they are ready")
    wait_until(client.is_answered, "the Gateway has found them", seconds=30)
    seen = [client.label(f"{one}.0").status for one in mine]
    assert len(seen) > 20
    assert set(seen) == {200}


def _serve(model: ModelDeployment, gateway: EnvoyGateway) -> tuple[Client, str]:
    """Have the good model serve; return a client of the Gateway, and the revision."""
    model.apply(model.document("good", **SPEC))
    stable = model.wait_ready()
    gateway.wait()
    model.wait_for_condition("Routed", "True", "RouteAccepted")
    client = Client(HOST, model.name, gateway.port)
    wait_until(client.is_answered, "requests come through Envoy", seconds=30, explain=model.explain)
    return client, stable


def _another(model: ModelDeployment) -> dict[str, Any]:
    """Return the good model as another revision."""
    return model.document("good", serving={"env": [{"name": "ANOTHER", "value": "1"}]}, **SPEC)


def _clients(model: ModelDeployment, client: Client) -> Clients:
    return Clients(client, model.stage.models["good"].holdout, pause=0.2)


def _begun(model: ModelDeployment) -> str:
    """Wait until the Gateway has the first share; return the new revision."""
    seen = model.wait(lambda status: status.get("rollout", {}).get("reached") == SHARE, "its share is reached")
    return str(seen["status"]["rollout"]["revision"])


def _go_on(clients: Clients, model: ModelDeployment) -> None:
    """Wait until the clients have seen a good deal more."""
    seen = len(clients.records)
    model.wait(lambda _: len(clients.records) > seen + PREDICTIONS // 4, "the traffic goes on")


def _is_divided(model: ModelDeployment) -> bool:
    path = "jsonpath={.spec.rules[*].backendRefs[*].name}"
    return set(model.kubectl("get", "httproute", model.name, "-o", path).split()) != {model.name}


def _assert_share(clients: Clients, model: ModelDeployment, canary: str, percent: int) -> None:
    """Assert that the clients get so many of their answers from the new revision, on kept and on new connections."""
    start = max(record.sent for record in clients.records) + 1  # The proxy reads it a moment after it is accepted.

    def since() -> list[Record]:
        return [one for one in clients.records if one.kind is Kind.PREDICTION and one.sent > start]

    model.wait(lambda _: len(since()) >= PREDICTIONS, "enough is seen")
    for connections in Connections:
        seen = [record for record in since() if record.connections is connections]
        _assert_about(sum(record.revision == canary for record in seen), len(seen), percent)


def _assert_share_of_calls(client: Client, canary: str, percent: int) -> None:
    """Assert the same for gRPC, on one connection."""
    with grpc.insecure_channel(f"{client.host}:{client.port}") as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=messages.ModelInferRequest.SerializeToString,
            response_deserializer=messages.ModelInferResponse.FromString,
        )
        request = messages.ModelInferRequest(model_name=client.model)
        request.inputs.add(name="text", datatype="BYTES", shape=[1]).contents.bytes_contents.append(TEXT.encode())
        seen = []
        for _ in range(PREDICTIONS):
            _, call = infer.with_call(request, timeout=SECONDS)
            seen.append(dict(call.trailing_metadata())[REVISION_HEADER.lower()])
    _assert_about(seen.count(canary), len(seen), percent)


def _assert_about(found: int, of: int, percent: int) -> None:
    share, wanted = found / of, percent / 100
    print(f"{found} of {of}: {share:.3f}, should be {wanted}")
    assert abs(share - wanted) < SIGMAS * math.sqrt(wanted * (1 - wanted) / of)


def _assert_none_failed(clients: Clients, model: ModelDeployment) -> None:
    failed = clients.failed()
    print(f"{len(clients.records)} requests, {len(failed)} failed")
    assert not failed, f"{failed[:3]}\n{model.explain()}"
