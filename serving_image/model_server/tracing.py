"""Traces by OpenTelemetry's SDK, sent over OTLP. Imported only if they are wanted.

The SDK reads its own variables: OTEL_EXPORTER_OTLP_*, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER,
OTEL_BSP_*. Spans and attributes follow its semantic conventions for HTTP.
"""

from __future__ import annotations

import logging
import os
import time
from asyncio import CancelledError
from threading import Thread
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from model_server.logs import event, warning
from model_server.traces import Call, Trace, Tracing, current

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from opentelemetry.util.types import AnyValue

    from model_server.http.messages import Head
    from model_server.settings import ServeSettings
    from model_server.traces import Headers

CLOSE_SECONDS: Final = 2.0
"""For sending what is left when the server ends."""
MAX_TEXT: Final = 1024
"""Characters of what a client sends that a span keeps: thousands of spans wait in memory if nobody takes them."""
_SUPPORTED: Final = "http/protobuf"
_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_NOWHERE: Final = Context()


def start(settings: ServeSettings) -> Tracing:
    """Begin to trace. What is wrong with its settings is told, and then nothing is traced: answers matter more."""
    try:
        _check(os.environ)
        tracing = OpenTelemetry(resource(settings))
    except Exception as error:  # Whatever it is: the model can be served without traces.
        warning("requests are not traced", reason=str(error))
        return Tracing()
    event("requests are traced", endpoint=tracing.endpoint)
    return tracing


def resource(settings: ServeSettings) -> Resource:
    """Tell who sends the spans. What the environment says goes first."""
    ours = {
        "service.name": settings.model,
        "service.version": settings.revision,
        "service.instance.id": settings.pod_uid,
        "k8s.pod.name": settings.pod_name,
        "k8s.pod.uid": settings.pod_uid,
        "modelops.model": settings.model,
        "modelops.revision": settings.revision,
    }
    known = {name: value for name, value in ours.items() if value}
    return Resource.create({**known, **OTELResourceDetector().detect().attributes})


def _check(environment: Mapping[str, str]) -> None:
    exporters = environment.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    if "otlp" not in map(str.strip, exporters.split(",")):
        raise ValueError(f"OTEL_TRACES_EXPORTER is {exporters}: this server has otlp, and none")
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = environment.get(name, "").strip()
        if protocol == _SUPPORTED:
            return
        if protocol:
            raise ValueError(f"{name} is {protocol}: this server has {_SUPPORTED}, which collectors take on port 4318")


def _shown(endpoint: str) -> str:
    """Leave out what may be a password. Raises ValueError if nothing can be sent there."""
    url = urlsplit(endpoint)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("the endpoint for traces is no URL with a host, as http://collector:4318")
    return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _without_values(record: logging.LogRecord) -> bool:
    """Keep from the log the headers that the SDK cannot read: they are for passwords."""
    record.args = ("(not shown)",)
    return True


class _Seldom(logging.Filter):
    """Lets one line a minute pass: a collector that refuses everything would make several a second."""

    _silent_until = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether this line is written."""
        now = time.monotonic()
        if now < self._silent_until:
            return False
        self._silent_until = now + 60
        return True


class OpenTelemetry(Tracing):
    """Sends spans in batches from a thread of its own, which drops them when nobody takes them."""

    is_on = True

    def __init__(self, sender: Resource) -> None:
        logging.getLogger("opentelemetry.util.re").addFilter(_without_values)
        self._exporter = OTLPSpanExporter()
        self.endpoint = _shown(self._exporter._endpoint)  # noqa: SLF001  # The SDK alone knows how it is made.
        self._provider = TracerProvider(resource=sender, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("model_server")
        logging.getLogger("opentelemetry").setLevel(logging.ERROR)  # Else every attempt that fails would be a line,
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(_Seldom())  # and here every batch.

    def begin(self, head: Head) -> Trace:
        """Begin a server span, as a child of the client's if that says which one it is."""
        trace = RequestTrace(self._tracer, head)
        current.set(trace)
        return trace

    def close(self) -> None:
        """Send what is left, but do not wait for who does not take it."""
        sending = Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        sending.start()
        sending.join(CLOSE_SECONDS)


class _Stage:
    """A span that ends with a block."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> None:
        """Do nothing: it began when it was made."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _end(self._span, kind)


class _PodCall(Call):
    """A client span."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _end(self._span, kind)

    def headers(self, given: Headers | Mapping[str, str]) -> Headers | Mapping[str, str]:
        """Name this span as the parent of what the other pod does, instead of the client's."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, set_span_in_context(self._span, _NOWHERE))
        pairs = given if isinstance(given, list) else list(given.items())
        return [pair for pair in pairs if pair[0].lower() not in _PROPAGATOR.fields] + list(carrier.items())

    def answered(self, status: int) -> None:
        """Note the code; from 400 on it is an error of the one who asked."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 400:
            _mark(self._span, str(status))


class RequestTrace(Trace):
    """A server span and what is below it."""

    def __init__(self, tracer: Tracer, head: Head) -> None:
        self._tracer = tracer
        self._method = head.method if head.method in _METHODS else "HTTP"
        began = time.time_ns() - int((time.perf_counter() - head.started) * 1e9)
        self._span = tracer.start_span(
            self._method, _context(head), SpanKind.SERVER, _attributes(head), start_time=began
        )
        self._inside = set_span_in_context(self._span, _NOWHERE)
        ids = self._span.get_span_context()
        self.id = format_trace_id(ids.trace_id)
        self.is_sampled = ids.trace_flags.sampled
        self._is_answered = False
        if self.is_sampled:
            tracer.start_span("read body", self._inside, start_time=began).end()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if not self._is_answered and kind in {None, CancelledError}:
            self._span.set_attribute("error.type", "client_gone")
        _end(self._span, None if kind is CancelledError else kind)

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Begin a span inside."""
        if not self.is_sampled:
            return super().stage(name)
        return _Stage(self._tracer.start_span(name, self._inside))

    def call(self, method: str, address: str, path: str) -> Call:
        """Begin a client span."""
        host, _, port = address.rpartition(":")
        about: dict[str, AnyValue] = {
            "http.request.method": method,
            "server.address": host.strip("[]"),
            "server.port": int(port),
            "url.full": f"http://{address}{path.partition('?')[0]}"[:MAX_TEXT],  # The server span has no query, either.
        }
        return _PodCall(self._tracer.start_span(method, self._inside, SpanKind.CLIENT, about))

    def note_instances(self, count: int) -> None:
        """Note what explains how long it took."""
        self._span.set_attribute("modelops.instances", count)

    def answered(self, route: str | None, status: int) -> None:
        """Name the span after the route. Only what is the server's fault is an error of its span."""
        self._is_answered = True
        if route is not None:
            self._span.update_name(f"{self._method} {route}")
            self._span.set_attribute("http.route", route)
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            _mark(self._span, str(status))


def _context(head: Head) -> Context:
    """Read `traceparent` and `tracestate`."""
    carrier: dict[str, list[str]] = {}
    for name, value in head.headers:
        if name in {b"traceparent", b"tracestate"}:  # The second may come in several lines.
            carrier.setdefault(name.decode(), []).append(value.decode("latin-1"))
    return _PROPAGATOR.extract(carrier, _NOWHERE) if carrier else _NOWHERE


def _attributes(head: Head) -> dict[str, AnyValue]:
    known = head.method in _METHODS
    about: dict[str, AnyValue] = {
        "http.request.method": head.method if known else "_OTHER",
        "url.path": head.path[:MAX_TEXT],
        "url.scheme": head.peer.scheme,
        "network.protocol.version": head.version,
    }
    if not known:
        about["http.request.method_original"] = head.method
    if head.peer.server is not None:
        about["server.address"], about["server.port"] = head.peer.server
    if head.peer.client:
        about["client.address"] = head.peer.client
    for name, value in head.headers:
        if name == b"user-agent":
            about["user_agent.original"] = value[:MAX_TEXT].decode("latin-1")
    return about


def _mark(span: Span, error: str) -> None:
    span.set_attribute("error.type", error)
    span.set_status(StatusCode.ERROR)


def _end(span: Span, failed_with: type[BaseException] | None) -> None:
    if failed_with is not None:
        _mark(span, failed_with.__qualname__)
    span.end()
