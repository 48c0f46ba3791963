"""Labels over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server import contract
from model_server.endpoints.call import json_response
from model_server.http.limits import FEEDBACK_BYTES
from model_server.http.routes import Route
from model_server.passing import Passed
from model_server.protocols import feedback_rest
from model_server.protocols.tensorflow_rest import Method

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server.endpoints.call import Call
    from model_server.http.messages import Response


def routes() -> Iterator[Route[Call]]:
    """Tell what is answered."""
    for template in (contract.MODEL_PATH_TEMPLATE, contract.V2_MODEL_PATH_TEMPLATE):
        yield Route("POST", template + contract.FEEDBACK_SUFFIX, Method.FEEDBACK, FEEDBACK_BYTES, feedback)


async def feedback(call: Call) -> Response:
    """Take labels. Raises `RequestError`."""
    header = call.head.header(contract.FORWARDED_HEADER.lower().encode())
    passed = call.parts.seal.read(header, (Passed.LABELS, Passed.INHERITED), call.body)
    asked = feedback_rest.read_feedback(call.body)
    results = await call.parts.catalog.intake(call.model).take(asked.labels, passed)
    code, answer = feedback_rest.write_results(asked, results)
    return json_response(answer, code)
