"""How many labels it takes to see a difference: beside simulations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
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

T = TypeVar("T", Evidence, Comparison, Paired, Scores)
RUNS, ALPHA = 150, 0.01
NEAR = 0.25
"""A fifth, and what chance adds to the median of so many runs."""


def median(start: T, step: Callable[[T, np.random.Generator], T], labels: int) -> float:
    rng, found = np.random.default_rng(4), []
    for _ in range(RUNS):
        test, seen = start, 0
        while test.log_e < -math.log(ALPHA):
            test, seen = step(test, rng), seen + labels
        found.append(seen)
    return float(np.median(found))


@pytest.mark.parametrize(("level", "quality"), [(0.9, 0.85), (0.9, 0.8), (0.9, 0.7), (0.6, 0.5), (0.97, 0.94)])
def test_a_drop_below_a_level(level: float, quality: float) -> None:
    start = Evidence.start(level)

    def step(test: Evidence, rng: np.random.Generator) -> Evidence:
        right = int(rng.binomial(2, quality))
        return test.observe(right, 2 - right)

    assert labels_until_drop(start, quality, ALPHA) == pytest.approx(median(start, step, 2), rel=NEAR)


def test_a_late_drop_takes_longer() -> None:
    start = late = Evidence.start(0.9)
    for _ in range(500):
        late = late.observe(18.6, 1.4)

    def step(test: Evidence, rng: np.random.Generator) -> Evidence:
        right = int(rng.binomial(5, 0.8))
        return test.observe(right, 5 - right)

    expected = labels_until_drop(late, 0.8, ALPHA)
    assert expected > 1.5 * labels_until_drop(start, 0.8, ALPHA)
    assert expected == pytest.approx(median(late, step, 5), rel=NEAR)


@pytest.mark.parametrize("quality", [0.9, 0.95])
def test_what_is_no_drop_is_never_seen(quality: float) -> None:
    assert labels_until_drop(Evidence.start(0.9), quality, ALPHA) == math.inf


def test_what_is_proven_needs_no_more_labels() -> None:
    assert labels_until_drop(Evidence.start(0.9).observe(0, 50), 0.5, ALPHA) == 0.0


def test_a_promotion() -> None:
    start = Evidence.start(0.9, mirrored=True)

    def step(test: Evidence, rng: np.random.Generator) -> Evidence:
        right = int(rng.binomial(10, 0.95))
        return test.observe(right, 10 - right)

    assert labels_until_drop(start, 0.95, ALPHA) == pytest.approx(median(start, step, 10), rel=NEAR)


@pytest.mark.parametrize(("mean", "number"), [(0.85, 3), (0.85, 20), (0.75, 5)])
def test_a_lower_mean_of_scores(mean: float, number: float) -> None:
    start, deviation = Scores.start(0.9), math.sqrt(mean * (1 - mean) / (number + 1))

    def step(test: Scores, rng: np.random.Generator) -> Scores:
        x = rng.beta(mean * number, (1 - mean) * number, 2)
        return test.observe(2, float(x.sum()), float((x * x).sum()))

    assert labels_until_lower_mean(start, mean, deviation, ALPHA) == pytest.approx(median(start, step, 2), rel=NEAR)


def test_scores_that_do_not_vary_at_all() -> None:
    assert 0 < labels_until_lower_mean(Scores.start(0.9), 0.8, 0.0, ALPHA) < 30
    assert labels_until_lower_mean(Scores.start(0.9), 0.9, 0.1, ALPHA) == math.inf


@pytest.mark.parametrize(("candidate", "share"), [(0.8, 0.5), (0.75, 0.1)])
def test_a_candidate_that_is_worse(candidate: float, share: float) -> None:
    start, labels = Comparison.start(0.02, Labels(920, 80)), 20
    mine = round(labels * share)

    def step(test: Comparison, rng: np.random.Generator) -> Comparison:
        c, s = int(rng.binomial(mine, candidate)), int(rng.binomial(labels - mine, 0.92))
        return test.observe(Labels(c, mine - c), Labels(s, labels - mine - s))

    expected = labels_until_worse_than_stable(start, candidate, 0.92, share, ALPHA)
    assert expected == pytest.approx(median(start, step, labels), rel=NEAR)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_without_the_other_side_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        labels_until_worse_than_stable(Comparison.start(0.02), 0.8, 0.9, share, ALPHA)


def test_pairs() -> None:
    start = Paired.start(0.02)

    def step(test: Paired, rng: np.random.Generator) -> Paired:
        won, lost, tied = (int(n) for n in rng.multinomial(10, [0.02, 0.1, 0.88]))
        return test.observe(won, lost, tied)

    assert pairs_until_proof(start, 0.02, 0.1, ALPHA) == pytest.approx(median(start, step, 10), rel=NEAR)
    assert pairs_until_proof(start, 0.05, 0.05, ALPHA) == math.inf
