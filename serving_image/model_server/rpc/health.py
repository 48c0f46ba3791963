"""The usual health service, `grpc.health.v1.Health`, which Kubernetes' probes and load balancers ask."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from model_server.errors import NotFound
from model_server.rpc.open_inference import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from model_server.rpc.calls import Call, Conversation

WATCH_SECONDS: Final = 0.25


class Health:
    """The methods of the service. All services of this server are as healthy as the server, whose name is empty."""

    def __init__(self, services: Collection[str], is_serving: Callable[[], bool]) -> None:
        self._services = {"", *services}
        self._is_serving = is_serving

    async def check(self, call: Call) -> bytes:
        """Check: as it is now."""
        request = parse(HealthCheckRequest, call.message)
        if request.service not in self._services:
            raise NotFound(f"unknown service {request.service[:200]}")
        return self._answer(request.service)

    async def watch(self, call: Call, conversation: Conversation) -> None:
        """Watch: as it is now, and whenever it changes."""
        request = parse(HealthCheckRequest, await conversation.next() or b"")
        told = b""
        while True:
            answer = self._answer(request.service)
            if answer != told:
                await conversation.say(answer)
                told = answer
            await asyncio.sleep(WATCH_SECONDS)

    def _answer(self, service: str) -> bytes:
        if service not in self._services:
            status = HealthCheckResponse.SERVICE_UNKNOWN
        elif self._is_serving():
            status = HealthCheckResponse.SERVING
        else:
            status = HealthCheckResponse.NOT_SERVING
        text: bytes = HealthCheckResponse(status=status).SerializeToString()
        return text
