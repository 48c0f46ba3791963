"""How many processors this container may keep busy."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

_V2: Final = Path("/sys/fs/cgroup/cpu.max")
_V1: Final = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/cpu,cpuacct"))


def available() -> int:
    """Whole processors within the limit of the container, at least one; cgroups of version 1 and 2."""
    return cpus_of_quota(_quota(), len(os.sched_getaffinity(0)))


def cpus_of_quota(quota: str, present: int) -> int:
    """Read `QUOTA PERIOD` in microseconds, as cgroups of version 2 write it; `max` and −1 mean no limit.

    A limit of 1500m lets two threads run most of the time, so fractions are rounded up.
    """
    parts = quota.split()
    try:
        limit, period = (int(part) for part in parts)
    except ValueError:
        return present
    return max(1, min(present, math.ceil(limit / period))) if limit > 0 and period > 0 else present


def _quota() -> str:
    for files in ((_V2,), *((folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us") for folder in _V1)):
        try:
            return " ".join(file.read_text().strip() for file in files)
        except OSError:
            continue
    return ""
