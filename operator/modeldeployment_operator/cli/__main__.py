"""Reads the command line, runs the command, and ends with its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from modeldeployment_operator.cli.arguments import PROGRAM, parse
from modeldeployment_operator.cli.errors import CommandError, Exit

_MODULES = dict.fromkeys(("retry", "promote", "abort", "pause", "resume"), "ask")
"""Of commands that are not in a module of their own name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command."""
    given = parse(arguments)
    try:
        command = import_module(f"modeldeployment_operator.cli.commands.{_MODULES.get(given.command, given.command)}")
        return int(command.run(given))
    except CommandError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)  # noqa: T201 - where people look for errors.
        return error.code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # Who read it has seen enough; Python would complain of it again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE


if __name__ == "__main__":
    sys.exit(main())
