"""The Open Inference Protocol on the data plane."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from model_server import contract
from model_server.dataplane.servable import VersionState
from model_server.endpoints.call import answer_response, json_response
from model_server.errors import Unavailable
from model_server.http.limits import SMALL_BYTES
from model_server.http.routes import Route
from model_server.protocols import open_inference_rest as protocol
from model_server.protocols import this_server
from model_server.protocols.open_inference_binary import BinaryRequests
from model_server.protocols.tensorflow_rest import Method
from model_server.state import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from model_server.endpoints.call import Call
    from model_server.http.messages import Response

_JSON_LENGTH: Final = protocol.JSON_LENGTH_HEADER.lower().encode()
_BINARY: Final = BinaryRequests()


def routes(limit: int) -> Iterator[Route[Call]]:
    """Tell what is answered; `limit` is that of the bodies of predictions."""
    yield Route("GET", "/v2", Method.METADATA, SMALL_BYTES, server)
    yield Route("GET", "/v2/health/live", Method.STATUS, SMALL_BYTES, live)
    yield Route("GET", "/v2/health/ready", Method.STATUS, SMALL_BYTES, ready)
    for place in ("", "/versions/{version}"):
        path = contract.V2_MODEL_PATH_TEMPLATE + place
        yield Route("GET", path, Method.METADATA, SMALL_BYTES, metadata)
        yield Route("GET", f"{path}/ready", Method.STATUS, SMALL_BYTES, model_ready)
        yield Route("POST", f"{path}/infer", Method.PREDICT, limit, infer)


def server(call: Call) -> Response:
    """Tell what this server is."""
    del call
    return json_response(protocol.write_server(this_server.NAME, this_server.version()))


def live(call: Call) -> Response:
    """Tell that the process runs."""
    del call
    return json_response(protocol.write_live(live=True))


def ready(call: Call) -> Response:
    """Tell whether models can be asked, by the code as well."""
    is_ready = call.parts.state.phase is Phase.SERVING
    return json_response(protocol.write_ready(ready=is_ready), 200 if is_ready else Unavailable.status)


def model_ready(call: Call) -> Response:
    """Tell whether a model can be asked, by the code as well. Raises `NotFound`."""
    try:
        call.parts.catalog.find(call.model, call.version)
    except Unavailable:
        return json_response(protocol.write_ready(ready=False, model=call.model), Unavailable.status)
    return json_response(protocol.write_ready(ready=True, model=call.model))


def metadata(call: Call) -> Response:
    """Tell of inputs and outputs. Raises `RequestError`."""
    servable = call.parts.catalog.find(call.model, call.version)
    states = call.parts.catalog.states(call.model)
    versions = [status.version for status in states if status.state is VersionState.AVAILABLE]
    return json_response(protocol.write_model(servable.model, versions, servable.signatures))


async def infer(call: Call) -> Response:
    """Answer a request for inference. Raises `RequestError`."""
    servable = call.parts.catalog.find(call.model, call.version)
    json_length = call.head.header(_JSON_LENGTH)
    if json_length is None:
        asked = protocol.read_infer(call.body, None, servable.signatures)
    else:
        asked = _BINARY.read(call.body, json_length, servable.signatures)
    answer = await servable.ask(asked.question(time.monotonic()))
    written = protocol.write_infer(
        asked,
        answer,
        model=servable.model,
        version=servable.version,
        revision=servable.revision,
        signature=servable.signatures[asked.signature],
    )
    response = answer_response(written.body, answer)
    if written.json_length is not None:
        response.content_type = protocol.BINARY
        response.headers.append((protocol.JSON_LENGTH_HEADER, str(written.json_length)))
    return response
