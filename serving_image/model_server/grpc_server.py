"""The gRPC port: TensorFlow Serving's services, the Open Inference Protocol, feedback, health and reflection.

The table says what there is; what stands behind a method is imported when it is first called, so that the port answers
at once, while the model is still loading. `prepare` does that in the thread that loads.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from model_server.copying import CALL_COST
from model_server.errors import Unimplemented
from model_server.http.limits import FEEDBACK_BYTES, SMALL_BYTES
from model_server.http.messages import Head, Peer
from model_server.http.tls import read_identity
from model_server.http2 import server
from model_server.passing import Forwarded, Passed
from model_server.rpc.answers import PREDICTION_ID, REVISION
from model_server.rpc.calls import COPY, PREDICT, Calls, Method, Rules
from model_server.rpc.codes import HTTP_CODES, Code
from model_server.rpc.forwarding import CallForwarder
from model_server.state import Phase
from model_server.traces import NO_TRACE

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from model_server.listening import Sharing
    from model_server.parts import Parts
    from model_server.rpc.calls import Call
    from model_server.rpc.conversations import Conversation
    from model_server.traces import Trace

FINISH_SECONDS: Final = 20.0
"""For running calls, after draining."""
PREDICTION: Final = "tensorflow.serving.PredictionService"
MODEL: Final = "tensorflow.serving.ModelService"
INFERENCE: Final = "inference.GRPCInferenceService"
FEEDBACK: Final = "modelops.v1.FeedbackService"
HEALTH: Final = "grpc.health.v1.Health"
REFLECTION: Final = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")
SERVICES: Final = (PREDICTION, MODEL, INFERENCE, FEEDBACK, HEALTH, REFLECTION[0])
"""What reflection tells of. Of its own second name there is no description, as the messages are the same."""
_SERVING_MODULE: Final = "model_server.rpc.tensorflow_serving"
_INFERENCE_MODULE: Final = "model_server.rpc.open_inference"
_FEEDBACK_MODULE: Final = "model_server.rpc.feedback"
_HEALTH_MODULE: Final = "model_server.rpc.health"
_INTERNAL: Final = 500


def prepare() -> None:
    """Import what answers. Takes a tenth of a second."""
    for name in (_SERVING_MODULE, _INFERENCE_MODULE, _FEEDBACK_MODULE, _HEALTH_MODULE):
        import_module(name)
    # Reflection knows only descriptions that are loaded; these two are needed for nothing else.
    import_module("tensorflow_serving.apis.prediction_service_pb2")
    import_module("tensorflow_serving.apis.model_service_pb2")


class _Late:
    """Methods of a class that is imported with the first call of one of them."""

    def __init__(self, module: str, make: Callable[[Any], Any]) -> None:
        self._module = module
        self._make = make
        self._service: Any = None

    async def get(self) -> Any:
        """Return the one object of the class."""
        if self._service is None:
            module = await asyncio.to_thread(import_module, self._module)
            self._service = self._service or self._make(module)
        return self._service


class _Table:
    """What can be called."""

    def __init__(self, parts: Parts, forwarder: CallForwarder) -> None:
        self._parts = parts
        self._forwarder = forwarder

    def methods(self) -> dict[str, Method]:
        """List the methods by their paths."""
        parts, most = self._parts, self._parts.settings.max_body_bytes
        serving = _Late(_SERVING_MODULE, lambda module: module.TensorFlowServing(parts.catalog))
        inference = _Late(_INFERENCE_MODULE, lambda module: module.OpenInference(parts.catalog, self._is_serving))
        feedback = _Late(_FEEDBACK_MODULE, lambda module: module.Feedback(parts.catalog))
        health = _Late(_HEALTH_MODULE, lambda module: module.Health(SERVICES, self._is_serving))
        reflection = _Late("model_server.rpc.reflection", lambda module: module.Reflection(SERVICES))
        table = {
            f"/{PREDICTION}/Predict": self._asked(serving, "predict", most),
            f"/{PREDICTION}/Classify": self._asked(serving, "classify", most, kind="predict"),
            f"/{PREDICTION}/Regress": self._asked(serving, "regress", most, kind="predict"),
            f"/{PREDICTION}/MultiInference": self._asked(serving, "multi_inference", most, kind="predict"),
            f"/{PREDICTION}/GetModelMetadata": self._asked(serving, "metadata"),
            f"/{MODEL}/GetModelStatus": self._asked(serving, "status"),
            f"/{MODEL}/HandleReloadConfigRequest": self._asked(serving, "reload", kind="other"),
            f"/{INFERENCE}/ServerLive": self._here(inference, "live", kind="status"),
            f"/{INFERENCE}/ServerReady": self._here(inference, "ready", kind="status"),
            f"/{INFERENCE}/ModelReady": self._asked(inference, "model_ready", kind="status"),
            f"/{INFERENCE}/ServerMetadata": self._here(inference, "server_metadata", kind="metadata"),
            f"/{INFERENCE}/ModelMetadata": self._asked(inference, "metadata"),
            f"/{INFERENCE}/ModelInfer": self._asked(inference, "infer", most, kind="predict"),
            f"/{FEEDBACK}/Send": self._labels(feedback),
            f"/{HEALTH}/Check": self._here(health, "check", kind="other"),
            f"/{HEALTH}/List": self._here(health, "list", kind="other"),
            f"/{HEALTH}/Watch": self._talks(health, "watch"),
        }
        return table | {f"/{name}/ServerReflectionInfo": self._talks(reflection, "info") for name in REFLECTION}

    def _is_serving(self) -> bool:
        return self._parts.state.phase is Phase.SERVING

    def _here(self, late: _Late, name: str, limit: int = SMALL_BYTES, kind: str = "") -> Method:
        """Answer on this pod, wherever the traffic is."""

        async def handle(call: Call) -> bytes:
            answer: bytes = await getattr(await late.get(), name)(call)
            return answer

        return Method(kind or name, limit, handle)

    def _asked(self, late: _Late, name: str, limit: int = SMALL_BYTES, kind: str = "") -> Method:
        """Answer, or let the revision answer that serves, if this pod has left the rotation."""
        parts, forwarder = self._parts, self._forwarder

        async def handle(call: Call) -> bytes:
            passing, passed = parts.state.passing, forwarder.passed(call)
            call.is_copy = passed is Passed.COPY
            chance = 0.0 if passing.to is None else parts.chance()
            address = passing.answerer(chance) if passed is None else None
            if address is not None:
                forwarded = await forwarder.forward(address, call)
                parts.metrics.count_forwarded(Forwarded.UNREACHABLE if forwarded is None else Forwarded.ANSWERED)
                if forwarded is not None:
                    call.is_forwarded = True
                    return forwarded
            answer: bytes = await getattr(await late.get(), name)(call)
            witness = passing.witness(chance)
            if witness is None or kind != PREDICT or call.is_copy:
                return answer
            if parts.copier.admits(witness, len(call.message), CALL_COST):
                # Once the client has its answer.
                asyncio.get_running_loop().call_soon(self._copy, witness, call, call.message)
            return answer

        kind = kind or name
        return Method(kind, limit, handle)

    def _copy(self, address: str, call: Call, message: bytes) -> None:
        token = next((value for name, value in call.trailing if name == PREDICTION_ID), None)

        def ask(seconds: float) -> Coroutine[None, None, dict[str, str] | None]:
            return self._forwarder.copy(address, call.path, message, call.metadata, seconds)

        self._parts.copier.copy_call(len(message), token, ask)

    def _labels(self, late: _Late) -> Method:
        """Take labels, unless they have a port of their own: who may predict may not send them then."""
        port = self._parts.settings.feedback_port
        if port is None:
            return self._here(late, "send", FEEDBACK_BYTES, kind="feedback")

        async def refuse(call: Call) -> bytes:
            raise Unimplemented(f"labels are not taken here, but over HTTP on port {port}")

        return Method("feedback", FEEDBACK_BYTES, refuse)

    @staticmethod
    def _talks(late: _Late, name: str) -> Method:
        async def talk(call: Call, conversation: Conversation) -> None:
            await getattr(await late.get(), name)(call, conversation)

        return Method("other", SMALL_BYTES, talker=talk)


class _PodRules(Rules):
    """What holds for every call of this pod."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._trailing = ((REVISION, parts.revision),) if parts.revision else ()

    def authorize(self, call: Call) -> None:
        """Ask for a bearer token, if this server wants one; not those who only ask whether it is well."""
        if not call.path.startswith(f"/{HEALTH}/"):
            self._parts.access.check(call.first(b"authorization"))

    def trailing(self) -> Sequence[tuple[str, str]]:
        """Name the revision."""
        return self._trailing

    def is_leaving(self) -> bool:
        """Tell whether clients should connect elsewhere."""
        return self._parts.state.is_leaving

    def trace(self, call: Call) -> Trace:
        """Begin a trace as of any request of HTTP, if traces are wanted."""
        tracing = self._parts.tracing
        if not tracing.is_on:
            return NO_TRACE
        scheme = "http" if self._parts.access.identity is None else "https"
        peer = Peer(call.client, scheme=scheme)
        return tracing.begin(Head("POST", call.path, "", call.metadata, peer, call.started, version="2"))

    def observe(self, method: Method | None, call: Call, code: Code, trace: Trace) -> None:
        """Note an answered call, unless another pod has answered it: that measures it."""
        status = HTTP_CODES.get(code, _INTERNAL)
        trace.answered(None if method is None else call.path, status)
        if not call.is_forwarded:
            kind = "other" if method is None else COPY if call.is_copy and method.kind == PREDICT else method.kind
            self._parts.metrics.observe_request(kind, status, time.perf_counter() - call.started, trace)


@contextlib.asynccontextmanager
async def listen(
    parts: Parts,
    listener: socket.socket | None = None,
    sharing: Sharing | None = None,
    ended: Callable[[], None] | None = None,
) -> AsyncIterator[server.Listening]:
    """Answer on the gRPC port; without a listener, connections that are handed over. At the end finish what runs."""
    place, access = parts.settings.place, parts.access
    forwarder = CallForwarder(place.grpc_port, parts.seal, lambda: access.identity)
    calls = Calls(_Table(parts, forwarder).methods(), _PodRules(parts), parts.bodies.most)

    def tls() -> ssl.SSLContext | None:
        return None if access.identity is None else read_identity(access.identity.folder, ("h2",)).server

    listening = server.Listening(calls, listener, sharing, ended)

    async def renew() -> None:
        await listening.listen(tls())

    await renew()
    access.changed.append(renew)
    try:
        yield listening
    finally:
        access.changed.remove(renew)
        await listening.close(FINISH_SECONDS)
        await forwarder.aclose()
