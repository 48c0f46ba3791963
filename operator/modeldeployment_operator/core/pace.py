"""How fast to go on with what fails or ends at once: fast at first, then steadily, and never all together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """So many at once, and then one in each interval of so many seconds."""

    burst: int
    interval: float


@dataclass(frozen=True)
class Bucket:
    """What was taken of a pace until a time: `full_at` is when nothing of it is left, in seconds of any clock."""

    pace: Pace
    full_at: float = 0.0

    def take(self, now: float) -> tuple[Bucket, float]:
        """Return the bucket after one more was taken, and the seconds to wait before it may be used."""
        full_at = max(self.full_at, now) + self.pace.interval
        return Bucket(self.pace, full_at), max(0.0, full_at - now - self.pace.burst * self.pace.interval)


def backoff(failures: int, *, first: float, longest: float, chance: float) -> float:
    """Return the seconds to wait after so many failures in a row; `chance`, from 0 to 1, spreads them."""
    return min(longest, first * 2.0 ** min(failures - 1, 30)) * (0.75 + chance / 2)
