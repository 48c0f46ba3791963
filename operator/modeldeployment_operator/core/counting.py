"""What is new in readings of counters, which may be missed, repeated, or older than one before.

Counts are cumulative within a run of counting, which its pod and its `started` name. So what counts is by how much a
reading goes beyond the furthest one of the same run. Labels that no reading saw cost power, never validity.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from modeldeployment_operator.api.status import PodCounts

ABSENT_PODS_KEPT: Final = 64
"""Pods that are gone may be back in the next list; remembering the last few of them costs little."""
RUNS_KEPT: Final = 8
"""Runs of counting remembered of a pod that is there: it begins a new one only if its volume is damaged, and a reading
of a run before may come for as long as a Prometheus lags behind."""
PODS_KEPT: Final = 2400
"""More than a ModelDeployment of 1000 replicas has while its pods are replaced."""
_UNREAD: Final = "unread"
"""Stands for the run of counting of a pod that could not be read when a test began."""


@dataclass(frozen=True)
class Reading:
    """What a pod's counters stood at."""

    uid: str
    started: str
    numbers: tuple[int, ...]


def advanced(
    known: Sequence[PodCounts], readings: Sequence[Reading], present: set[str]
) -> tuple[tuple[int, ...], list[PodCounts]]:
    """Return how far each counter has gone on over all pods, by one reading at least, and what is to be remembered."""
    before = _caught_up(known, readings)
    runs = _furthest(before, readings)
    width = len(readings[0].numbers)
    new = tuple(now - then for now, then in zip(_sums(runs, width), _sums(before, width), strict=True))
    return new, remembered(runs, present)


def from_here(known: Iterable[PodCounts], readings: Sequence[Reading], present: set[str]) -> list[PodCounts]:
    """Return the runs of counting for a test that begins with these readings, pods that could not be read marked."""
    width = len(readings[0].numbers) if readings else 2
    read = {reading.uid for reading in readings}
    unread = [_counts(Reading(uid, _UNREAD, (0,) * width)) for uid in sorted(present - read)]
    return remembered([*_furthest(known, readings), *unread], present)


def remembered(runs: list[PodCounts], present: set[str]) -> list[PodCounts]:
    """Return the last few runs of each pod that is there, and the last few of pods that are not.

    Should there be too many, the last run of each pod that is there is what is kept.
    """
    later: Counter[str] = Counter()
    absent: list[PodCounts] = []
    earlier: list[PodCounts] = []
    last: list[PodCounts] = []
    for run in reversed(runs):
        if run.uid not in present:
            absent.append(run)
        elif later[run.uid] < RUNS_KEPT:
            (earlier if later[run.uid] else last).append(run)
        later[run.uid] += 1
    kept = [*last, *earlier, *absent[:ABSENT_PODS_KEPT]][:PODS_KEPT]
    return kept[::-1]


def _caught_up(known: Iterable[PodCounts], readings: Sequence[Reading]) -> list[PodCounts]:
    """Return what is known, with the first readings of pods that could not be read when the test began."""
    known = list(known)
    read = {reading.uid for reading in readings}
    late = {run.uid for run in known if run.started == _UNREAD} & read
    rest = [run for run in known if run.started != _UNREAD or run.uid not in late]
    return _furthest(rest, [reading for reading in readings if reading.uid in late])


def _furthest(known: Iterable[PodCounts], readings: Iterable[Reading]) -> list[PodCounts]:
    """Return of each run of counting the furthest reading, in the order in which they were first read.

    A reading that is behind another one of its run in any of its counters is an older one.
    """
    runs = {(run.uid, run.started): run for run in known}
    for reading in readings:
        counts = _counts(reading)
        last = runs.setdefault((reading.uid, reading.started), counts)
        if all(new >= old for new, old in zip(_numbers(counts), _numbers(last), strict=True)):
            runs[reading.uid, reading.started] = counts
    return list(runs.values())


def _sums(runs: list[PodCounts], width: int) -> tuple[int, ...]:
    return tuple(sum(_numbers(run)[place] for run in runs) for place in range(width))


def _counts(reading: Reading) -> PodCounts:
    right, wrong, *further = reading.numbers
    return PodCounts(uid=reading.uid, started=reading.started, right=right, wrong=wrong, further=further)


def _numbers(run: PodCounts) -> tuple[int, ...]:
    return (run.right, run.wrong, *run.further)
