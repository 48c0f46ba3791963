"""Labels over gRPC: `modelops.v1.FeedbackService`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model_server.errors import BodyTooLarge, InvalidArgument
from model_server.feedback import Label
from model_server.protocols.feedback_pb2 import SendResponse
from model_server.protocols.feedback_rest import MAX_LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.feedback import Result


def read_feedback(request: Any) -> tuple[Label, ...]:
    """Read a SendRequest. A label that says nothing is refused by itself, later. Raises `InvalidArgument`."""
    if not request.labels:
        raise InvalidArgument("there are no labels")
    if len(request.labels) > MAX_LABELS:
        raise BodyTooLarge(f"{len(request.labels)} labels are too many for one call: send at most {MAX_LABELS}")
    return tuple(Label(label.id, _value(label)) for label in request.labels)


def _value(label: Any) -> object:
    choice = label.WhichOneof("label")
    return None if choice is None else getattr(label, choice)


def write_results(labels: Sequence[Label], results: Sequence[Result]) -> bytes:
    """Write a SendResponse."""
    response = SendResponse()
    for label, result in zip(labels, results, strict=True):
        if result is None:
            response.results.add(id=label.id, accepted=True)
        else:
            response.results.add(id=label.id, reason=result.reason, message=result.message)
    text: bytes = response.SerializeToString()
    return text
