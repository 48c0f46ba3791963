"""What a running server is doing: loading, serving or leaving, and for whom it answers."""

from __future__ import annotations

import json
import re
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from model_server.errors import InvalidArgument
from model_server.logs import event, warning

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROTATION_FILE: Final = "rotation"
_HOST_PORT = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[1-9][0-9]{0,4}", re.ASCII)


class Phase(Enum):
    """The life of a server."""

    LOADING = "loading"
    SERVING = "serving"
    DRAINING = "draining"


def read_rotation(document: Any) -> str | None:
    """Read a `contract.Rotation`. Raises `InvalidArgument`."""
    if not isinstance(document, dict) or set(document) != {"forward_to"}:
        raise InvalidArgument('a rotation is {"forward_to": "HOST:PORT"} or {"forward_to": null}')
    target = document["forward_to"]
    if target is not None and not (isinstance(target, str) and _HOST_PORT.fullmatch(target)):
        raise InvalidArgument("forward_to is HOST:PORT or null")
    return target


class Standing:
    """The phase, and the rotation."""

    def __init__(self, forward_to: str | None = None) -> None:
        self.phase = Phase.LOADING
        self.forward_to = forward_to

    @property
    def is_leaving(self) -> bool:
        """Whether clients should connect elsewhere next time."""
        return self.phase is Phase.DRAINING or self.forward_to is not None


class State(Standing):
    """The one of the process that has the model: its rotation outlives a restart of the container."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / ROTATION_FILE
        self.changed: list[Callable[[], None]] = []
        """Called after a change."""
        super().__init__(self._read())

    def enter(self, phase: Phase) -> None:
        """Go on to another phase."""
        self.phase = phase
        self._tell()

    def rotate(self, forward_to: str | None) -> None:
        """Pass requests to another address from now on, or answer them again."""
        if forward_to == self.forward_to:
            return
        self.forward_to = forward_to
        self._tell()
        event("rotation", forward_to=forward_to)
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_text(json.dumps({"forward_to": forward_to}))
            fresh.replace(self._file)
        except OSError as error:  # The operator sees it in the counts, and tells it again.
            warning("the rotation could not be written: it ends with this container", reason=str(error))

    def _tell(self) -> None:
        for tell in self.changed:
            tell()

    def _read(self) -> str | None:
        try:
            return read_rotation(json.loads(self._file.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, InvalidArgument) as error:
            warning("the rotation of the last run cannot be read", reason=str(error))
            return None
