"""What a running server is doing: loading, serving or leaving, and for whom it answers."""

from __future__ import annotations

import json
from enum import Enum
from typing import TYPE_CHECKING, Final

from model_server.errors import InvalidArgument
from model_server.logs import event, warning
from model_server.rotation import ANSWERS_ALL, Passing, read_rotation, write_rotation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROTATION_FILE: Final = "rotation"


class Phase(Enum):
    """The life of a server."""

    LOADING = "loading"
    SERVING = "serving"
    DRAINING = "draining"


class Standing:
    """The phase, and the rotation."""

    def __init__(self, passing: Passing = ANSWERS_ALL) -> None:
        self.phase = Phase.LOADING
        self.passing = passing

    @property
    def is_leaving(self) -> bool:
        """Whether clients should connect elsewhere next time."""
        return self.phase is Phase.DRAINING or self.passing.has_left


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

    def rotate(self, passing: Passing) -> None:
        """Pass requests or copies to another address from now on, or answer them again."""
        if passing == self.passing:
            return
        self.passing = passing
        self._tell()
        event("rotation", **write_rotation(passing))
        fresh = self._file.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(write_rotation(passing)))
            fresh.replace(self._file)
        except OSError as error:  # The operator sees it in the counts, and tells it again.
            warning("the rotation could not be written: it ends with this container", reason=str(error))

    def _tell(self) -> None:
        for tell in self.changed:
            tell()

    def _read(self) -> Passing:
        try:
            return read_rotation(json.loads(self._file.read_text()))
        except FileNotFoundError:
            return ANSWERS_ALL
        except (OSError, ValueError, InvalidArgument) as error:
            warning("the rotation of the last run cannot be read", reason=str(error))
            return ANSWERS_ALL
