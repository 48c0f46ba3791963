"""Counts of labels from raw samples of somebody else's counters, added up by the operator itself.

What a counter has when it is first seen may have been counted before, by another query or under other labels, so
counting begins there with nothing; and at a scrape that is younger than the first look, since an operator before this
one may have used the others. From then on, scrape by scrape, a process adds what its counters grew by:

    scrape      1    2    3    4 (started anew)    5
    correct    90   95   99    3                   7
    total     100  106  111    3                   8
    added       –  5/6  4/5  3/3                 4/5

Only a scrape that has all series of the process counts, both numbers at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

MOST_PROCESSES: Final = 500
"""Of one revision. Their counts are kept in the status."""
_MOST_FALLS: Final = 1
"""In the time that is looked back at: a process that starts anew again and again, or two under the same labels."""

_SKEWED: Final = 3
"""Scrapes in a row may have been made while the process counted; more are no accident."""

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Series:
    """Raw samples of one counter, by time in seconds since 1970."""

    labels: Labels
    values: Mapping[float, float]


@dataclass(frozen=True)
class Process:
    """Counters that count together: those of correct and those of total."""

    correct: tuple[Series, ...] = ()
    total: tuple[Series, ...] = ()


@dataclass(frozen=True)
class Scrape:
    """What all counters of a process said at one time."""

    time: float
    correct: Mapping[Labels, int]
    total: Mapping[Labels, int]


@dataclass(frozen=True)
class Tally:
    """What has been added up of a process.

    Attributes:
        since: seconds since 1970: only younger scrapes count.
        correct: labels that spoke for the model.
        total: all labels.
        last: the scrape up to which that is so; None until there is one to begin from.

    """

    since: float
    correct: int = 0
    total: int = 0
    last: Scrape | None = None


@dataclass(frozen=True)
class Counted:
    """What came of one look at the counters of a revision.

    Attributes:
        tallies: what is known of each process by now.
        readable: those whose counters could be used, if only to see that nothing is new.
        problem: why the first of the others could not: what, where, and what to do.
        nothing: whether there are no counters at all.

    """

    tallies: Mapping[Labels, Tally] = field(default_factory=dict)
    readable: frozenset[Labels] = frozenset()
    problem: str | None = None
    nothing: bool = False


class _UnusableError(Exception):
    """Why nothing can be taken from a process's counters."""


def processes(correct: Iterable[Series], total: Iterable[Series], ignored: frozenset[str]) -> dict[Labels, Process]:
    """Return the series by process: by all of their labels but those ignored."""
    found: dict[Labels, Process] = {}
    for one in correct:
        labels = _identity(one.labels, ignored)
        process = found.get(labels, Process())
        found[labels] = replace(process, correct=(*process.correct, one))
    for one in total:
        labels = _identity(one.labels, ignored)
        process = found.get(labels, Process())
        found[labels] = replace(process, total=(*process.total, one))
    return found


def count(known: Mapping[Labels, Tally], found: Mapping[Labels, Process], now: float) -> Counted:
    """Return what is known after another look, which began at `now` by the clock of whoever scrapes.

    A process that nothing is told of any more is forgotten: should it come back, it begins as a new one does.
    """
    if not found:
        words = "query.correct and query.total select nothing that was scraped in the last five minutes"
        return Counted(problem=words, nothing=True)
    if problem := _too_many(found):
        return Counted(known, problem=problem)
    tallies, readable, problem = {}, set(), None
    for labels, process in sorted(found.items(), key=lambda item: sorted(item[0])):
        tallies[labels] = known.get(labels, Tally(since=now))
        try:
            tallies[labels] = _advance(tallies[labels], process)
            readable.add(labels)
        except _UnusableError as error:
            problem = problem or f"the counters of {written(labels)} cannot be used: {error}"
    return Counted(tallies, frozenset(readable), problem)


def _too_many(found: Mapping[Labels, Process]) -> str | None:
    """Return why these are not what they should be, if so."""
    if len(found) > MOST_PROCESSES:
        return (
            f"the counters are of {len(found)} processes, more than {MOST_PROCESSES}: name this revision in the "
            "selectors, and count nothing by single requests"
        )
    alike = Counter(frozenset(one for one in labels if "replica" not in one[0]) for labels in found)
    twice = next((labels for labels, number in alike.items() if number > 1), None)
    if twice is not None:
        return (
            f"the counters of {written(twice)} come from more than one replica of Prometheus, and would count twice: "
            "have the store deduplicate, or select one replica"
        )
    return None


def written(labels: Labels) -> str:
    """Return labels as PromQL has them."""
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels)) + "}"


def _identity(labels: Labels, ignored: frozenset[str]) -> Labels:
    return frozenset((name, value) for name, value in labels if name not in ignored)


def _advance(tally: Tally, process: Process) -> Tally:
    """Return what is added up after all scrapes that were not used yet."""
    _check(process)
    scrapes = list(_whole(process))
    if not scrapes:
        raise _UnusableError(
            "no scrape has both correct and total: both must come from one process in one scrape, begin at 0 before "
            "the first label, and differ in no label but those that the selectors tell apart"
        )
    used = tally.last.time if tally.last else tally.since
    younger = [scrape for scrape in scrapes if scrape.time > used]
    if tally.last is None and younger:
        tally, younger = replace(tally, last=younger[0]), younger[1:]
    for scrape in younger:
        tally = _add(tally, scrape)
    if len(younger) >= _SKEWED and tally.last and tally.last.time <= used:
        raise _UnusableError("correct grows by more than total: total must count all labels, and each of them once")
    return tally


def _check(process: Process) -> None:
    """Raise _UnusableError if a counter is none."""
    for series in (*process.correct, *process.total):
        for value in series.values.values():
            if not (0 <= value < 2**53 and value.is_integer()):
                raise _UnusableError(f"{value:g} is no number of labels: select raw counters of whole labels")
        ordered = [series.values[time] for time in sorted(series.values)]
        if sum(later < earlier for earlier, later in pairwise(ordered)) > _MOST_FALLS:
            raise _UnusableError(
                "they fell more than once in five minutes: two processes count under the same labels, they are no "
                "counters, or the process starts anew all the time"
            )


def _whole(process: Process) -> Iterator[Scrape]:
    """Yield the scrapes that have every series which there was by then, in their order.

    Where samples arrive from afar, those of one scrape need not arrive at once. One of which more labels were right
    than there were is one that was made while the process counted.
    """
    every = (*process.correct, *process.total)
    begins = {series.labels: min(series.values, default=0.0) for series in every}
    for time in sorted({time for series in every for time in series.values}):
        there = [series.labels for series in every if time in series.values]
        due = [series.labels for series in every if begins[series.labels] <= time]
        correct = {one.labels: int(one.values[time]) for one in process.correct if time in one.values}
        total = {one.labels: int(one.values[time]) for one in process.total if time in one.values}
        if len(there) == len(due) and correct and total and sum(correct.values()) <= sum(total.values()):
            yield Scrape(time, correct, total)


def _add(tally: Tally, scrape: Scrape) -> Tally:
    """Return a tally with what one more scrape says.

    When all counters fell, the process has started anew, and what they have is new. If only some did, that cannot be
    told, and counting goes on from here. A scrape in which more grew on the side of those that are right is left
    out: the next one has it, too.
    """
    last = tally.last
    if last is None:
        return replace(tally, last=scrape)
    before, after = {**last.correct, **last.total}, {**scrape.correct, **scrape.total}
    fell = {labels for labels, value in after.items() if value < before.get(labels, 0)}
    if not fell:
        correct, total = _growth(last.correct, scrape.correct), _growth(last.total, scrape.total)
    elif all(labels in fell for labels in after if before.get(labels)):
        correct, total, last = sum(scrape.correct.values()), sum(scrape.total.values()), scrape
    else:
        correct, total = 0, 0
    if correct > total:
        return tally
    # A series may be missing for a while, and be no new one when it comes back.
    known = Scrape(scrape.time, {**last.correct, **scrape.correct}, {**last.total, **scrape.total})
    return replace(tally, correct=tally.correct + correct, total=tally.total + total, last=known)


def _growth(before: Mapping[Labels, int], after: Mapping[Labels, int]) -> int:
    """Return by how much counters grew; one that was not there yet began at 0."""
    return sum(value - before.get(labels, 0) for labels, value in after.items())
