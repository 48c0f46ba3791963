"""Labels until a decline is seen, from birth and late, beside what is foretold and what information theory allows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from modeldeployment_operator.core.evidence import (
    Comparison,
    Evidence,
    Labels,
    Paired,
    Scores,
    labels_until_drop,
    labels_until_lower_mean,
    labels_until_worse_than_stable,
    pairs_until_proof,
)
from modeldeployment_operator.core.evidence.comparison import closest

from tests.benchmarks.judgement.lives import LEVEL, LOOK, MARGIN, STABLE

ALPHA = 0.01
PROOF = -math.log(ALPHA)
QUALITIES = (0.85, 0.80, 0.70, 0.50)
GOOD, LATE = 0.92, 50_000
"""Quality before a late decline, and the labels that it holds for."""
MOST = 100_000
SPREAD = 10.0
"""Scores are drawn from Beta distributions with that sum of parameters: a deviation of 0.09 at a mean of 0.9."""
BOTH_WRONG = 0.06
"""Share of requests that candidate and stable revision both get wrong."""


@dataclass(frozen=True)
class Subject:
    """A test in one setting.

    Attributes:
        name: as the table has it.
        start: the test before any label.
        observe: returns the test after a look at so many labels of a candidate of such a quality.
        foretell: labels that are foretold for a quality.
        limit: nats that a label of such a quality gives to one who knows all but whether it is bad.
        born, aged: lives from birth, and lives that were good for long.

    """

    name: str
    start: Any
    observe: Callable[[Any, float, np.random.Generator], Any]
    foretell: Callable[[Any, float], float]
    limit: Callable[[float], float]
    born: int
    aged: int


@dataclass(frozen=True)
class Found:
    """Labels until a decline was seen, of many lives, and what was foretold of each."""

    labels: tuple[float, ...]
    foretold: float

    @property
    def median(self) -> float:
        return float(np.median(self.labels))

    @property
    def slow(self) -> float:
        """The 95th percentile."""
        return float(np.quantile(self.labels, 0.95))


def scaled(subject: Subject, scale: float) -> Subject:
    """Return a subject with a part of its lives."""
    return replace(subject, born=max(3, round(subject.born * scale)), aged=max(2, round(subject.aged * scale)))


def from_birth(subject: Subject, quality: float, rng: np.random.Generator) -> Found:
    """Labels of a candidate that is bad from its first one on."""
    labels = tuple(_until(subject, subject.start, quality, rng) for _ in range(subject.born))
    return Found(labels, subject.foretell(subject.start, quality))


def late(subject: Subject, rng: np.random.Generator) -> dict[float, Found]:
    """Labels after a life of 50,000 good ones. Each life ends in all of the declines, one at a time."""
    found: dict[float, list[float]] = {quality: [] for quality in QUALITIES}
    foretold: dict[float, list[float]] = {quality: [] for quality in QUALITIES}
    for _ in range(subject.aged):
        aged = subject.start
        for _ in range(LATE // LOOK):
            aged = subject.observe(aged, GOOD, rng)
        for quality in QUALITIES:
            found[quality].append(_until(subject, aged, quality, rng))
            foretold[quality].append(subject.foretell(aged, quality))
    return {quality: Found(tuple(found[quality]), float(np.median(foretold[quality]))) for quality in QUALITIES}


def _until(subject: Subject, test: Any, quality: float, rng: np.random.Generator) -> float:
    labels = 0
    while test.log_e < PROOF and labels < MOST:
        test, labels = subject.observe(test, quality, rng), labels + LOOK
    return labels


def divergence(q: float, p: float) -> float:
    """Return the divergence of Kullback and Leibler of two Bernoulli distributions, in nats."""
    return q * math.log(q / p) + (1.0 - q) * math.log((1.0 - q) / (1.0 - p))


def _level(test: Evidence, quality: float, rng: np.random.Generator) -> Evidence:
    right = int(rng.binomial(LOOK, quality))
    return test.observe(right, LOOK - right)


def _other_requests(share: float) -> Callable[[Comparison, float, np.random.Generator], Comparison]:
    """Return a look at ten labels of the candidate and those of the stable revision that came in the same time."""
    of_stable = round(LOOK / share) - LOOK

    def observe(test: Comparison, quality: float, rng: np.random.Generator) -> Comparison:
        mine, other = int(rng.binomial(LOOK, quality)), int(rng.binomial(of_stable, STABLE))
        return test.observe(Labels(mine, LOOK - mine), Labels(other, of_stable - other))

    return observe


def _block_nats(quality: float, share: float) -> float:
    of_stable = 1.0 / share - 1.0
    p_c, p_s = closest((1.0, quality), (of_stable, STABLE), MARGIN)
    return divergence(quality, p_c) + of_stable * divergence(STABLE, p_s)


def _shares(quality: float) -> tuple[float, float, float]:
    """Return the shares of pairs that a candidate of such a quality wins, loses and ties."""
    won, lost = 1.0 - STABLE - BOTH_WRONG, 1.0 - quality - BOTH_WRONG
    return won, lost, 1.0 - won - lost


def _same_requests(test: Paired, quality: float, rng: np.random.Generator) -> Paired:
    won, lost, tied = (int(number) for number in rng.multinomial(LOOK, _shares(quality)))
    return test.observe(won, lost, tied)


def _pair_nats(quality: float) -> float:
    """Return what the best bet on pairs gains: it needs to know the shares."""
    stakes = np.linspace(0, 1 / (1 + MARGIN), 20_001)[:-1]
    won, lost, tied = _shares(quality)
    gains = lost * np.log1p(stakes * (1 - MARGIN)) + tied * np.log1p(-stakes * MARGIN)
    return float((gains + won * np.log1p(-stakes * (1 + MARGIN))).max())


def _scores(test: Scores, mean: float, rng: np.random.Generator) -> Scores:
    drawn = rng.beta(mean * SPREAD, (1.0 - mean) * SPREAD, LOOK)
    return test.observe(LOOK, float(drawn.sum()), float((drawn * drawn).sum()))


def _score_nats(mean: float) -> float:
    """Return what the best bet on the mean of such scores gains: it needs to know their distribution."""
    x = np.linspace(0.0, 1.0, 10_001)[1:-1]
    density = x ** (mean * SPREAD - 1) * (1 - x) ** ((1 - mean) * SPREAD - 1)
    density /= density.sum()
    stakes = np.linspace(0.0, 1.0 / (1.0 - LEVEL), 1_001)[:-1]
    return float((np.log1p(stakes[:, None] * (LEVEL - x)) @ density).max())


def _comparison(share: float, born: int, aged: int) -> Subject:
    return Subject(
        f"B: {share:.0%} of the traffic, stable {STABLE}, margin {MARGIN}",
        Comparison.start(MARGIN, Labels(1840, 160)),
        _other_requests(share),
        lambda test, quality: share * labels_until_worse_than_stable(test, quality, STABLE, share, ALPHA),
        lambda quality: _block_nats(quality, share),
        born,
        aged,
    )


LEVEL_TEST = Subject(
    f"A: level {LEVEL}",
    Evidence.start(LEVEL),
    _level,
    lambda test, quality: labels_until_drop(test, quality, ALPHA),
    lambda quality: divergence(quality, LEVEL),
    8000,
    200,
)
SUBJECTS = (
    LEVEL_TEST,
    Subject(
        f"D: mean score, level {LEVEL}, with squares",
        Scores.start(LEVEL),
        _scores,
        lambda test, mean: labels_until_lower_mean(test, mean, math.sqrt(mean * (1 - mean) / (SPREAD + 1)), ALPHA),
        _score_nats,
        300,
        60,
    ),
    _comparison(0.5, 200, 20),
    _comparison(0.1, 200, 20),
    Subject(
        f"C: stable {STABLE}, margin {MARGIN}",
        Paired.start(MARGIN),
        _same_requests,
        lambda test, quality: pairs_until_proof(test, *_shares(quality)[:2], ALPHA),
        _pair_nats,
        300,
        60,
    ),
)
