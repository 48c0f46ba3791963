"""The Open Inference Protocol over gRPC: GRPCInferenceService."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from model_server.dataplane.servable import VersionState
from model_server.errors import InvalidArgument, RequestError
from model_server.protocols import open_inference_grpc as messages
from model_server.protocols import open_inference_pb2 as kinds
from model_server.protocols import this_server
from model_server.rpc.answers import note

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.dataplane.servable import Catalog
    from model_server.rpc.calls import Call


class OpenInference:
    """The methods of the service."""

    def __init__(self, catalog: Catalog, is_ready: Callable[[], bool]) -> None:
        self._catalog = catalog
        self._is_ready = is_ready

    async def live(self, call: Call) -> bytes:
        """ServerLive: this is the answer."""
        return _bytes(kinds.ServerLiveResponse(live=True))

    async def ready(self, call: Call) -> bytes:
        """ServerReady: whether all models can be asked."""
        return _bytes(kinds.ServerReadyResponse(ready=self._is_ready()))

    async def model_ready(self, call: Call) -> bytes:
        """ModelReady: whether one can."""
        request = parse(kinds.ModelReadyRequest, call.message)
        try:
            self._catalog.find(request.name, messages.read_version(request.version))
        except RequestError:
            return _bytes(kinds.ModelReadyResponse(ready=False))
        return _bytes(kinds.ModelReadyResponse(ready=True))

    async def server_metadata(self, call: Call) -> bytes:
        """ServerMetadata: what this server is."""
        return _bytes(kinds.ServerMetadataResponse(name=this_server.NAME, version=this_server.version()))

    async def metadata(self, call: Call) -> bytes:
        """ModelMetadata: what a model takes and gives."""
        request = parse(kinds.ModelMetadataRequest, call.message)
        servable = self._catalog.find(request.name, messages.read_version(request.version))
        states = self._catalog.states(request.name)
        return messages.write_metadata(
            servable, [state.version for state in states if state.state is VersionState.AVAILABLE]
        )

    async def infer(self, call: Call) -> bytes:
        """ModelInfer: a prediction."""
        request = parse(kinds.ModelInferRequest, call.message)
        servable = self._catalog.find(request.model_name, messages.read_version(request.model_version))
        question = messages.read_infer(request, servable, call.deadline, time.monotonic())
        answer = await servable.ask(question)
        note(call, servable, answer)
        return messages.write_infer(request, question, answer, servable)


def parse(kind: Any, message: bytes) -> Any:
    """Read a message of a kind. Raises `InvalidArgument`."""
    try:
        return kind.FromString(message)
    except Exception as error:  # Theirs is of a type that depends on how protobuf was built.
        raise InvalidArgument(f"the message is no {kind.DESCRIPTOR.full_name}") from error


def _bytes(message: Any) -> bytes:
    text: bytes = message.SerializeToString()
    return text
