"""The HTTP port: predictions, status, metadata and feedback, as the tables of `endpoints` have them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

from model_server import contract
from model_server.endpoints import documents, examples, feedback, open_inference, tensorflow
from model_server.endpoints.call import Call, error_response
from model_server.errors import RequestError
from model_server.http.messages import Response
from model_server.http.routes import Routes
from model_server.passing import Forwarded, Passed
from model_server.pods import end_to_end
from model_server.protocols.tensorflow_rest import Method
from model_server.running import Run
from model_server.telling import told
from model_server.traces import NO_TRACE

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable

    from model_server.http.messages import Answering, Head, Request
    from model_server.http.routes import Found, Route
    from model_server.parts import Parts
    from model_server.traces import Trace


_MARK: Final = contract.FORWARDED_HEADER.lower().encode()


class _Way(NamedTuple):
    """Who has to do with a request besides this pod."""

    answerer: str | None = None
    """The address of who is to answer it instead."""
    witness: str | None = None
    """The address of who gets a copy."""
    is_copy: bool = False
    """Whether it is a copy itself, that another pod has sent."""


_HERE: Final = _Way()
_COPY: Final = _Way(is_copy=True)


def data_routes(parts: Parts) -> Iterable[Route[Call]]:
    """Collect what the data port answers."""
    limit = parts.settings.max_body_bytes
    yield from tensorflow.routes(limit)
    yield from examples.routes(limit)
    yield from open_inference.routes(limit)
    if parts.settings.feedback_port is None:
        yield from feedback.routes()
    yield from documents.routes()


class PredictionApp:
    """A `Handler`: what all endpoints have in common. Without traces, what can be answered at once needs no task."""

    def __init__(self, parts: Parts, routes: Iterable[Route[Call]] | None = None) -> None:
        self._parts = parts
        self._routes = Routes(data_routes(parts) if routes is None else routes)

    def limit(self, head: Head) -> int:
        """Find the route, and with it the limit of the body. Raises `RequestError`."""
        self._parts.access.check(head.header(b"authorization"))
        found: Found[Call] = self._routes.find(head.method, head.path)
        head.target = found
        return found[0].limit

    def answer(self, request: Request) -> Answering:
        """Answer a request, or have another revision answer it."""
        way = self._way(request)
        if self._parts.tracing.is_on or way.answerer is not None:
            return self._traced(request, way)
        answer = self._ask(request, NO_TRACE)
        if isinstance(answer, Response):
            return self._finished(request.head, answer)
        later = self._later(request, answer, way)
        # A prediction waits for its model and for nothing else.
        return Run(later) if request.head.target[0].kind == Method.PREDICT else later

    def refuse(self, head: Head | None, error: RequestError) -> Response:
        """Tell why a request is not answered."""
        if head is None:
            return self._headed(error_response(error))
        with self._parts.tracing.begin(head) as trace:
            return self._finished(head, error_response(error), trace)

    def gone(self, head: Head) -> None:
        """Note that the client hung up; that there was no answer says so."""
        with self._parts.tracing.begin(head):
            pass

    async def _traced(self, request: Request, way: _Way) -> Response:
        with self._parts.tracing.begin(request.head) as trace:
            try:
                forwarded = None if way.answerer is None else await self._forward(way.answerer, request)
            except RequestError as error:
                return self._finished(request.head, error_response(error), trace)
            if forwarded is not None:
                trace.answered(request.head.target[0].path, forwarded.status)
                return forwarded  # The pod that answered measures it.
            answer = self._ask(request, trace)
            if isinstance(answer, Response):
                return self._finished(request.head, answer, trace)
            return await self._later(request, answer, way, trace)

    def _ask(self, request: Request, trace: Trace) -> Response | Coroutine[Any, Any, Response]:
        target: Found[Call] = request.head.target
        route, values = target
        try:
            return route.answer(Call(self._parts, request.head, request.body, values, trace))
        except Exception as error:  # Of endpoints that answer at once.
            return _failed(error)

    async def _later(
        self, request: Request, answering: Coroutine[Any, Any, Response], way: _Way, trace: Trace = NO_TRACE
    ) -> Response:
        try:
            response = await answering
        except Exception as error:  # It is logged, and the client learns no more than that.
            response = _failed(error)
        if way.witness is not None and response.status == 200 and self._admits(way.witness, request):
            # Once the client has its answer.
            asyncio.get_running_loop().call_soon(self._copy, way.witness, request, _token(response))
        return self._finished(request.head, response, trace, Method.COPY if way.is_copy else None)

    def _finished(
        self, head: Head, response: Response, trace: Trace = NO_TRACE, kind: Method | None = None
    ) -> Response:
        """Count an answer, and add what all have."""
        route: Route[Call] | None = head.target and head.target[0]
        trace.answered(route.path if route else None, response.status)
        self._parts.metrics.observe_request(
            kind or (route.kind if route else Method.OTHER), response.status, time.perf_counter() - head.started, trace
        )
        return self._headed(response)

    def _headed(self, response: Response) -> Response:
        if self._parts.revision:
            response.headers.append((contract.REVISION_HEADER, self._parts.revision))
        response.close = self._parts.state.is_leaving
        return response

    def _way(self, request: Request) -> _Way:
        """Find out which other revision is to answer or gets a copy, if one does. Labels stay: they belong here.

        What a pod has passed on is answered here, and of a copy there is no copy.
        """
        head, passing = request.head, self._parts.state.passing
        kind: Method = head.target[0].kind
        if kind == Method.FEEDBACK:
            return _HERE
        mark = head.header(_MARK)
        if mark is None and passing.to is None:
            return _HERE
        passed = self._parts.seal.read(mark, (Passed.REQUEST, Passed.COPY), request.body)
        if passed is Passed.COPY:
            return _COPY if kind == Method.PREDICT else _HERE
        if passing.to is None:
            return _HERE
        chance = self._parts.chance()
        return _Way(
            passing.answerer(chance) if passed is None else None,
            passing.witness(chance) if kind == Method.PREDICT else None,
        )

    async def _forward(self, address: str, request: Request) -> Response | None:
        """Let another revision answer; None if that cannot be reached."""
        parts, head, path = self._parts, request.head, _path(request.head)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
        answer = await parts.forwarder.forward(address, head.method, path, headers, request.body)
        parts.metrics.count_forwarded(Forwarded.UNREACHABLE if answer is None else Forwarded.ANSWERED)
        if answer is None:
            return None
        types = [value for name, value in answer.headers if name.lower() == "content-type"]
        others = [(name, value) for name, value in end_to_end(answer.headers) if name.lower() != "content-type"]
        return Response(answer.body, answer.status, types[0] if types else "", others, close=parts.state.is_leaving)

    def _admits(self, address: str, request: Request) -> bool:
        return self._parts.copier.admits(address, len(request.body))

    def _copy(self, address: str, request: Request, token: str | None) -> None:
        head = request.head
        self._parts.copier.copy_request(address, _path(head), head.headers, request.body, token)


def _path(head: Head) -> str:
    """Write the path as it came."""
    return quote(head.path, safe="/:@!$&'()*+,;=~") + (f"?{head.query}" if head.query else "")


def _token(response: Response) -> str | None:
    return next((value for name, value in response.headers if name == contract.PREDICTION_ID_HEADER), None)


def _failed(error: Exception) -> Response:
    return error_response(told(error))
