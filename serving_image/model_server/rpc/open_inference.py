"""The Open Inference Protocol over gRPC: GRPCInferenceService."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from model_server.dataplane.servable import VersionState
from model_server.errors import InvalidArgument, RequestError
from model_server.protocols import open_inference_grpc as messages
from model_server.protocols import open_inference_pb2 as kinds
from model_server.protocols import this_server
from model_server.protocols.usual_messages import Forms
from model_server.rpc.answers import note

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.dataplane.question import Question
    from model_server.dataplane.servable import Catalog, Servable
    from model_server.rpc.calls import Call


class OpenInference:
    """The methods of the service."""

    def __init__(self, catalog: Catalog, is_ready: Callable[[], bool]) -> None:
        self._catalog = catalog
        self._is_ready = is_ready
        self._forms = Forms(kinds.ModelInferRequest.FromString, messages.numbers_of)

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
        form = self._forms.find(call.message)
        servable = None if form is None else self._catalog.find(*form.model)
        if form is not None and servable is not None and servable.signatures is form.signatures:
            question = form.question(call.message, call.deadline)
            identity, packed = form.id, True
        else:
            servable, question, identity, packed = self._read_infer(call)
        answer = await servable.ask(question)
        note(call, servable, answer)
        return messages.write_infer(identity, question, answer, servable, packed=packed)

    def _read_infer(self, call: Call) -> tuple[Servable, Question, str, bool]:
        request = parse(kinds.ModelInferRequest, call.message)
        place = (request.model_name, messages.read_version(request.model_version))
        servable = self._catalog.find(*place)
        question = messages.read_infer(request, servable, call.deadline, time.monotonic())
        if question.deadline == call.deadline:
            self._forms.learn(call.message, request, question, place, servable.signatures)
        return servable, question, request.id, bool(request.raw_input_contents)


def parse(kind: Any, message: bytes) -> Any:
    """Read a message of a kind. Raises `InvalidArgument`."""
    try:
        return kind.FromString(message)
    except Exception as error:  # Theirs is of a type that depends on how protobuf was built.
        raise InvalidArgument(f"the message is no {kind.DESCRIPTOR.full_name}") from error


def _bytes(message: Any) -> bytes:
    text: bytes = message.SerializeToString()
    return text
