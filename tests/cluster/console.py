"""Progress for a person who waits: one line a step, with the seconds it took."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Print what is being done, and when it is done, how long it took.

    The line goes to standard error, since standard output carries what scripts read (`kubeconfig`, `env`).
    """
    print(f"  {what} ...", end="", file=sys.stderr, flush=True)
    begin = time.monotonic()
    try:
        yield
    except BaseException:
        print(f" failed after {time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)
        raise
    print(f" {time.monotonic() - begin:.1f} s", file=sys.stderr, flush=True)


class Progress:
    """Tells now and then how far something has come that takes minutes."""

    def __init__(self, seconds_between: float = 20) -> None:
        self._between = seconds_between
        self._begin = self._last = time.monotonic()

    def tell(self, what: str) -> None:
        """Print it, unless something was printed a moment ago."""
        now = time.monotonic()
        if now - self._last >= self._between:
            print(f"\n    {now - self._begin:.0f} s: {what} ...", end="", file=sys.stderr, flush=True)
            self._last = now


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)
