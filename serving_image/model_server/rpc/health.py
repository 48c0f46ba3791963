"""The usual health service, `grpc.health.v1.Health`, which Kubernetes' probes and load balancers ask."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListResponse

from model_server.errors import NotFound
from model_server.rpc.conversations import leaving
from model_server.rpc.open_inference import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from model_server.rpc.calls import Call
    from model_server.rpc.conversations import Conversation

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

    async def list(self, call: Call) -> bytes:
        """List: all services as they are now."""
        response = HealthListResponse()
        for service in self._services:
            response.statuses[service].status = self._status(service)
        text: bytes = response.SerializeToString()
        return text

    async def watch(self, call: Call, conversation: Conversation) -> None:
        """Watch: as it is now, and whenever it changes."""
        request = parse(HealthCheckRequest, await conversation.next() or b"")
        told = b""
        while True:
            answer = self._answer(request.service)
            if answer != told:
                await conversation.say(answer)
                told = answer
            if conversation.is_leaving.is_set():
                raise leaving()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    await conversation.is_leaving.wait()

    def _status(self, service: str) -> int:
        """Tell it as a number of HealthCheckResponse.ServingStatus."""
        if service not in self._services:
            return int(HealthCheckResponse.SERVICE_UNKNOWN)
        return int(HealthCheckResponse.SERVING if self._is_serving() else HealthCheckResponse.NOT_SERVING)

    def _answer(self, service: str) -> bytes:
        text: bytes = HealthCheckResponse(status=self._status(service)).SerializeToString()
        return text
