"""What is read of counters that pods lose, and that are looked at irregularly.

Every look brings new labels. A look may be missed, so that the next one sees the labels of both; a reading may come
again; and a pod may restart between two looks, so that what it counted since the last one is lost.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

MISSED, REPEATED, LOST = 0.05, 0.05, 0.002
"""Shares of all looks."""

Counts = NDArray[np.int64]


def readings(labels: Counts, rng: np.random.Generator) -> Iterator[tuple[int, Counts]]:
    """Yield the number of the look and what is new of each count, as the operator comes to know it.

    Args:
        labels: new labels at each look, by kind: (looks, kinds).
        rng: decides what goes wrong.

    """
    chance = rng.random((len(labels), 3))
    waiting = np.zeros_like(labels[0])
    for look, new in enumerate(labels):
        if chance[look, 2] < LOST:
            waiting = np.zeros_like(new)
            continue
        waiting = waiting + new
        if chance[look, 0] < MISSED:
            continue
        yield look, waiting
        waiting = np.zeros_like(new)
        if chance[look, 1] < REPEATED:
            yield look, waiting
