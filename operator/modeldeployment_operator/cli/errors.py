"""How a command ends when it cannot do what it was asked. Scripts go by the number, people by the sentence."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit code of the process."""

    DONE = 0
    FAILED = 1
    """Something went wrong that is none of the others; the message is the one of who said so."""
    USAGE = 2
    """The command line is not understood."""
    NOT_FOUND = 3
    """No such model, revision, namespace, or no such kind: the operator is not installed."""
    NO_RIGHTS = 4
    """The user may not do that, or is not known."""
    UNREACHABLE = 5
    """No cluster, no such context, or no Prometheus."""
    REFUSED = 6
    """It makes no sense now, or was not confirmed: nothing was changed."""
    BAD_INPUT = 7
    """What was recorded cannot be read; the message has file and line."""
    INTERRUPTED = 130


class CommandError(Exception):
    """Ends the command with a sentence that says what is wrong, where, and what to do."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code
