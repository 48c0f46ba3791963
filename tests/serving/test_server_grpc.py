"""A server as clients of gRPC see it: grpcio's own, with TensorFlow Serving's stubs."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import grpc
import model_server.runtime  # noqa: F401  # Before TensorFlow's messages.
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from model_server import contract, grpc_server
from model_server.contract import Env
from model_server.protocols import feedback_pb2
from model_server.protocols import open_inference_pb2 as v2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving.model_servers import GRPC_PORT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from tests.serving.conftest import StartServer
    from tests.serving.model_servers import ModelServer

SECONDS = 20.0
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Client:
    """A channel to a server."""

    def __init__(self, server: ModelServer, *options: tuple[str, Any]) -> None:
        self.channel = grpc.insecure_channel(f"{server.address}:{GRPC_PORT}", options=options)
        self.predictions = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def infer(self, name: str, request: Any, kind: Any) -> Any:
        """A method of the Open Inference Protocol."""
        return self.unary(f"/inference.GRPCInferenceService/{name}", request, kind)

    def unary(self, path: str, request: Any, kind: Any) -> Any:
        method = self.channel.unary_unary(
            path, request_serializer=lambda each: each.SerializeToString(), response_deserializer=kind.FromString
        )
        return method(request, timeout=SECONDS)

    def label(self, identity: str, **label: Any) -> Any:
        request = feedback_pb2.SendRequest(model="m", labels=[feedback_pb2.Label(id=identity, **label)])
        return self.unary("/modelops.v1.FeedbackService/Send", request, feedback_pb2.SendResponse).results[0]

    def check(self, service: str = "") -> Any:
        return self.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS).status


@pytest.fixture(scope="module")
def server(shared: StartServer) -> ModelServer:
    return shared("text.keras", **{Env.MODEL_LABELS: '["bad", "good"]', Env.MAX_BODY_BYTES: "100000"})


@pytest.fixture
def client(server: ModelServer) -> Iterator[Client]:
    with Client(server) as client:
        yield client


def ask(*texts: str, key: str = "text", model: str = "m") -> Any:
    request = predict_pb2.PredictRequest(model_spec={"name": model})
    tensor = request.inputs[key]
    tensor.dtype = 7
    tensor.tensor_shape.dim.add(size=len(texts))
    tensor.string_val.extend(text.encode() for text in texts)
    return request


def number(value: float) -> Any:
    request = predict_pb2.PredictRequest(model_spec={"name": "m"})
    tensor = request.inputs["x"]
    tensor.dtype = 1
    tensor.tensor_shape.dim.add(size=1)
    tensor.float_val.append(value)
    return request


def metadata(call: Any) -> dict[str, str]:
    return dict(call.trailing_metadata())


def refused(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value.code(), raised.value.details()


# --- What it answers -----------------------------------------------------------------------------------------------


def test_predictions_have_an_id_to_which_labels_can_be_sent(server: ModelServer, client: Client) -> None:
    before = server.counts()
    answer, call = client.predictions.Predict.with_call(ask("好", "不"), timeout=SECONDS)
    (output,) = answer.outputs.values()
    scores = np.frombuffer(output.tensor_content, np.float32)

    assert scores[0] > 0.5 > scores[1]
    assert (answer.model_spec.name, answer.model_spec.signature_name) == ("m", "serving_default")
    assert metadata(call)["model-revision"] == "r1"
    token = metadata(call)["prediction-id"]
    assert client.label(f"{token}.0", name="good").accepted
    assert client.label(f"{token}.1", number=1).accepted
    again = client.label(f"{token}.0", truth=True)
    assert (again.accepted, again.reason) == (False, "duplicate")
    assert client.label("made up", number=1).reason == "malformed"
    after = server.counts()
    assert after["predictions"] - before["predictions"] == 2
    assert (after["correct"] - before["correct"], after["wrong"] - before["wrong"]) == (1, 1)


def test_the_open_inference_protocol_has_the_id_in_its_parameters(client: Client) -> None:
    request = v2.ModelInferRequest(model_name="m", id="mine")
    tensor = request.inputs.add(name="text", datatype="BYTES", shape=[1])
    tensor.contents.bytes_contents.append("好".encode())
    answer = client.infer("ModelInfer", request, v2.ModelInferResponse)

    assert (answer.id, answer.model_name, answer.model_version) == ("mine", "m", "1")
    assert answer.outputs[0].contents.fp32_contents[0] > 0.5
    assert client.label(answer.parameters["prediction_id"].string_param, truth=True).accepted
    assert answer.parameters["revision"].string_param == "r1"


def test_the_server_and_its_model_are_told_of(client: Client) -> None:
    assert client.infer("ServerLive", v2.ServerLiveRequest(), v2.ServerLiveResponse).live
    assert client.infer("ServerReady", v2.ServerReadyRequest(), v2.ServerReadyResponse).ready
    assert client.infer("ModelReady", v2.ModelReadyRequest(name="m"), v2.ModelReadyResponse).ready
    assert not client.infer("ModelReady", v2.ModelReadyRequest(name="x"), v2.ModelReadyResponse).ready
    about = client.infer("ModelMetadata", v2.ModelMetadataRequest(name="m"), v2.ModelMetadataResponse)
    assert [(each.name, each.datatype, list(each.shape)) for each in about.inputs] == [("text", "BYTES", [-1])]
    assert list(about.versions) == ["1"]
    request = get_model_status_pb2.GetModelStatusRequest(model_spec={"name": "m"})
    (version,) = client.models.GetModelStatus(request, timeout=SECONDS).model_version_status
    assert (version.version, version.state) == (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE)
    asked = get_model_metadata_pb2.GetModelMetadataRequest(model_spec={"name": "m"}, metadata_field=["signature_def"])
    definitions = get_model_metadata_pb2.SignatureDefMap()
    client.predictions.GetModelMetadata(asked, timeout=SECONDS).metadata["signature_def"].Unpack(definitions)
    assert "text" in definitions.signature_def["serving_default"].inputs


def test_errors_have_the_codes_of_tensorflow_serving(client: Client) -> None:
    predict = client.predictions.Predict
    codes = grpc.StatusCode
    unknown = ask("好")
    unknown.model_spec.signature_name = "none"
    reload = model_management_pb2.ReloadConfigRequest()
    for call, code, message in (
        (lambda: predict(ask("好", model="x")), codes.NOT_FOUND, "Servable not found for request: Latest"),
        (lambda: predict(ask("好", key="wrong")), codes.INVALID_ARGUMENT, "Missing but required: {text}"),
        (lambda: predict(number(1.0)), codes.INVALID_ARGUMENT, "Sent extra: {x}"),
        (lambda: predict(unknown), codes.FAILED_PRECONDITION, 'Serving signature key "none" not found'),
        (lambda: predict(ask("x" * 100_001)), codes.RESOURCE_EXHAUSTED, "the message is over 100000 bytes"),
        (lambda: client.models.HandleReloadConfigRequest(reload), codes.UNIMPLEMENTED, "settings"),
        (lambda: client.unary("/a/B", reload, v2.ServerLiveResponse), codes.UNIMPLEMENTED, "no method /a/B"),
    ):
        given, text = refused(call)
        assert given is code
        assert message in text


def test_packed_calls_are_answered_packed(client: Client) -> None:
    texts = ["好"] * 500
    answer = client.predictions.Predict(ask(*texts), compression=grpc.Compression.Gzip, timeout=SECONDS)

    assert next(iter(answer.outputs.values())).tensor_shape.dim[0].size == 500


def test_health_and_reflection(client: Client) -> None:
    assert client.check() == client.check(grpc_server.PREDICTION) == SERVING
    listed = client.health.List(health_pb2.HealthListRequest(), timeout=SECONDS).statuses
    assert {name: status.status for name, status in listed.items()} == dict.fromkeys(("", *grpc_server.SERVICES), 1)
    code, _ = refused(lambda: client.check("none"))
    assert code is grpc.StatusCode.NOT_FOUND
    described = ProtoReflectionDescriptorDatabase(client.channel)
    assert set(described.get_services()) == set(grpc_server.SERVICES)
    for service in grpc_server.SERVICES:
        file = described.FindFileContainingSymbol(service)
        assert service in {f"{file.package}.{each.name}" for each in file.service}


def test_every_described_method_is_there(client: Client) -> None:
    """What the table of methods has, and what reflection describes, are the same."""
    described = ProtoReflectionDescriptorDatabase(client.channel)
    for service in grpc_server.SERVICES:
        file = described.FindFileContainingSymbol(service)
        (methods,) = (each.method for each in file.service if f"{file.package}.{each.name}" == service)
        for method in methods:
            if method.client_streaming or method.server_streaming:
                continue
            call = client.channel.unary_unary(f"/{service}/{method.name}")
            try:
                call(b"\xff", timeout=SECONDS)
            except grpc.RpcError as error:
                assert "no method" not in error.details(), method.name  # noqa: PT017  # Some answer, some refuse.


def test_calls_are_measured_with_those_of_http(server: ModelServer, client: Client) -> None:
    def count(method: str, code: int) -> float:
        text = server.admin("GET", contract.METRICS_PATH).body.decode()
        name = re.escape(f'model_request_duration_seconds_count{{code="{code}",method="{method}"}}')
        either = re.search(name + " ([0-9.]+)", text)
        return float(either[1]) if either else 0.0

    before = count("predict", 200), count("predict", 404)
    client.predictions.Predict(ask("好"), timeout=SECONDS)
    refused(lambda: client.predictions.Predict(ask("好", model="x"), timeout=SECONDS))

    assert (count("predict", 200), count("predict", 404)) == (before[0] + 1, before[1] + 1)


def test_other_messages_do_no_harm(client: Client) -> None:
    for path in (f"/{grpc_server.PREDICTION}/Predict", f"/{grpc_server.INFERENCE}/ModelInfer"):
        call = client.channel.unary_unary(path)
        assert refused(lambda call=call: call(b"\xff\xff", timeout=SECONDS))[0] is grpc.StatusCode.INVALID_ARGUMENT


# --- A slow model --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slow(shared: StartServer) -> ModelServer:
    return shared("slow")


def test_deadlines_and_cancelled_calls_leave_the_queue(slow: ModelServer) -> None:
    with Client(slow) as client:
        client.predictions.Predict(number(1.0), timeout=SECONDS)  # Warm.
        waiting = [client.predictions.Predict.future(number(2.0), timeout=SECONDS) for _ in range(6)]
        late = [client.predictions.Predict.future(number(3.0), timeout=0.05) for _ in range(20)]
        taken_back = [client.predictions.Predict.future(number(4.0), timeout=SECONDS) for _ in range(20)]
        for call in taken_back:
            call.cancel()
        assert {call.code() for call in late} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        assert {call.code() for call in waiting} == {grpc.StatusCode.OK}
    counts = slow.counts()["predictions"]
    time.sleep(1)
    assert counts == slow.counts()["predictions"]
    assert counts < 1 + 6 + 20  # Most of the others were never computed.


def test_sigterm_lets_running_calls_finish_and_tells_of_it(start: StartServer) -> None:
    server = start("slow")  # It drains for a second.
    with Client(server) as client:
        watched: list[Any] = []
        watch = client.health.Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)

        def look() -> None:
            try:
                watched.extend(each.status for each in watch)
            except grpc.RpcError as error:
                watched.append(error.code())

        looking = threading.Thread(target=look)
        looking.start()
        running = [client.predictions.Predict.future(number(1.0), timeout=SECONDS) for _ in range(3)]
        time.sleep(0.3)
        server.terminate()
        time.sleep(0.3)
        with Client(server) as late:
            assert late.check() == NOT_SERVING
            assert late.predictions.Predict(number(5.0), timeout=SECONDS).outputs  # Services learn of it late.
        assert {call.code() for call in running} == {grpc.StatusCode.OK}
        assert server.wait(20) == 0
        looking.join(10)
    assert watched[:2] == [SERVING, NOT_SERVING]
    assert watched[2:] == [grpc.StatusCode.UNAVAILABLE]


# --- Leaving -------------------------------------------------------------------------------------------------------


class Load:
    """Clients that ask without a pause, of whichever server is the target."""

    def __init__(self, *servers: ModelServer, count: int = 6) -> None:
        self.servers = list(servers)
        self.revisions: Counter[str] = Counter()
        self.last: dict[str, float] = {}
        self.failures: list[str] = []
        self._going = True
        self._count = count

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._ask()) for _ in range(self._count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._going = False
        await asyncio.gather(*self._tasks)

    async def _ask(self) -> None:
        target, channel = None, None
        while self._going:
            if target is not self.servers[0]:
                if channel is not None:
                    await channel.close()
                target = self.servers[0]
                channel = grpc.aio.insecure_channel(f"{target.address}:{GRPC_PORT}")
            assert channel is not None
            method = channel.unary_unary(f"/{grpc_server.PREDICTION}/Predict")
            call = method(ask("好").SerializeToString(), timeout=SECONDS)
            try:
                await call
            except grpc.aio.AioRpcError as error:
                self.failures.append(f"{error.code()} {error.details()}")
            else:
                revision = dict(await call.trailing_metadata())["model-revision"]
                self.revisions[revision] += 1
                self.last[revision] = time.monotonic()
        if channel is not None:
            await channel.close()


async def test_a_pod_that_left_the_rotation_passes_calls_on(pair: tuple[ModelServer, ModelServer]) -> None:
    bad, good = pair
    async with Load(bad) as load:
        await asyncio.sleep(0.5)
        await asyncio.to_thread(bad.rotate, good.host_port)
        rotated = time.monotonic()
        await asyncio.sleep(1)
    assert not load.failures
    assert load.revisions["bad"] > 20
    assert load.revisions["good"] > 20
    assert load.last["bad"] - rotated < 0.5
    assert good.counts()["predictions"] == load.revisions["good"]


def test_what_was_passed_on_is_answered_there_with_all_that_belongs_to_it(
    pair: tuple[ModelServer, ModelServer],
) -> None:
    bad, good = pair
    bad.rotate(good.host_port)
    good.rotate(bad.host_port)  # A circle, which no operator makes.
    try:
        with Client(bad) as to_bad, Client(good) as to_good:
            _, call = to_bad.predictions.Predict.with_call(ask("好"), timeout=SECONDS)
            assert metadata(call)["model-revision"] == "good"
            assert to_bad.label(metadata(call)["prediction-id"], number=1).accepted
            _, call = to_good.predictions.Predict.with_call(ask("好"), timeout=SECONDS)
            assert metadata(call)["model-revision"] == "bad"
            forged = ((contract.FORWARDED_HEADER.lower(), "another"),)
            _, call = to_bad.predictions.Predict.with_call(ask("好"), metadata=forged, timeout=SECONDS)
            assert metadata(call)["model-revision"] == "good"
            with pytest.raises(grpc.RpcError) as raised:
                to_bad.predictions.Predict(ask("好", key="wrong"), timeout=SECONDS)
            assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert dict(raised.value.trailing_metadata())["model-revision"] == "good"
    finally:
        good.rotate(None)
        bad.rotate(None)


def test_it_answers_itself_while_the_target_is_away(pair: tuple[ModelServer, ModelServer]) -> None:
    bad, _ = pair
    bad.rotate("127.0.0.1:9")
    try:
        with Client(bad) as client:
            for _ in range(3):
                _, call = client.predictions.Predict.with_call(ask("好"), timeout=SECONDS)
                assert metadata(call)["model-revision"] == "bad"
    finally:
        bad.rotate(None)


async def test_sigterm_under_load_loses_no_call(start: StartServer, pair: tuple[ModelServer, ModelServer]) -> None:
    _, staying = pair
    leaving = start("text.keras", revision="leaving")
    async with Load(leaving) as load:
        await asyncio.sleep(0.7)
        leaving.terminate()
        await asyncio.sleep(0.5)
        load.servers[:] = [staying]  # Services learn of it late.
        assert await asyncio.to_thread(leaving.wait, 20) == 0
        await asyncio.sleep(0.3)
    assert not load.failures
    assert load.revisions["leaving"] > 20
    assert load.revisions["good"] > 20


def test_a_server_that_loads_says_so(start: StartServer) -> None:
    server = start("text.keras", wait=False)
    with Client(server) as client:
        ready = health_pb2.HealthCheckRequest()
        assert client.health.Check(ready, timeout=SECONDS, wait_for_ready=True).status == NOT_SERVING
        assert refused(lambda: client.predictions.Predict(ask("好"), timeout=SECONDS))[0] is (
            grpc.StatusCode.UNAVAILABLE
        )
        server.wait_until_ready()
        assert client.check() == SERVING
