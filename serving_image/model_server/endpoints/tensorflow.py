"""TensorFlow Serving's REST API on the data plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server import contract
from model_server.endpoints.call import answer_response, json_response
from model_server.errors import InvalidArgument
from model_server.http.limits import SMALL_BYTES
from model_server.http.routes import Route
from model_server.protocols import tensorflow_rest
from model_server.protocols.tensorflow_rest import Method

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server.endpoints.call import Call
    from model_server.http.messages import Response


def routes(limit: int) -> Iterator[Route[Call]]:
    """Tell what is answered; `limit` is that of the bodies of predictions."""
    yield Route("GET", "/v1/models", Method.STATUS, SMALL_BYTES, no_model)
    for place in ("", "/versions/{version}", "/labels/{label}"):
        path = contract.MODEL_PATH_TEMPLATE + place
        yield Route("POST", path + contract.PREDICT_SUFFIX, Method.PREDICT, limit, predict)
        yield Route("GET", path, Method.STATUS, SMALL_BYTES, status)
        yield Route("GET", path + contract.METADATA_SUFFIX, Method.METADATA, SMALL_BYTES, metadata)


async def predict(call: Call) -> Response:
    """Answer `:predict`. Raises `RequestError`."""
    servable = call.parts.catalog.find(call.model, call.version, call.label)
    asked = tensorflow_rest.read_predict(call.body, servable.signatures)
    answer = await servable.ask(asked.question())
    return answer_response(tensorflow_rest.write_predict(asked, answer.outputs), answer)


def no_model(call: Call) -> Response:
    """Refuse to tell of all models, as TensorFlow Serving does. Raises `InvalidArgument`."""
    names = ", ".join(call.parts.catalog.models())
    raise InvalidArgument(f"Missing model name in request. This server has: {names}")


def status(call: Call) -> Response:
    """Tell of the versions. Raises `RequestError`."""
    return json_response(tensorflow_rest.write_status(call.parts.catalog.states(call.model, call.version, call.label)))


def metadata(call: Call) -> Response:
    """Tell of the signatures. Raises `RequestError`."""
    servable = call.parts.catalog.find(call.model, call.version, call.label)
    return json_response(tensorflow_rest.write_metadata(servable.model, str(servable.version), servable.signatures))
