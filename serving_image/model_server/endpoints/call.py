"""One request on its way to an answer, as the functions see it that answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_server import contract, wire
from model_server.http.limits import HttpError
from model_server.http.messages import JSON, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.dataplane.question import Answer
    from model_server.errors import RequestError
    from model_server.http.messages import Head
    from model_server.parts import Parts
    from model_server.traces import Trace


@dataclass(slots=True)
class Call:
    """A whole request."""

    parts: Parts
    head: Head
    body: bytes
    """With its Content-Encoding undone."""
    values: Mapping[str, str]
    """What stands in the path for the names of the route."""
    trace: Trace

    @property
    def model(self) -> str:
        """The model that the path names."""
        return self.values["model"]

    @property
    def version(self) -> int | None:
        """The version that the path names."""
        version = self.values.get("version")
        return None if version is None else int(version)

    @property
    def label(self) -> str | None:
        """The label of a version that the path names."""
        return self.values.get("label")


def json_response(body: bytes, code: int = 200) -> Response:
    """Make a response of JSON that is written already."""
    return Response(body, code)


def answer_response(body: bytes, answer: Answer) -> Response:
    """Make the response to a question, with what is to be known of its prediction."""
    headers = []
    if answer.prediction_id is not None:
        headers.append((contract.PREDICTION_ID_HEADER, answer.prediction_id))
    if answer.audited:
        headers.append((contract.AUDIT_HEADER, "true"))
    return Response(body, headers=headers)


def error_response(error: RequestError) -> Response:
    """Make the response that tells an error, as TensorFlow Serving and the Open Inference Protocol both have it."""
    headers = list(error.headers) if isinstance(error, HttpError) else []
    return Response(wire.dump({"error": str(error)}), error.status, JSON, headers)
