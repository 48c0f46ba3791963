"""What is kept of an object that the API server tells of: as much as is looked at, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modeldeployment_operator.core.children import Child, parse_child
from modeldeployment_operator.core.kinds import MODEL_DEPLOYMENT, Kind
from modeldeployment_operator.core.resource import Resource


@dataclass(frozen=True)
class Sight:
    """One object as it was seen."""

    kind: Kind
    uid: str
    version: int
    """Its resourceVersion."""
    what: Child | Resource | None
    """None of what is not labelled as a child."""


def see(kind: Kind, body: Mapping[str, Any]) -> Sight:
    """Trim an object."""
    metadata = body["metadata"]
    what = Resource(body) if kind is MODEL_DEPLOYMENT else parse_child(kind, body)
    return Sight(kind, metadata["uid"], int(metadata["resourceVersion"]), what)
