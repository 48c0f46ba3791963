"""Traces reach a collector over OTLP, and never stand in the way of answers."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from model_server import contract, traces, tracing
from model_server.admin import AdminApp
from model_server.app import PredictionApp
from model_server.contract import Metric
from model_server.logs import JsonFormatter
from model_server.traces import Tracing
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics

from tests.serving.in_process import TOKEN, Half, a_head, begin, call, serving_parts
from tests.serving.otlp_receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from model_server.parts import ServerParts

    from tests.serving.conftest import StartServer
    from tests.serving.otlp_receiver import Span

PREDICT = "/v1/models/m:predict"
BODY = {"instances": [1, 2]}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
async def parts(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ServerParts]:
    """Of a server that traces."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    monkeypatch.setattr(tracing, "CLOSE_SECONDS", 30.0)  # Here somebody takes the spans, however busy the machine is.
    yield traced(tmp_path, POD_NAME="m-1")
    traces.current.set(traces.NO_TRACE)


def traced(folder: Path, **environment: str) -> ServerParts:
    parts = serving_parts(folder, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "x", **environment})
    assert parts.settings.traces
    parts.tracing = tracing.start(parts.settings)
    return parts


def by_name(spans: list[Span]) -> dict[str, Span]:
    found = {span.name: span for span in spans}
    assert len(found) == len(spans)
    return found


async def test_a_prediction_is_a_server_span_with_its_stages_inside(parts: ServerParts, receiver: Receiver) -> None:
    headers = {"traceparent": TRACEPARENT, "User-Agent": "test"}
    assert (await call(PredictionApp(parts), "POST", PREDICT, BODY, headers))[0] == 200
    parts.tracing.close()
    spans = by_name(receiver.spans)
    request = spans.pop("POST /v1/models/{model}:predict")
    assert (request.kind, request.trace, request.parent, request.is_error) == ("server", TRACE, PARENT, False)
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/models/{model}:predict",
        "http.response.status_code": 200,
        "url.path": PREDICT,
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "user_agent.original": "test",
        "modelops.instances": 2,
    }
    known = {
        "service.name": "m",
        "service.version": "r1",
        "service.instance.id": "uid",
        "k8s.pod.name": "m-1",
        "k8s.pod.uid": "uid",
        "modelops.model": "m",
        "modelops.revision": "r1",
        "deployment.environment.name": "test",
    }
    assert request.sender.items() >= known.items()
    assert spans.keys() == {"read body", "call model"}
    assert {(span.kind, span.trace, span.parent) for span in spans.values()} == {("internal", TRACE, request.id)}


async def test_what_the_environment_says_of_the_sender_goes_first(
    parts: ServerParts, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    parts.tracing = tracing.start(parts.settings)
    await call(PredictionApp(parts), "GET", "/v1/models/m")
    parts.tracing.close()
    assert {span.sender["service.name"] for span in receiver.spans} == {"shop"}


@pytest.mark.parametrize(
    ("method", "path", "name", "status", "is_error"),
    [
        ("GET", "/v1/models/m/versions/1/metadata", "GET /v1/models/{model}/versions/{version}/metadata", 200, False),
        ("GET", "/nowhere", "GET", 404, False),
        ("PROPFIND", "/v1/models/m", "HTTP", 405, False),
        ("POST", PREDICT, "POST /v1/models/{model}:predict", 500, True),
    ],
)
async def test_errors_of_the_server_are_errors_of_its_span(
    parts: ServerParts, receiver: Receiver, *, method: str, path: str, name: str, status: int, is_error: bool
) -> None:
    class Broken(Half):
        def predict(self, signature_name: str, inputs: Any) -> dict[str, Any]:
            raise RuntimeError

    begin(parts, Broken())
    assert (await call(PredictionApp(parts), method, path, BODY))[0] == status
    parts.tracing.close()
    (request,) = (span for span in receiver.spans if span.kind == "server")
    assert (request.name, request.is_error) == (name, is_error)
    assert request.attributes["http.response.status_code"] == status
    assert request.attributes.get("error.type") == (str(status) if is_error else None)
    failed = {span.name: span.attributes["error.type"] for span in receiver.spans if span.is_error} if is_error else {}
    assert failed.get("call model") == ("RequestError" if is_error else None)


async def test_a_client_that_hangs_up_is_told(parts: ServerParts, receiver: Receiver) -> None:
    app = PredictionApp(parts)
    app.gone(a_head("POST", PREDICT))  # Before the body was there.
    slow = Slow()
    begin(parts, slow)
    asking = asyncio.create_task(call(app, "POST", PREDICT, BODY))
    await asyncio.to_thread(slow.begun.wait, 10)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    slow.may_end.set()
    parts.tracing.close()
    requests = [span for span in receiver.spans if span.kind == "server"]
    assert [(span.attributes["error.type"], span.is_error) for span in requests] == [("client_gone", False)] * 2


class Slow(Half):
    """Answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_end = threading.Event(), threading.Event()

    def predict(self, signature_name: str, inputs: Any) -> dict[str, Any]:
        self.begun.set()
        assert self.may_end.wait(10)
        return super().predict(signature_name, inputs)


async def test_exemplars_lead_to_traces_that_were_sampled(parts: ServerParts) -> None:
    app = PredictionApp(parts)
    await call(app, "POST", PREDICT, BODY, {"traceparent": TRACEPARENT})
    await call(app, "GET", "/v1/models/m", None, {"traceparent": TRACEPARENT[:-1] + "0"})
    admin = AdminApp(parts, TOKEN.encode())
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    text = (await call(admin, "GET", contract.METRICS_PATH, headers=accept))[2].decode()
    samples = [sample for family in read_openmetrics(text) for sample in family.samples if sample.exemplar]
    assert [(one.name, one.labels["method"], one.exemplar.labels) for one in samples if one.exemplar] == [
        (f"{Metric.REQUEST_SECONDS}_bucket", "predict", {"trace_id": TRACE})
    ]
    plain = (await call(admin, "GET", contract.METRICS_PATH))[2].decode()
    assert TRACE not in plain
    parts.tracing.close()


async def test_who_is_not_sampled_is_not_sent_but_told_on(
    parts: ServerParts, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    parts.tracing = tracing.start(parts.settings)
    assert (await call(PredictionApp(parts), "POST", PREDICT, BODY))[0] == 200
    trace = traces.current.get()
    parts.tracing.close()
    assert receiver.spans == []
    with trace.call("POST", "10.0.0.2:8501", "/") as passing_on:
        ((name, value),) = passing_on.headers({"Traceparent": "of the client"})
    assert (name, value.split("-")[1::2]) == ("traceparent", [trace.id, "02"])  # Not sampled, but the id is random.


async def test_what_clients_send_takes_little_room_in_a_span(parts: ServerParts, receiver: Receiver) -> None:
    headers = {"User-Agent": "x" * 60_000}
    assert (await call(PredictionApp(parts), "GET", "/" + "y" * 60_000, None, headers))[0] == 404
    with traces.current.get().call("GET", "[::1]:8501", f"/{'y' * 60_000}?key=secret"):
        pass
    parts.tracing.close()
    kinds = {span.kind: span.attributes for span in receiver.spans}
    texts = (
        kinds["server"]["url.path"],
        kinds["server"]["user_agent.original"],
        kinds["client"]["url.full"],
    )
    assert {len(text) for text in texts} == {tracing.MAX_TEXT}


async def test_a_request_to_another_pod_is_told_without_its_query(parts: ServerParts, receiver: Receiver) -> None:
    await call(PredictionApp(parts), "GET", "/v1/models/m")
    with traces.current.get().call("GET", "[::1]:8501", "/v1/models/m?key=secret") as asking:
        asking.answered(404)
    parts.tracing.close()
    (client,) = (span for span in receiver.spans if span.kind == "client")
    assert client.attributes["url.full"] == "http://[::1]:8501/v1/models/m"
    assert (client.attributes["server.address"], client.attributes["server.port"]) == ("::1", 8501)
    assert (client.is_error, client.attributes["error.type"]) == (True, "404")  # Here it is this pod that asked.


async def test_a_tracestate_in_several_lines_is_passed_on_as_a_whole(parts: ServerParts) -> None:
    names = (b"traceparent", TRACEPARENT.encode()), (b"tracestate", b"a=b"), (b"tracestate", b"c=d")
    head = a_head("GET", "/")
    head.headers = names
    with parts.tracing.begin(head), traces.current.get().call("GET", "10.0.0.2:8501", "/") as passing_on:
        assert dict(passing_on.headers([]))["tracestate"] == "a=b,c=d"
    parts.tracing.close()


async def test_passwords_are_not_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://me:secret@127.0.0.1:9/v1/traces?key=secret")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "Authorization: secret")
    caplog.set_level(logging.INFO)
    logging.getLogger("opentelemetry").setLevel(logging.NOTSET)  # As it is when the server starts.
    traced(tmp_path).tracing.close()
    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert not [line for line in lines if "secret" in line]
    assert [line for line in lines if "Header format invalid" in line and "(not shown)" in line]
    assert [line for line in lines if '"endpoint": "http://127.0.0.1:9/v1/traces"' in line]


async def test_a_collector_that_refuses_everything_does_not_fill_the_log(
    parts: ServerParts, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 404
    monkeypatch.setattr(logging.getLogger(OTLPSpanExporter.__module__), "filters", [])  # What other tests have left.
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
    parts.tracing = tracing.start(parts.settings)
    for _ in range(5):
        await call(PredictionApp(parts), "GET", "/v1/models/m")
    parts.tracing.close()
    assert len(receiver.spans) > 5
    assert [record.levelname for record in caplog.records if "404" in record.getMessage()] == ["ERROR"]


async def test_log_lines_have_the_trace(parts: ServerParts) -> None:
    await call(PredictionApp(parts), "GET", "/v1/models/m", None, {"traceparent": TRACEPARENT})
    record = logging.LogRecord("", logging.ERROR, "", 0, "a request failed", (), None)
    assert json.loads(JsonFormatter().format(record))["trace_id"] == TRACE
    traces.current.set(traces.NO_TRACE)
    assert "trace_id" not in json.loads(JsonFormatter().format(record))
    parts.tracing.close()


@pytest.mark.parametrize(
    ("environment", "is_wanted"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": NOBODY}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY, "OTEL_TRACES_EXPORTER": ""}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY, "OTEL_SDK_DISABLED": "True"}, False),
    ],
)
async def test_traces_are_made_when_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], *, is_wanted: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = serving_parts(tmp_path, environment=environment).settings
    assert settings.traces is is_wanted
    if is_wanted:
        started = tracing.start(settings)
        assert type(started) is not Tracing
        started.close()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER is zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "port 4318"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "1", "max_export_batch_size"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://", "http://collector:4318"),
    ],
)
async def test_what_is_wrong_with_the_settings_is_told_and_no_more(  # Fixtures.
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: str,
    reason: str,
) -> None:
    monkeypatch.setenv(name, value)
    parts = traced(tmp_path)
    assert type(parts.tracing) is Tracing
    (line,) = (record for record in caplog.records if record.message == "requests are not traced")
    assert reason in str(vars(line)["fields"])


async def test_without_a_collector_answers_come_and_the_end_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", NOBODY)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    parts = traced(tmp_path)
    for _ in range(50):
        assert (await call(PredictionApp(parts), "POST", PREDICT, BODY))[0] == 200
    before = time.monotonic()
    parts.tracing.close()
    assert time.monotonic() - before < tracing.CLOSE_SECONDS + 3
    assert "dropping" not in caplog.text  # There would be a line for each span.


def test_who_wants_no_traces_does_not_load_what_makes_them() -> None:
    program = "import sys, model_server.server; sys.exit(any('opentelemetry' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_one_trace_goes_through_all_pods(start: StartServer, receiver: Receiver) -> None:
    environment = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.url}/v1/traces"}
    old, new = (start("text.keras", revision=name, wait=False, **environment) for name in ("r1", "r2"))
    old.wait_until_ready()
    new.wait_until_ready()
    token = old.predict(["好"]).token
    old.rotate(new.host_port)
    reply = old.predict(["好"], traceparent=TRACEPARENT, tracestate="a=b")
    assert (reply.status, reply.revision) == (200, "r2")
    path = contract.MODEL_PATH_TEMPLATE.format(model="m") + contract.FEEDBACK_SUFFIX
    assert new.post(contract.FEEDBACK_SUFFIX, {"id": token, "label": 1}, traceparent=TRACEPARENT).status == 200
    for pod in (old, new):
        pod.terminate()
        assert pod.wait() == 0  # What is left is sent at the end.
    passed = [span for span in receiver.spans if span.trace == TRACE and span.kind != "internal"]
    lines = {(span.sender["modelops.revision"], span.kind, span.name): span for span in passed}
    assert len(lines) == len(passed) == 6
    route = "POST /v1/models/{model}"
    for first, second, suffix, there in (
        ("r1", "r2", contract.PREDICT_SUFFIX, new),
        ("r2", "r1", contract.FEEDBACK_SUFFIX, old),
    ):
        client = lines[first, "client", "POST"]
        assert lines[first, "server", route + suffix].parent == PARENT
        assert client.parent == lines[first, "server", route + suffix].id
        assert lines[second, "server", route + suffix].parent == client.id
        assert client.attributes["server.address"] == there.address
        assert client.attributes["http.response.status_code"] == 200
    assert lines["r2", "client", "POST"].attributes["url.full"] == f"http://{old.host_port}{path}"
