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


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)
