"""Counters of others: what is added up of them, and what is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modeldeployment_operator.core.tallies import (
    MOST_PROCESSES,
    Counted,
    Labels,
    Process,
    Series,
    Tally,
    count,
    processes,
)

JOB = frozenset({("instance", "10.0.0.1:80")})
IGNORED = frozenset({"__name__", "outcome"})


def series(outcome: str, values: Mapping[float, float], **labels: str) -> Series:
    named = {"__name__": "labels_total", "instance": "10.0.0.1:80", "outcome": outcome} | labels
    return Series(frozenset(named.items()), {float(time): float(value) for time, value in values.items()})


def a_process(scrapes: Mapping[float, tuple[float, float]], **labels: str) -> dict[Labels, Process]:
    """One that counts right and wrong labels under two outcomes: (correct, wrong) by time."""
    correct = series("correct", {time: both[0] for time, both in scrapes.items()}, **labels)
    wrong = series("wrong", {time: both[1] for time, both in scrapes.items()}, **labels)
    return processes([correct], [correct, wrong], IGNORED)


@dataclass
class Reader:
    """Looks again and again, and remembers what it found."""

    tallies: Mapping[Labels, Tally] = field(default_factory=dict)

    def look(self, found: dict[Labels, Process], now: float = 0.0) -> Counted:
        counted = count(self.tallies, found, now)
        self.tallies = counted.tallies
        return counted

    def counts(self, labels: Labels = JOB) -> tuple[int, int]:
        tally = self.tallies[labels]
        return tally.correct, tally.total - tally.correct


def test_what_a_counter_has_when_it_is_first_seen_does_not_count() -> None:
    reader = Reader()

    counted = reader.look(a_process({10: (90, 10), 40: (95, 11)}))
    assert (counted.readable, counted.problem) == ({JOB}, None)
    assert reader.counts() == (5, 1), "but what it grew by from there on"


def test_counting_begins_after_the_first_look() -> None:
    """An operator before this one may have counted what was scraped by then."""
    reader = Reader()
    reader.look(a_process({10: (90, 10), 40: (95, 11)}), now=50)
    assert reader.counts() == (0, 0)
    reader.look(a_process({40: (95, 11), 70: (97, 11)}), now=80)
    assert reader.counts() == (0, 0), "here it begins"
    reader.look(a_process({70: (97, 11), 100: (98, 13)}), now=110)
    assert reader.counts() == (1, 2)


def test_a_scrape_counts_once() -> None:
    reader = Reader()
    for _ in range(3):
        reader.look(a_process({10: (0, 0), 40: (5, 1)}))
    reader.look(a_process({10: (0, 0)}))  # A replica that lags.
    reader.look(a_process({10: (0, 0), 40: (5, 1), 70: (7, 1)}))
    assert reader.counts() == (7, 1)


def test_a_drop_is_a_restart_and_what_is_there_then_is_new() -> None:
    reader = Reader()
    reader.look(a_process({10: (90, 10), 40: (95, 11), 70: (3, 1)}))
    assert reader.counts() == (5 + 3, 1 + 1)
    reader.look(a_process({70: (3, 1), 100: (4, 1)}))
    assert reader.counts() == (9, 2)


def test_when_only_some_counters_fall_nothing_is_known_to_be_new() -> None:
    reader = Reader()
    reader.look(a_process({10: (90, 1), 40: (3, 2)}))
    assert reader.counts() == (0, 0)
    reader.look(a_process({10: (90, 1), 40: (3, 2), 70: (4, 3)}))
    assert reader.counts() == (1, 1), "it goes on from there"


def test_a_scrape_that_is_not_whole_does_not_count() -> None:
    reader = Reader()
    correct = series("correct", {10: 5, 40: 8})
    wrong = series("wrong", {10: 1, 40: 1, 70: 4})
    reader.look(processes([correct], [correct, wrong], IGNORED))
    assert reader.counts() == (3, 0)
    late = series("correct", {10: 5, 40: 8, 70: 11})
    reader.look(processes([late], [late, wrong], IGNORED))
    assert reader.counts() == (6, 3)


def test_a_counter_that_comes_with_its_first_label_began_at_nothing() -> None:
    reader = Reader()
    correct, wrong = series("correct", {10: 5, 40: 8}), series("wrong", {40: 2})
    reader.look(processes([correct], [correct, wrong], IGNORED))
    assert reader.counts() == (3, 2)


def test_a_counter_that_was_away_is_no_new_one() -> None:
    reader = Reader()
    correct, wrong = series("correct", {10: 5, 40: 6}), series("wrong", {10: 3, 40: 3})
    reader.look(processes([correct], [correct, wrong], IGNORED))
    alone = series("correct", {400: 8})
    reader.look(processes([alone], [alone], IGNORED))
    reader.look(a_process({700: (9, 4)}))
    assert reader.counts() == (4, 1)


def test_processes_count_each_for_itself() -> None:
    reader = Reader()
    other = frozenset({("instance", "10.0.0.2:80")})
    first = a_process({10: (5, 1), 40: (7, 1)})
    reader.look({**first, **a_process({15: (1, 1), 45: (2, 1)}, instance="10.0.0.2:80")})
    assert (reader.counts(), reader.counts(other)) == ((2, 0), (1, 0))


def test_one_that_was_gone_begins_as_a_new_one() -> None:
    reader = Reader()
    reader.look(a_process({10: (5, 1), 40: (7, 1)}))
    reader.look(a_process({15: (1, 1)}, instance="10.0.0.2:80"))
    reader.look(a_process({10: (5, 1), 40: (7, 1)}), now=50)
    assert reader.counts() == (0, 0)


def test_what_cannot_be_a_count_is_told_and_holds_everything() -> None:
    good = {10: (0, 0), 40: (5, 1)}
    for flawed, words in (
        (a_process({**good, 70: (5.5, 1)}), "5.5 is no number of labels"),
        (a_process({**good, 70: (float("nan"), 1)}), "nan is no number of labels"),
        (a_process({**good, 70: (float("inf"), 1)}), "inf is no number of labels"),
        (a_process({**good, 70: (-1, 1)}), "-1 is no number of labels"),
        (a_process({**good, 70: (4, 1), 100: (6, 1), 130: (5, 1)}), "fell more than once in five minutes"),
        (processes([series("correct", {70: 9})], [], IGNORED), "no scrape has both correct and total"),
        (processes([series("correct", {70: 9})], [series("all", {70: 8})], IGNORED), "no scrape has both"),
    ):
        reader = Reader()
        reader.look(a_process(good))
        counted = reader.look(flawed)
        assert counted.readable == frozenset()
        assert counted.problem is not None
        assert 'the counters of {instance="10.0.0.1:80"} cannot be used' in counted.problem
        assert words in counted.problem
        assert reader.counts() == (5, 1)


def test_correct_that_outgrows_total_is_told_when_it_is_no_accident() -> None:
    reader = Reader()

    def look(correct: Mapping[float, float], total: Mapping[float, float]) -> Counted:
        return reader.look(processes([series("correct", correct)], [series("all", total)], IGNORED))

    assert look({10: 0, 40: 5}, {10: 9, 40: 10}).problem is None
    assert reader.counts() == (0, 0), "the scrape was made while the process counted: the next one has it"
    assert look({10: 0, 40: 5, 70: 5}, {10: 9, 40: 10, 70: 15}).problem is None
    assert reader.counts() == (5, 1)
    more = look({70: 5, 100: 9, 130: 12, 160: 14}, {70: 15, 100: 16, 130: 17, 160: 18})
    assert more.problem is not None
    assert "correct grows by more than total" in more.problem


@pytest.mark.parametrize("label", ["replica", "prometheus_replica", "__replica__"])
def test_two_replicas_of_prometheus_are_not_two_processes(label: str) -> None:
    found = {**a_process({10: (5, 1)}, **{label: "a"}), **a_process({11: (5, 1)}, **{label: "b"})}
    counted = Reader().look(found)

    assert counted.problem is not None
    assert "would count twice" in counted.problem


def test_nothing_and_too_much_are_told() -> None:
    reader = Reader()
    reader.look(a_process({10: (0, 0), 40: (5, 1)}))
    many: dict[Labels, Process] = {}
    for number in range(MOST_PROCESSES + 1):
        many |= a_process({10: (1, 0)}, instance=str(number))

    assert "501 processes, more than 500" in str(reader.look(many).problem)
    assert reader.counts() == (5, 1), "what was known is kept"
    assert "select nothing" in str(reader.look({}).problem)


# Against a process whose labels are known


@st.composite
def lives(draw: st.DrawFn) -> list[tuple[int, int, bool]]:
    """Scrapes of one process: new right and wrong labels since the one before, and whether it started anew."""
    step = st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans())
    return draw(st.lists(step, min_size=1, max_size=30))


@given(lives(), st.integers(1, 7), st.randoms(use_true_random=False), st.floats(-5.0, 500.0))
def test_never_more_than_there_was(lives: list[tuple[int, int, bool]], window: int, random: Any, now: float) -> None:
    """However it restarts, and whatever part of its scrapes a look shows."""
    right = wrong = 0
    scrapes: dict[float, tuple[float, float]] = {}
    truth: dict[float, tuple[int, int]] = {}
    labels = (0, 0)
    reader, seen = Reader(), (0, 0)
    for number, (more_right, more_wrong, anew) in enumerate(lives):
        right, wrong = (more_right, more_wrong) if anew else (right + more_right, wrong + more_wrong)
        labels = (labels[0] + more_right, labels[1] + more_wrong)
        scrapes[number * 30.0], truth[number * 30.0] = (right, wrong), labels
        shown = {time: scrapes[time] for time in list(scrapes)[-window:] if random.random() < 0.8}
        if not shown:
            continue
        reader.look(a_process(shown), now)
        counts = reader.counts()
        assert counts >= seen, "counts only grow"
        assert counts[1] >= seen[1]
        seen = counts
        begun = [time for time in truth if time > now]
        base = truth[begun[0]] if begun else labels
        assert counts[0] <= labels[0] - base[0]
        assert counts[1] <= labels[1] - base[1]


@given(lives(), st.integers(2, 5))
def test_without_restarts_nothing_is_lost(lives: list[tuple[int, int, bool]], window: int) -> None:
    right = wrong = 0
    scrapes: dict[float, tuple[float, float]] = {}
    reader = Reader()
    for number, (more_right, more_wrong, _) in enumerate(lives):
        right, wrong = right + more_right, wrong + more_wrong
        scrapes[number * 30.0] = (right, wrong)
        reader.look(a_process(dict(list(scrapes.items())[-window:])), -1.0)
    first = lives[0]
    assert reader.counts() == (right - first[0], wrong - first[1])
