"""Passes calls to the revision that serves, once this pod has left the rotation: `forwarder` for gRPC.

The client is grpcio's. It is imported when the first call is passed on: most pods never do.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from model_server import contract
from model_server.errors import DeadlineExceeded
from model_server.forwarder import FORWARD_SECONDS, REST_SECONDS
from model_server.logs import warning
from model_server.passing import Passed
from model_server.rpc.answers import REVISION
from model_server.rpc.calls import Refused
from model_server.rpc.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from model_server.http.tls import Identity
    from model_server.passing import Seal
    from model_server.rpc.calls import Call

MARK: Final = contract.FORWARDED_HEADER.lower()
_ATTEMPTS: Final = 2
"""A kept connection may be closed by the other side in the moment of its use."""
_CONNECT_MILLISECONDS: Final = 1000
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),  # What may be sent is for the pod to say that answers.
    ("grpc.max_send_message_length", -1),
    ("grpc.min_reconnect_backoff_ms", _CONNECT_MILLISECONDS),
    ("grpc.initial_reconnect_backoff_ms", _CONNECT_MILLISECONDS),
    ("grpc.max_reconnect_backoff_ms", _CONNECT_MILLISECONDS),
    ("grpc.enable_http_proxy", 0),
)
_NAME: Final = re.compile(r"[0-9a-z_.-]+", re.ASCII)
_VALUE: Final = re.compile(r"[ -~]*", re.ASCII)
_OWN: Final = frozenset({"content-type", "host", "te", "user-agent", "model-forwarded-by"})


class CallForwarder:
    """Passes on calls with one message and one answer. Predictions change nothing, so asking twice does no harm."""

    def __init__(
        self,
        port: int,
        seal: Seal,
        identity: Callable[[], Identity | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port = port
        self._seal = seal
        self._identity = identity
        self._clock = clock
        self._target = ""
        self._channel: Any = None
        self._shown: Identity | None = None
        self._closing: set[asyncio.Task[None]] = set()
        """Channels that were used before, with calls that still wait for their answers."""
        self._rests_until = 0.0

    def passed(self, call: Call) -> Passed | None:
        """Tell as what another pod has passed this call on, if one has: then it is answered here."""
        return self._seal.read(call.first(MARK.encode()), (Passed.REQUEST, Passed.COPY), call.message)

    async def forward(self, address: str, call: Call) -> bytes | None:
        """Return the answer of the pods at HOST:PORT, where PORT is that of HTTP, and note its trailing metadata.

        None if they cannot be reached, so that this pod has to answer. Raises `Refused` with their refusal, or
        `DeadlineExceeded` if it takes too long: they are there, and this pod's answer would be the rejected one.
        """
        import grpc

        target = self._target_of(address)
        if target == self._target and self._clock() < self._rests_until:
            return None
        metadata = [*_passed_on(call.metadata), (MARK, self._seal.mark(Passed.REQUEST, call.message))]
        seconds = FORWARD_SECONDS if call.deadline is None else min(FORWARD_SECONDS, call.deadline - self._clock())
        reason = ""
        for _ in range(_ATTEMPTS):
            asked = self._open(target).unary_unary(call.path)(call.message, timeout=seconds, metadata=metadata)
            try:
                answer: bytes = await asked
            except grpc.aio.AioRpcError as error:
                reason = self._judge(error, call)
            else:
                call.trailing += _answered(await asked.trailing_metadata())
                return answer
        self._rests_until = self._clock() + REST_SECONDS
        warning("the serving revision cannot be reached; answering instead of it", target=target, reason=reason)
        return None

    async def copy(
        self, address: str, path: str, message: bytes, metadata: Sequence[tuple[bytes, bytes]], seconds: float
    ) -> dict[str, str] | None:
        """Send a copy of a call to the pods at HOST:PORT; returns the metadata of the answer, or None if it fails."""
        await asyncio.to_thread(import_module, "grpc.aio")  # It takes half a second, in which clients would wait.
        import grpc

        sent = [*_passed_on(metadata), (MARK, self._seal.mark(Passed.COPY, message))]
        asked = self._open(self._target_of(address)).unary_unary(path)(message, timeout=seconds, metadata=sent)
        try:
            await asked
            return dict(_answered(await asked.trailing_metadata()))
        except grpc.aio.AioRpcError:
            return None

    def _target_of(self, address: str) -> str:
        return f"{address.rpartition(':')[0]}:{self._port}"

    def _judge(self, error: Any, call: Call) -> str:
        """Raise the other pod's refusal; return why there was no answer, if there was none."""
        code = Code(error.code().value[0])
        trailing = _answered(error.trailing_metadata() or ())
        if any(name == REVISION for name, _ in trailing):
            call.trailing += trailing
            call.is_forwarded = True
            raise Refused(code, error.details() or "") from error
        if code is Code.DEADLINE_EXCEEDED:
            raise DeadlineExceeded("the serving revision did not answer in time") from error
        return f"{code.name}: {error.details()}"

    def _open(self, target: str) -> Any:
        import grpc.aio

        identity = self._identity()
        if target != self._target or identity is not self._shown:
            self._leave()
            self._target, self._shown = target, identity
            if identity is None:
                self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
            else:
                certificate, key, authority = identity.content
                credentials = grpc.ssl_channel_credentials(authority or certificate, key, certificate)
                named = (("grpc.ssl_target_name_override", identity.name),) if identity.name else ()
                self._channel = grpc.aio.secure_channel(target, credentials, options=(*_OPTIONS, *named))
        return self._channel

    def _leave(self) -> None:
        """Begin nothing more on the channel there is, and close it once its calls are answered."""
        channel, self._channel, self._target = self._channel, None, ""
        if channel is not None:
            closing = asyncio.get_running_loop().create_task(channel.close(FORWARD_SECONDS))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Close the connections."""
        channel, self._channel, self._target = self._channel, None, ""
        for closing in self._closing:
            closing.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        if channel is not None:
            await channel.close()


def _passed_on(metadata: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str | bytes]]:
    """Leave out what is HTTP/2's and gRPC's own, and what no client may send: grpcio refuses all because of it."""
    pairs: list[tuple[str, str | bytes]] = []
    for key, value in metadata:
        name = key.decode("latin-1")
        text = value.decode("latin-1")
        if name.startswith("grpc-") or name in _OWN or not (_NAME.fullmatch(name) and _VALUE.fullmatch(text)):
            continue
        if not name.endswith("-bin"):
            pairs.append((name, text))
            continue
        with contextlib.suppress(binascii.Error):
            pairs.append((name, base64.b64decode(value + b"==")))
    return pairs


def _answered(metadata: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, value in metadata if isinstance(value, str)]
