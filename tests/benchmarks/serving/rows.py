"""What the models are asked."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

FEATURES: Final = 64
CHARACTERS: Final = 3000
LENGTH: Final = 64
FIRST: Final = 0x4E00
COUNTS: Final = {"dense": (1, 32), "text": (1,)}
"""Rows of a request, by model."""


def rows_of(model: str, count: int) -> npt.NDArray[Any]:
    """Make up rows: 64 numbers each, or texts of 64 characters as UTF-8."""
    random = np.random.default_rng(count)
    if model == "dense":
        return random.random((count, FEATURES), dtype=np.float32)
    numbers = random.integers(0, CHARACTERS, (count, LENGTH))
    return np.array(["".join(chr(FIRST + number) for number in row).encode() for row in numbers], dtype=object)
