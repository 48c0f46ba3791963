"""The description of the port, for programs."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from model_server import wire
from model_server.endpoints.call import json_response
from model_server.http.limits import SMALL_BYTES
from model_server.http.routes import Route
from model_server.protocols import openapi
from model_server.protocols.tensorflow_rest import Method

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server.endpoints.call import Call
    from model_server.http.messages import Response


def routes() -> Iterator[Route[Call]]:
    """Tell what is answered."""
    yield Route("GET", openapi.PATH, Method.OTHER, SMALL_BYTES, document)


def document(call: Call) -> Response:
    """Give the OpenAPI document."""
    secured, labels = call.parts.access.authorization is not None, call.parts.settings.feedback_port is None
    return json_response(_written(tuple(call.parts.catalog.models()), secured=secured, labels=labels))


@cache
def _written(models: tuple[str, ...], *, secured: bool, labels: bool) -> bytes:
    return wire.dump(openapi.document(models, secured=secured, labels=labels))
