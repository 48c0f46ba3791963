"""What of its requests a pod answers itself, as `contract.Rotation` has it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from model_server.contract import Rotation
from model_server.errors import InvalidArgument

_HOST_PORT: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[1-9][0-9]{0,4}", re.ASCII)
_KEYS: Final = frozenset({"forward_to", "share", "copy"})
_FORM: Final = (
    'a rotation is {"forward_to": null}, or {"forward_to": "HOST:PORT", "share": 0.1, "copy": false}, where share is 1 '
    "and copy false if they are left out"
)


@dataclass(frozen=True, slots=True)
class Passing:
    """Where a share of the requests goes: to be answered there, or as copies."""

    to: str | None = None
    """HOST:PORT; None: this pod answers all."""
    share: float = 1.0
    """Above 0, and at most 1."""
    copy: bool = False

    @property
    def has_left(self) -> bool:
        """Whether this pod is out of the rotation, and clients should connect elsewhere."""
        return self.to is not None and self.share == 1 and not self.copy

    def answerer(self, chance: float) -> str | None:
        """Return who answers the request to which `chance` fell, in [0, 1); None for this pod."""
        return self.to if not self.copy and chance < self.share else None

    def witness(self, chance: float) -> str | None:
        """Return who gets a copy of the request to which `chance` fell; None for nobody."""
        return self.to if self.copy and chance < self.share else None


ANSWERS_ALL: Final = Passing()


def read_rotation(document: Any) -> Passing:
    """Read a `contract.Rotation`. Raises `InvalidArgument`."""
    if not isinstance(document, dict) or "forward_to" not in document or not document.keys() <= _KEYS:
        raise InvalidArgument(_FORM)
    to, share, copy = document["forward_to"], document.get("share", 1), document.get("copy", False)
    if to is not None and not (isinstance(to, str) and _HOST_PORT.fullmatch(to)):
        raise InvalidArgument("forward_to is HOST:PORT or null")
    if not isinstance(copy, bool):
        raise InvalidArgument("copy is true or false")
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share <= 1:
        raise InvalidArgument("share is a number above 0 and at most 1: to pass nothing on, forward_to is null")
    if to is None and (share != 1 or copy):
        raise InvalidArgument("without forward_to there is nobody for a share below 1, or for copies")
    return Passing(to, float(share), copy)


def write_rotation(passing: Passing) -> Rotation:
    """Invert `read_rotation`."""
    return Rotation(forward_to=passing.to, share=passing.share, copy=passing.copy)
