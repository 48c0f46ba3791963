"""Waiting for what a cluster does in its own time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def wait_until(
    holds: Callable[[], object],
    what: str,
    *,
    seconds: float,
    every: float = 0.1,
    explain: Callable[[], str] = lambda: "",
) -> None:
    """Wait until something holds; fail the test, with an explanation, if it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not so within {seconds:.0f} s: {what}\n{explain()}")
        time.sleep(every)
