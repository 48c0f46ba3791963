"""The HTTP port: predictions, status, metadata and feedback."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from model_server import contract, wire
from model_server.bodies import FEEDBACK_BYTES, SMALL_BYTES
from model_server.dataplane.question import Question
from model_server.errors import RequestError
from model_server.logs import logger
from model_server.passing import Passed
from model_server.pods import end_to_end
from model_server.protocols import feedback_rest, tensorflow_rest
from model_server.protocols.tensorflow_rest import Method, Target

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.types import Receive, Scope, Send

    from model_server.dataplane.question import Answer
    from model_server.parts import Parts
    from model_server.traces import Trace

_JSON: Final = "application/json"


class ClientGone(Exception):  # noqa: N818  # A fact about the client.
    """Nobody waits for the answer any more."""


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
        catalog = self._parts.catalog
        version = None if target.version is None else int(target.version)
        if target.method is Method.FEEDBACK:
            return await self._feedback(request, target, body)
        if target.method is Method.STATUS:
            return json_response(tensorflow_rest.write_status(catalog.states(target.model, version, target.label)))
        servable = catalog.find(target.model, version, target.label)
        if target.method is Method.METADATA:
            return json_response(
                tensorflow_rest.write_metadata(servable.model, str(servable.version), servable.signatures)
            )
        plain = self._plain(request, body, Method.PREDICT)
        asked = tensorflow_rest.read_predict(plain, servable.signatures)
        answer = await self._unless_gone(request, servable.ask(Question(asked.signature, asked.inputs)))
        response = json_response(tensorflow_rest.write_predict(asked, answer.outputs))
        if answer.prediction_id is not None:
            response.headers[contract.PREDICTION_ID_HEADER] = answer.prediction_id
        if answer.audited:
            response.headers[contract.AUDIT_HEADER] = "true"
        return response

    async def _unless_gone(self, request: Request, asking: Coroutine[Any, Any, Answer]) -> Answer:
        """Wait for an answer as long as the client does."""

        async def until_gone() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass

        work, gone = asyncio.ensure_future(asking), asyncio.ensure_future(until_gone())
        waiting: set[asyncio.Future[Any]] = {work, gone}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        if not work.done():
            work.cancel()
            raise ClientGone
        return await work

    def _plain(self, request: Request, body: bytes, method: Method) -> bytes:
        return wire.plain(body, request.headers.get("content-encoding", "").strip().lower(), self._limit(method))

    async def _feedback(self, request: Request, target: Target, body: bytes) -> Response:
        header = request.headers.get(contract.FORWARDED_HEADER)
        passed = self._parts.seal.read(header, (Passed.LABELS, Passed.INHERITED), body)
        feedback = feedback_rest.read_feedback(self._plain(request, body, Method.FEEDBACK))
        results = await self._parts.catalog.intake(target.model).take(feedback.labels, passed)
        code, answer = feedback_rest.write_results(feedback, results)
        return json_response(answer, code)


def json_response(body: bytes, code: int = 200) -> Response:
    """Make a response of JSON that is written already."""
    return Response(body, code, media_type=_JSON)


def error_response(error: RequestError) -> Response:
    """Make the response that tells an error."""
    return json_response(tensorflow_rest.write_error(str(error)), error.status)
