"""The terminal: what goes there, in which style, and what comes from there."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable
from typing import Any

from modeldeployment_operator.cli.errors import CommandError, Exit
from modeldeployment_operator.cli.text.style import Style


def style() -> Style:
    """Return how to write to the standard output."""
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 40)).columns
    return Style.of(os.environ, terminal=terminal, width=width, encoding=sys.stdout.encoding)


def show(lines: Iterable[str]) -> None:
    """Print lines."""
    signs = style().signs
    sys.stdout.write("".join(f"{signs(line)}\n" for line in lines))
    sys.stdout.flush()


def show_document(document: Any, form: str) -> None:
    """Print a document as JSON or YAML."""
    if form == "json":
        show([json.dumps(document, indent=2)])
        return
    import yaml

    show([yaml.safe_dump(document, sort_keys=False, allow_unicode=style().unicode).rstrip()])


def confirm(question: str, how: str) -> None:
    """Ask a person; CommandError without a yes, or without a terminal to ask at."""
    if not sys.stdin.isatty():
        raise CommandError(Exit.REFUSED, f"{question} Nothing was changed: confirm it with {how}")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError(Exit.REFUSED, "not confirmed: nothing was changed")


class Redrawn:
    """A part of the terminal that is drawn again in its place."""

    def __init__(self) -> None:
        self._height = 0

    def draw(self, lines: Iterable[str]) -> None:
        """Draw lines over those of before; no more than the terminal has, or they could not be drawn over."""
        signs = style().signs
        drawn = [signs(line) for line in lines][: shutil.get_terminal_size((100, 40)).lines - 1]
        back = f"\x1b[{self._height}A" if self._height else ""
        text = "".join(f"{line}\n" for line in drawn)
        sys.stdout.write(f"{back}\x1b[J\x1b[?7l{text}\x1b[?7h")  # A line that were wrapped would count as two.
        sys.stdout.flush()
        self._height = len(drawn)
