"""The admin port: metrics and probes for anyone in the cluster, counts and rotation for the operator."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_server import contract, wire
from model_server.endpoints.call import error_response, json_response
from model_server.errors import NotFound, RequestError
from model_server.http.access import Unauthorized
from model_server.http.limits import SMALL_BYTES
from model_server.http.messages import Response
from model_server.http.routes import Route, Routes
from model_server.rotation import read_rotation, write_rotation
from model_server.state import Phase

if TYPE_CHECKING:
    from model_server.http.messages import Head, Request
    from model_server.parts import ServerParts

_TEXT = "text/plain; charset=utf-8"


@dataclass(slots=True)
class _Call:
    parts: ServerParts
    request: Request


class AdminApp:
    """A `Handler`. All it answers it answers at once."""

    def __init__(self, parts: ServerParts, token: bytes) -> None:
        self._parts = parts
        self._token = token
        self._routes = Routes(
            [
                Route("GET", contract.METRICS_PATH, "metrics", SMALL_BYTES, _metrics),
                Route("GET", contract.LIVE_PATH, "live", SMALL_BYTES, _live),
                Route("GET", contract.READY_PATH, "ready", SMALL_BYTES, _ready),
                Route("GET", contract.COUNTS_PATH, "counts", SMALL_BYTES, _counts),
                Route("PUT", contract.ROTATION_PATH, "rotation", SMALL_BYTES, _rotation),
            ]
        )

    def limit(self, head: Head) -> int:
        """Find the route, and see whether it is the operator that asks. Raises `RequestError`."""
        route, _ = head.target = self._routes.find(head.method, head.path)
        if route.path in {contract.COUNTS_PATH, contract.ROTATION_PATH} and not self._is_operator(head):
            raise Unauthorized("this needs the bearer token of the operator")
        return route.limit

    def _is_operator(self, head: Head) -> bool:
        scheme, _, given = (head.header(b"authorization") or "").partition(" ")
        is_token = hmac.compare_digest(given.strip().encode("latin-1"), self._token)
        return is_token and scheme.lower() == "bearer"

    def answer(self, request: Request) -> Response:
        """Answer."""
        try:
            response = request.head.target[0].answer(_Call(self._parts, request))
        except RequestError as error:
            return error_response(error)
        assert isinstance(response, Response)  # noqa: S101  # As all in the table are.
        return response

    def refuse(self, _: Head | None, error: RequestError) -> Response:
        """Tell why a request is not answered."""
        return error_response(error)

    def gone(self, head: Head) -> None:
        """Note nothing."""


def _metrics(call: _Call) -> Response:
    body, content_type = call.parts.page.expose(call.request.head.header(b"accept") or "")
    return Response(body, content_type=content_type)


def _live(_: _Call) -> Response:
    return Response(b"ok\n", content_type=_TEXT)


def _ready(call: _Call) -> Response:
    phase = call.parts.state.phase
    return Response(f"{phase.value}\n".encode(), 200 if phase is Phase.SERVING else 503, _TEXT)


def _counts(call: _Call) -> Response:
    if call.parts.book is None:
        raise NotFound("this server has several models: /metrics has the labels of each")
    return json_response(wire.dump(call.parts.book.counts(call.parts.state.passing, call.parts.settings.labels or ())))


def _rotation(call: _Call) -> Response:
    passing = read_rotation(wire.load(call.request.body))
    call.parts.state.rotate(passing)
    return json_response(wire.dump(write_rotation(passing)))
