"""The admin port: metrics and probes for anyone in the cluster, counts and rotation for the operator."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from model_server import contract, wire
from model_server.app import error_response, json_response
from model_server.bodies import SMALL_BYTES
from model_server.errors import RequestError
from model_server.state import Phase, read_rotation

if TYPE_CHECKING:
    from starlette.requests import Request

    from model_server.parts import Parts


def admin_app(parts: Parts, token: bytes) -> Starlette:
    """Make the ASGI application of the admin port."""

    def is_operator(request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return hmac.compare_digest(given.strip().encode(), token) and scheme.lower() == "bearer"

    async def metrics(request: Request) -> Response:
        body, content_type = parts.metrics.expose(request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    async def live(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_: Request) -> Response:
        phase = parts.state.phase
        return PlainTextResponse(f"{phase.value}\n", 200 if phase is Phase.SERVING else 503)

    async def counts(request: Request) -> Response:
        if not is_operator(request):
            return _unauthorized()
        return json_response(wire.dump(parts.book.counts(parts.state.forward_to)))

    async def rotation(request: Request) -> Response:
        if not is_operator(request):
            return _unauthorized()
        try:
            async with parts.bodies.read(request, SMALL_BYTES) as body:
                target = read_rotation(wire.load(body))
            parts.state.rotate(target)
        except RequestError as error:
            return error_response(error)
        return json_response(wire.dump(contract.Rotation(forward_to=target)))

    return Starlette(
        routes=[
            Route(contract.METRICS_PATH, metrics),
            Route(contract.LIVE_PATH, live),
            Route(contract.READY_PATH, ready),
            Route(contract.COUNTS_PATH, counts),
            Route(contract.ROTATION_PATH, rotation, methods=["PUT"]),
        ]
    )


def _unauthorized() -> Response:
    response = json_response(wire.dump({"error": "this needs the bearer token of the operator"}), 401)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response
