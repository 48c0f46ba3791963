"""The HTTP port: predictions, status, metadata and feedback."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from model_server import contract, wire
from model_server.bodies import FEEDBACK_BYTES, SMALL_BYTES, Bodies
from model_server.classes import class_count
from model_server.errors import RequestError, Unavailable
from model_server.logs import event, logger
from model_server.passing import Passed
from model_server.pods import end_to_end
from model_server.predictor import ClientGone, Predictor
from model_server.protocols import feedback_rest, tensorflow_rest
from model_server.protocols.tensorflow_rest import Method, Target
from model_server.state import Phase
from model_server.tensors import DEFAULT_SIGNATURE
from model_server.traces import Tracing

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from model_server.book import Book
    from model_server.forwarder import Forwarder
    from model_server.intake import Intake
    from model_server.metrics import Metrics
    from model_server.passing import Seal
    from model_server.prediction_id import Issuer
    from model_server.settings import ServeSettings
    from model_server.state import State
    from model_server.tensors import Model
    from model_server.traces import Trace

_JSON: Final = "application/json"


@dataclass(slots=True)
class Parts:
    """What answers requests. `predictor` is None until the model is loaded."""

    settings: ServeSettings
    state: State
    book: Book
    metrics: Metrics
    issuer: Issuer
    intake: Intake
    forwarder: Forwarder
    seal: Seal
    bodies: Bodies = field(default_factory=Bodies)
    tracing: Tracing = field(default_factory=Tracing)
    predictor: Predictor | None = None

    def begin(self, model: Model, threads: int, *, load_seconds: float) -> None:
        """Answer predictions with this model from now on."""
        self.predictor = Predictor(model, threads, named=self.settings.labels is not None)
        self.metrics.watch(self.predictor, load_seconds, class_count(model.signatures[DEFAULT_SIGNATURE]))
        self.state.phase = Phase.SERVING
        event("serving", model=self.settings.model, revision=self.settings.revision, seconds=round(load_seconds, 2))


class PredictionApp:
    """An ASGI application. Not a framework's: a router and middleware would double the cost of a small prediction."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        trace = self._parts.tracing.begin(scope)
        with trace:
            try:
                response = await self._answer(Request(scope, receive), trace)
            except (ClientDisconnect, ClientGone):
                return
            response.headers.setdefault(contract.REVISION_HEADER, self._parts.settings.revision)
            if self._parts.state.is_leaving:
                response.headers["Connection"] = "close"
            with trace.stage("write answer"):
                await response(scope, receive, send)

    async def _answer(self, request: Request, trace: Trace) -> Response:
        started = time.perf_counter()
        target: Target | None = None
        try:
            target = tensorflow_rest.read_path(request.method, request.url.path)
            async with self._parts.bodies.read(request, self._limit(target.method), trace) as body:
                forwarded = await self._forward(request, target, body)
                if forwarded is not None:
                    self._parts.metrics.count_forwarded()
                    trace.answered(target.route, forwarded.status_code)
                    return forwarded  # The pod that answered measures it.
                response = await self._dispatch(request, target, body, trace)
        except RequestError as error:
            response = error_response(error)
        except (ClientDisconnect, ClientGone):
            raise
        except Exception:
            logger.exception("a request failed")
            response = error_response(RequestError("internal error; the log of the pod has the details"))
        trace.answered(target.route if target else None, response.status_code)
        self._parts.metrics.observe_request(
            target.method if target else Method.OTHER, response.status_code, time.perf_counter() - started, trace
        )
        return response

    def _limit(self, method: Method) -> int:
        if method is Method.PREDICT:
            return self._parts.settings.max_body_bytes
        return FEEDBACK_BYTES if method is Method.FEEDBACK else SMALL_BYTES

    async def _forward(self, request: Request, target: Target, body: bytes) -> Response | None:
        """Let the revision that serves answer, if this pod has left the rotation. Labels stay: they belong here."""
        address = self._parts.state.forward_to
        if address is None or target.method is Method.FEEDBACK:
            return None
        if self._parts.seal.read(request.headers.get(contract.FORWARDED_HEADER), (Passed.REQUEST,), body) is not None:
            return None
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        answer = await self._parts.forwarder.forward(address, request.method, path, request.headers.items(), body)
        if answer is None:
            return None
        response = Response(answer.body, answer.status)
        for name, value in end_to_end(answer.headers):
            response.headers.append(name, value)
        return response

    async def _dispatch(self, request: Request, target: Target, body: bytes, trace: Trace) -> Response:
        settings, predictor = self._parts.settings, self._parts.predictor
        tensorflow_rest.check_target(target, model=settings.model, version=settings.version, revision=settings.revision)
        if target.method is Method.FEEDBACK:
            return await self._feedback(request, body)
        if target.method is Method.STATUS:
            available = self._parts.state.phase is not Phase.LOADING
            remark = predictor.no_ids if predictor is not None and predictor.no_ids is not None else ""
            return json_response(
                tensorflow_rest.write_status(
                    settings.version, available=available, remark=remark and f"no Prediction-Id: {remark}"
                )
            )
        if predictor is None:
            raise Unavailable("the model is still loading: try again")
        if target.method is Method.METADATA:
            return json_response(
                tensorflow_rest.write_metadata(settings.model, settings.version, predictor.model.signatures)
            )
        return await self._predict(request, predictor, body, trace)

    async def _predict(self, request: Request, predictor: Predictor, body: bytes, trace: Trace) -> Response:
        async def until_gone() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass

        predicted = await predictor.predict(partial(self._plain, request, body, Method.PREDICT), until_gone, trace)
        response = json_response(predicted.body)
        token = self._parts.issuer.issue(predicted.classes) if predicted.classes is not None else None
        if token is not None:
            response.headers[contract.PREDICTION_ID_HEADER] = token
        self._parts.book.count_predictions(predicted.instances)
        self._parts.metrics.observe_batch(predicted.instances)
        trace.note_instances(predicted.instances)
        return response

    def _plain(self, request: Request, body: bytes, method: Method) -> bytes:
        return wire.plain(body, request.headers.get("content-encoding", "").strip().lower(), self._limit(method))

    async def _feedback(self, request: Request, body: bytes) -> Response:
        header = request.headers.get(contract.FORWARDED_HEADER)
        passed = self._parts.seal.read(header, (Passed.LABELS, Passed.INHERITED), body)
        feedback = feedback_rest.read_feedback(self._plain(request, body, Method.FEEDBACK))
        results = await self._parts.intake.take(feedback.labels, passed)
        code, answer = feedback_rest.write_results(feedback, results)
        return json_response(answer, code)


def json_response(body: bytes, code: int = 200) -> Response:
    """Make a response of JSON that is written already."""
    return Response(body, code, media_type=_JSON)


def error_response(error: RequestError) -> Response:
    """Make the response that tells an error."""
    return json_response(tensorflow_rest.write_error(str(error)), error.status)
