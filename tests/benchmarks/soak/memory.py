"""Whether memory grows. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WARM_UP: Final = 0.3
"""Of the whole: caches fill, and the allocator finds its size."""
_BLOCKS: Final = 12
"""Readings of one block are taken together: those that follow each other are not independent."""
_T: Final = 2.228
"""Of Student's t for 95% and ten degrees of freedom."""


@dataclass(frozen=True)
class Growth:
    """MiB an hour, with the 95% interval."""

    slope: float
    low: float
    high: float


def growth(readings: Sequence[tuple[float, float]]) -> Growth:
    """Fit a line through (seconds, MiB) after the warm-up."""
    end = readings[-1][0]
    rest = [reading for reading in readings if reading[0] >= WARM_UP * end]
    size = len(rest) / _BLOCKS
    blocks = [rest[int(number * size) : int((number + 1) * size)] for number in range(_BLOCKS)]
    hours = [statistics.fmean(seconds for seconds, _ in block) / 3600 for block in blocks]
    mebibytes = [statistics.fmean(mib for _, mib in block) for block in blocks]
    slope, intercept = statistics.linear_regression(hours, mebibytes)
    mean = statistics.fmean(hours)
    residuals = [y - slope * x - intercept for x, y in zip(hours, mebibytes, strict=True)]
    spread = sum((x - mean) ** 2 for x in hours)
    error = math.sqrt(sum(residual**2 for residual in residuals) / (_BLOCKS - 2) / spread)
    return Growth(slope, slope - _T * error, slope + _T * error)
