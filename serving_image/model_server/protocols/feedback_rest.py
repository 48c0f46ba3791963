"""Labels over HTTP: `POST /v1/models/M/feedback`. Pure.

    {"id": "TOKEN.0", "label": "sport"}                         one label, or
    {"labels": [{"id": "TOKEN.0", "label": 1}, …]}              many

A label is the number of a class from 0, its name, or true or false where there are two; or the value that was to be
predicted. The answer has one result for
each label, in order: `{"results": [{"id": "…", "accepted": true}, {"id": "…", "accepted": false, "reason": "duplicate",
"message": "…"}]}`. A single label's HTTP code says how it went; many labels are answered with 200 and their results.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from model_server import wire
from model_server.contract import FeedbackRejection
from model_server.errors import InvalidArgument, LabelRejected
from model_server.feedback import Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.feedback import Result

MAX_LABELS: Final = 1000
"""In one request: 15 ms of work."""
_CODES: Final = {
    FeedbackRejection.MALFORMED: 400,
    FeedbackRejection.UNKNOWN_CLASS: 400,
    FeedbackRejection.FORGED: 403,
    FeedbackRejection.FOREIGN: 404,
    FeedbackRejection.DUPLICATE: 409,
    FeedbackRejection.EXPIRED: 410,
    FeedbackRejection.UNAVAILABLE: 503,
}


@dataclass(frozen=True, slots=True)
class FeedbackRequest:
    """The labels of a request."""

    labels: tuple[Label, ...]
    single: bool


def read_feedback(body: bytes) -> FeedbackRequest:
    """Understand a request. Raises `InvalidArgument`."""
    document = wire.load(body)
    if isinstance(document, dict) and set(document) == {"id", "label"}:
        return FeedbackRequest((_label(document),), single=True)
    labels = document.get("labels") if isinstance(document, dict) and set(document) == {"labels"} else None
    if not isinstance(labels, list) or not labels:
        raise InvalidArgument(
            'feedback is {"id": "...", "label": ...} or {"labels": [{"id": "...", "label": ...}, ...]}'
        )
    if len(labels) > MAX_LABELS:
        raise InvalidArgument(f"{len(labels)} labels are too many for one request: send at most {MAX_LABELS}")
    return FeedbackRequest(tuple(map(_label, labels)), single=False)


def _label(document: Any) -> Label:
    if not isinstance(document, dict) or set(document) != {"id", "label"}:
        raise InvalidArgument('each label is {"id": "...", "label": ...}')
    return Label(document["id"], document["label"])


def write_request(labels: Sequence[Label]) -> bytes:
    """Write a request for another pod."""
    return wire.dump({"labels": [{"id": label.id, "label": label.label} for label in labels]})


def write_results(request: FeedbackRequest, results: Sequence[Result]) -> tuple[int, bytes]:
    """Write the answer, with its HTTP code."""
    document: dict[str, Any] = {
        "results": [_result(label, result) for label, result in zip(request.labels, results, strict=True)]
    }
    if not request.single or results[0] is None:
        return 200, wire.dump(document)
    return _CODES[results[0].reason], wire.dump({"error": results[0].message, **document})


def _result(label: Label, result: Result) -> dict[str, Any]:
    if result is None:
        return {"id": label.id, "accepted": True}
    return {"id": label.id, "accepted": False, "reason": result.reason, "message": result.message}


def read_results(body: bytes, count: int) -> list[Result]:
    """Understand another pod's answer to so many labels. Raises ValueError."""
    try:
        results = wire.load(body)["results"]
        if len(results) != count:
            raise ValueError("the answer has another number of results")
        return [
            None if result["accepted"] else LabelRejected(FeedbackRejection(result["reason"]), str(result["message"]))
            for result in results
        ]
    except (InvalidArgument, KeyError, TypeError) as error:
        raise ValueError(f"no answer to feedback: {error}") from error
