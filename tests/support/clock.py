"""A clock for what is told the time, so that a test need not wait for it."""

from __future__ import annotations


class Clock:
    """Stands still until it is moved. Called, it tells its seconds."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds
