"""What one process does: a few lives or declines, by number, so that nothing else has to be sent."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.judgement import detection, lives
from tests.benchmarks.judgement.detection import SUBJECTS, Found

SEED = 20261122


def live(kind: int, numbers: range) -> list[float]:
    """Live some lives of a kind; each has a seed of its own."""
    one = lives.KINDS[kind].live
    return [one(np.random.default_rng([SEED, kind, number])) for number in numbers]


def decline(subject: int, quality: float | None, scale: float) -> dict[float, Found]:
    """Decline from birth, or, without a quality, late with each of them."""
    one = SUBJECTS[subject]
    rng = np.random.default_rng([SEED, 1000 + subject, round((quality or 0) * 1000)])
    sized = detection.scaled(one, scale)
    return detection.late(sized, rng) if quality is None else {quality: detection.from_birth(sized, quality, rng)}
