"""Labels over gRPC: FeedbackService."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_server.protocols import feedback_grpc, feedback_pb2
from model_server.rpc.open_inference import parse

if TYPE_CHECKING:
    from model_server.dataplane.servable import Catalog
    from model_server.rpc.calls import Call


class Feedback:
    """The method of the service."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def send(self, call: Call) -> bytes:
        """Send: count labels, here or where they belong."""
        request = parse(feedback_pb2.SendRequest, call.message)
        labels = feedback_grpc.read_feedback(request)
        return feedback_grpc.write_results(labels, await self._catalog.intake(request.model).take(labels, None))
