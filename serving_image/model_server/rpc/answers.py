"""What all answers to questions carry beside their message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from model_server import contract

if TYPE_CHECKING:
    from model_server.dataplane.question import Answer
    from model_server.dataplane.servable import Servable
    from model_server.rpc.calls import Call

PREDICTION_ID: Final = contract.PREDICTION_ID_HEADER.lower()
REVISION: Final = contract.REVISION_HEADER.lower()
AUDIT: Final = contract.AUDIT_HEADER.lower()


def note(call: Call, servable: Servable, answer: Answer) -> None:
    """Put the prediction's id and the revision into the trailing metadata."""
    call.trailing.append((REVISION, servable.revision))
    if answer.prediction_id is not None:
        call.trailing.append((PREDICTION_ID, answer.prediction_id))
    if answer.audited:
        call.trailing.append((AUDIT, "true"))
