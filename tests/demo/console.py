"""What the reader sees: steps, the time since the start, commands they could type themselves."""

from __future__ import annotations

import shlex
import shutil
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Console:
    """Prints whole lines, each with the time since the start; several threads may use it."""

    def __init__(self, output: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._output = output if output is not None else sys.stdout
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._steps = 0
        self._width = max(80, shutil.get_terminal_size((120, 24)).columns)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    def step(self, title: str) -> None:
        """Begin a chapter."""
        self._steps += 1
        self._write(["", f"[{self.elapsed:6.1f} s] ── {self._steps}. {title}"])

    def say(self, *lines: str) -> None:
        """Tell what happens now."""
        begin = f"[{self.elapsed:6.1f} s]    "
        for line in lines:
            self._write(self._wrapped(line, begin))

    def command(self, *words: str) -> None:
        """Show a command as the reader would type it."""
        self._write([f"             $ {shlex.join(words)}"])

    def show(self, text: str) -> None:
        """Show a command's output, or a file."""
        self._write([f"             │ {line}" for line in text.rstrip().splitlines()])

    def plain(self, lines: Iterable[str]) -> None:
        """Print lines as they are."""
        self._write(lines)

    def _wrapped(self, line: str, begin: str) -> list[str]:
        later = " " * (len(begin) + 2)
        return textwrap.wrap(
            line,
            self._width,
            initial_indent=begin,
            subsequent_indent=later,
            break_long_words=False,
            break_on_hyphens=False,
        )

    def _write(self, lines: Iterable[str]) -> None:
        with self._lock:
            self._output.write("".join(f"{line}\n" for line in lines))
            self._output.flush()
