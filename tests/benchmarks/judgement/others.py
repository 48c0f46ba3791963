"""What others do: a threshold on a gauge, as Argo Rollouts and Flagger have it, and a test that is repeated.

A gauge is the accuracy over the last labels, looked at every 10 labels, and fails while it is below the level. Argo
Rollouts ends a rollout when a measurement fails more often than `failureLimit`, 0 unless told; Flagger when so many
checks failed as its `threshold` says, 5 in its examples, and no success takes one back. All lives at once: (lives,
looks).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Alarms = NDArray[np.int64]
"""For each life the number of the look at which it is called bad, counted from 1; 0 if never."""

LOOK: Final = 10


def argo_rollouts(right: Counts, level: float) -> Alarms:
    """Call it bad at the first failure of the accuracy over the last 500 labels."""
    return _gauge(right, level, 500, 1)


def flagger(right: Counts, level: float) -> Alarms:
    """Call it bad at the fifth failure of the accuracy over the last 500 labels."""
    return _gauge(right, level, 500, 5)


def long_gauge(right: Counts, level: float) -> Alarms:
    """Call it bad at the first failure of the accuracy over the last 2,000 labels."""
    return _gauge(right, level, 2000, 1)


def repeated_test(right: Counts, level: float) -> Alarms:
    """Call it bad when a test for a fixed number of labels, with a chance of error of 0.01, says so at any look."""
    number = np.arange(1, right.shape[1] + 1) * LOOK
    z = (right.cumsum(axis=1) - number * level) / np.sqrt(number * level * (1 - level))
    return _first(z < -2.326)


def spending_always(right: Counts, level: float) -> Alarms:
    """Call it bad by test A as it was, which spent its reserve with every label, whatever they said; alpha = 0.01."""
    q = 1 / (1 + np.exp(-(math.log(level / (1 - level)) - 2 ** (np.arange(12) / 2) / 8)))
    gain, loss = np.log(q / level), np.log((1 - q) / (1 - level))
    bets, unspent, found = np.full((len(right), 12), 0.5 / 12), 0.5, np.zeros(len(right), np.int64)
    for look in range(right.shape[1]):
        after = 0.5 * (1 + (look + 1) * LOOK / 1000) ** -0.1
        here = right[:, look : look + 1]
        bets = bets * np.exp(here * gain + (LOOK - here) * loss) + (unspent - after) / 12
        unspent = after
        found[(found == 0) & (bets.sum(axis=1) + unspent >= 100)] = look + 1
        if found.all():
            break
    return found


RULES: Final[Mapping[str, Callable[[Counts, float], Alarms]]] = {
    "gauge of 500, first failure (Argo Rollouts)": argo_rollouts,
    "gauge of 500, 5 failures (Flagger)": flagger,
    "gauge of 2000, first failure": long_gauge,
    "fixed-size test at 0.01, repeated": repeated_test,
    "test A with a reserve spent always": spending_always,
}


def _gauge(right: Counts, level: float, window: int, failures: int) -> Alarms:
    wide = window // LOOK
    total = right.cumsum(axis=1)
    total[:, wide:] = total[:, wide:] - total[:, :-wide].copy()
    failed = total < level * window
    failed[:, : wide - 1] = False
    return _first(failed.cumsum(axis=1) >= failures)


def _first(called: NDArray[np.bool_]) -> Alarms:
    return np.where(called.any(axis=1), called.argmax(axis=1) + 1, 0)
