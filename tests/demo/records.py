"""What a client of the model saw: one record a request. Standard library only: it runs in the traffic's pod too."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

OK = 200


class Kind(StrEnum):
    """What was asked for."""

    PREDICTION = "prediction"
    LABEL = "label"


class Connections(StrEnum):
    """How a client treats its connections."""

    FRESH = "new connections"
    """A new one for each request."""
    KEPT = "kept connections"
    """One, as long as the server lets it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One request and its answer."""

    kind: Kind
    connections: Connections
    sent: float
    """Seconds since the epoch, by the client's clock."""
    done: float
    """When the whole answer was there."""
    status: int
    """HTTP status; 0 if there was no answer."""
    revision: str = ""
    """Of a prediction: which revision computed it. Of a label: which revision's prediction it is for."""
    right: bool | None = None
    """Whether the prediction, which may be the label's, was right."""
    error: str = ""
    """What went wrong, in the words of the server or the client."""

    @property
    def failed(self) -> bool:
        """Whether the client did not get what it asked for."""
        return self.status != OK


@dataclass(frozen=True, slots=True)
class Numbered:
    """A line of the traffic's output. Numbers are consecutive from 1, so that a lost line is noticed."""

    number: int
    record: Record | None
    """None in the last line."""


def write_line(number: int, record: Record | None) -> str:
    """Write a record as a line, without its end; None as the last line."""
    return json.dumps({"n": number, **(asdict(record) if record else {"end": True})}, ensure_ascii=False)


def read_line(line: str) -> Numbered | None:
    """Understand a line; None if it is something else, such as a traceback."""
    try:
        fields = json.loads(line)
        number = fields.pop("n")
        if fields.pop("end", False):
            return Numbered(number, None)
        kind, connections = Kind(fields.pop("kind")), Connections(fields.pop("connections"))
        return Numbered(number, Record(kind=kind, connections=connections, **fields))
    except (ValueError, AttributeError, KeyError, TypeError):
        return None
