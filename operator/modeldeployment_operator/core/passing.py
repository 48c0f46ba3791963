"""What of its requests a pod answers itself, as the operator tells it and reads it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from model_server.contract import Rotation


@dataclass(frozen=True)
class Passing:
    """Where a share of the requests goes: to be answered there, or as copies."""

    to: str | None
    """HOST:PORT; None: the pod answers all itself."""
    share: float = 1.0
    """Above 0, and at most 1; 1 where `to` is None. A pod that passes all on has left the rotation."""
    copy: bool = False
    """The pod answers all itself, and sends copies of that share."""


ANSWERS_ITSELF: Final = Passing(None)


def rotation_of(passing: Passing) -> Rotation:
    """Return what a pod is told."""
    return {"forward_to": passing.to, "share": passing.share, "copy": passing.copy}


def passing_of(rotation: Mapping[str, Any]) -> Passing:
    """Return what a pod says of itself. Raises KeyError or TypeError."""
    to, share, copy = rotation["forward_to"], rotation["share"], rotation["copy"]
    numeric = isinstance(share, int | float) and not isinstance(share, bool)
    if not (isinstance(to, str | None) and numeric and isinstance(copy, bool)):
        raise TypeError(f"{rotation} is no rotation")
    return Passing(to, float(share), copy)
