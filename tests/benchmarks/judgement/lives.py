"""Whole lives at the edge of what is good: how far the evidence ever got.

Each life is 100,000 labels with a look every 10, judged by the operator's own code. What is returned is the highest ln
of the evidence at any look: at every alpha at once, a false rollback is one that got to ln(1/alpha).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from modeldeployment_operator.api.spec import Accuracy, AccuracyMetric
from modeldeployment_operator.api.status import CriterionKind, Revision, RevisionPhase
from modeldeployment_operator.core.criteria import plan_of
from modeldeployment_operator.core.evidence import (
    Comparison,
    Evidence,
    Labels,
    Paired,
    Part,
    Scores,
    combine,
    slice_weights,
)
from modeldeployment_operator.core.judgement import judge_revision
from modeldeployment_operator.core.metrics import share_of
from modeldeployment_operator.core.trials import Beside
from numpy.typing import NDArray

from tests.benchmarks.judgement.counters import Counts, readings
from tests.support.observations import a_sample

LABELS, LOOK = 100_000, 10
LOOKS = LABELS // LOOK
LEVEL, MARGIN, STABLE = 0.90, 0.02, 0.92
SLICES = 5


@dataclass(frozen=True)
class Kind:
    """One kind of life.

    Attributes:
        name: as the table has it.
        live: lives one, and returns the highest ln of the evidence.
        number: of lives.

    """

    name: str
    live: Callable[[np.random.Generator], float]
    number: int


def level(rng: np.random.Generator) -> float:
    """Test A: accuracy exactly at the level."""
    return _against(LEVEL, _right_of(rng, np.full(LOOKS, LEVEL)), rng)


def level_wandering(rng: np.random.Generator) -> float:
    """Test A: a quality that wanders between the level and 0.96, slowly, and is back again and again."""
    wave = (1.0 - np.cos(np.arange(LOOKS) * 2 * np.pi / rng.uniform(100, 2000))) / 2
    return _against(LEVEL, _right_of(rng, LEVEL + 0.06 * wave), rng)


def level_better(rng: np.random.Generator) -> float:
    """Test A, mirrored: accuracy exactly at the level, for a fifth of a life."""
    right = _right_of(rng, np.full(LOOKS // 5, LEVEL))
    return _against(LEVEL, right, rng, mirrored=True)


def f1(rng: np.random.Generator) -> float:
    """Test D: an F1 of exactly 0.8 in labels of which half are true negatives, which say nothing."""
    share = share_of(AccuracyMetric.F1, 0.8)
    counts = rng.multinomial(LOOK, [share / 2, (1 - share) / 4, (1 - share) / 4, 0.5], LOOKS)
    right_and_wrong = np.column_stack([counts[:, 0], counts[:, 1] + counts[:, 2]])
    return _against(share, right_and_wrong, rng)


def scores(rng: np.random.Generator) -> float:
    """Test A on the sums of scores in [0, 1] whose mean is the level."""
    test, highest = Evidence.start(LEVEL), 0.0
    for one in _drawn(rng):
        test = test.observe_scores(float(one.sum()), LOOK)
        highest = max(highest, test.log_e)
    return highest


def scores_with_squares(rng: np.random.Generator) -> float:
    """The same with the sums of their squares."""
    test, highest = Scores.start(LEVEL), 0.0
    for one in _drawn(rng):
        test = test.observe(LOOK, float(one.sum()), float((one * one).sum()))
        highest = max(highest, test.log_e)
    return highest


def through_pods(rng: np.random.Generator) -> float:
    """Test A from samples of three pods to the verdict; pods restart, samples are missed, repeated and old."""
    accuracy = Accuracy.parse({"minimum": LEVEL, "alpha": 0.01})
    revision = Revision(name="m-1", phase=RevisionPhase.SERVING, model_uri="https://models/m")
    names = [f"m-1-pod-{number}" for number in range(3)]
    counted, runs = np.zeros((3, 2), np.int64), [0, 0, 0]
    before = [a_sample(name) for name in names]
    highest = 0.0
    for look in range(LOOKS):
        pod = look % 3
        right = int(rng.binomial(LOOK, LEVEL))
        counted[pod] += (right, LOOK - right)
        now = [a_sample(n, int(c[0]), int(c[1]), f"run-{r}") for n, c, r in zip(names, counted, runs, strict=True)]
        fate = rng.random()
        read = [] if fate < 0.05 else before if fate < 0.1 else [*now, *before] if fate < 0.15 else now
        if fate > 0.998:
            counted[pod], runs[pod] = 0, runs[pod] + 1
        judged = judge_revision(accuracy, revision, read or None, set(names))
        revision = revision.model_copy(update={"evidence": judged.state, "verdict": judged.verdict})
        highest, before = max(highest, judged.log_e), now
    return highest


def other_requests(rng: np.random.Generator) -> float:
    """Test B: a candidate worse by exactly the margin; its share grows from 2 to 50 %, and requests change."""
    return _compared(rng, LOOKS)


def other_requests_mirrored(rng: np.random.Generator) -> float:
    """Test B, mirrored: the same for a fifth of a life."""
    return _compared(rng, LOOKS // 5, mirrored=True)


def same_requests(rng: np.random.Generator) -> float:
    """Test C: a candidate that loses more often than it wins by exactly the margin; nine of ten are ties."""
    return _paired(rng, LOOKS)


def same_requests_mirrored(rng: np.random.Generator) -> float:
    """Test C, mirrored: the same for a fifth of a life."""
    return _paired(rng, LOOKS // 5, mirrored=True)


def together(rng: np.random.Generator) -> float:
    """A, B and C at once and five slices, all of them at their edges, and not independent of each other."""
    whole, each = slice_weights(1 / 3, SLICES)
    # Of 10 labelled requests: lost, won, both wrong, both right; and those of the stable revision alone.
    pairs = rng.multinomial(LOOK, [0.06, 0.04, 0.04, 0.86], LOOKS)
    alone = rng.binomial(LOOK, STABLE, LOOKS)
    accuracy, other, same = Evidence.start(LEVEL), Comparison.start(MARGIN, Labels(920, 80)), Paired.start(MARGIN)
    slices = [Evidence.start(LEVEL) for _ in range(SLICES)]
    highest = 0.0
    for look in range(LOOKS):
        lost, won, both_wrong, both_right = (int(number) for number in pairs[look])
        right, wrong, of_stable = won + both_right, lost + both_wrong, int(alone[look])
        accuracy = accuracy.observe(right, wrong)
        other = other.observe(Labels(right, wrong), Labels(of_stable, LOOK - of_stable))
        same = same.observe(won, lost, both_wrong + both_right)
        slices[look % SLICES] = slices[look % SLICES].observe(right, wrong)
        combined = combine(
            [
                Part("accuracy", whole, accuracy.log_e),
                Part("other requests", 1 / 3, other.log_e),
                Part("same requests", 1 / 3, same.log_e),
                *(Part(f"slice {number}", each, one.log_e) for number, one in enumerate(slices)),
            ]
        )
        highest = max(highest, combined.log_e)
    return highest


def canary(rng: np.random.Generator) -> float:
    """A candidate at the edge of five demands, judged and remembered as the operator does; some looks are lost.

    Its accuracy is the minimum, and that of the stable revision less the margin; so are its recall and both slices.
    """
    document = {"minimum": LEVEL, "maximumDrop": MARGIN, "sliceMinimum": LEVEL}
    accuracy = Accuracy.parse(document | {"additional": [{"metric": "recall", "minimum": LEVEL}]})
    plan = plan_of(accuracy, None, CriterionKind.CONCURRENT, ("0", "1"))
    revision = Revision(name="m-2", phase=RevisionPhase.CANDIDATE, model_uri="https://models/m")
    right, both, highest = rng.binomial(LOOK // 2, LEVEL, (LOOKS, 2)), np.zeros((2, 2), np.int64), 0.0
    stable, written = np.zeros(2, np.int64), np.zeros(2, np.int64)
    labels = 0
    for look in range(LOOKS):
        both += np.column_stack([right[look], LOOK // 2 - right[look]])
        of_stable = int(rng.binomial(LOOK, STABLE))
        stable += (of_stable, LOOK - of_stable)
        good, bad = (int(number) for number in both.sum(axis=0))
        slices = {str(number): (int(one[0]), int(one[1])) for number, one in enumerate(both)}
        sample = a_sample("m-2-pod-0", good, bad, true_positive=good, false_negative=bad, slices=slices)
        beside = Beside("m-1", "", Labels(920, 80), Labels(*map(float, stable - written)))
        judged = judge_revision(accuracy, revision, [sample], {"m-2-pod-0"}, plan, beside)
        highest = max(highest, judged.log_e)
        assert judged.state is not None  # It is judged.
        if judged.labels >= 1.2 * labels or rng.random() > 0.01:  # Seldom an operator loses what it has not written.
            revision = revision.model_copy(update={"evidence": judged.state})
            labels, written = judged.labels, stable.copy()
    return highest


def _right_of(rng: np.random.Generator, quality: NDArray[np.float64]) -> Counts:
    right = rng.binomial(LOOK, quality)
    return np.column_stack([right, LOOK - right])


def _drawn(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return scores with the level as their mean: (looks, labels). A third is right or wrong, the rest spread."""
    plain = rng.random((LOOKS, LOOK)) < 1 / 3
    coins = rng.random((LOOKS, LOOK)) < LEVEL
    return np.where(plain, coins, rng.beta(5 * LEVEL, 5 * (1 - LEVEL), (LOOKS, LOOK)))


def _against(level: float, counts: Counts, rng: np.random.Generator, *, mirrored: bool = False) -> float:
    test, highest = Evidence.start(level, mirrored=mirrored), 0.0
    for _, new in readings(counts, rng):
        right, wrong = new.tolist()
        test = test.observe(right, wrong)
        highest = max(highest, test.log_e)
    return highest


def _compared(rng: np.random.Generator, looks: int, *, mirrored: bool = False) -> float:
    part = np.arange(looks) / looks
    mine = rng.binomial(LOOK, 0.02 + 0.48 * part)
    quality = 0.90 + 0.05 * np.cos(part * 40)
    right_c, right_s = rng.binomial(mine, quality - MARGIN), rng.binomial(LOOK - mine, quality)
    counts = np.column_stack([right_c, mine - right_c, right_s, LOOK - mine - right_s])
    test, highest = Comparison.start(MARGIN, Labels(950, 50), mirrored=mirrored), 0.0
    for _, new in readings(counts, rng):
        right, wrong, of_stable, against_stable = new.tolist()
        test = test.observe(Labels(right, wrong), Labels(of_stable, against_stable))
        highest = max(highest, test.log_e)
    return highest


def _paired(rng: np.random.Generator, looks: int, *, mirrored: bool = False) -> float:
    counts = rng.multinomial(LOOK, [0.04, 0.04 + MARGIN, 0.92 - MARGIN], looks)
    test, highest = Paired.start(MARGIN, mirrored=mirrored), 0.0
    for _, new in readings(counts, rng):
        won, lost, tied = new.tolist()
        test = test.observe(won, lost, tied)
        highest = max(highest, test.log_e)
    return highest


KINDS = (
    Kind("A: accuracy at the level", level, 1000),
    Kind("A: accuracy between the level and 0.96", level_wandering, 100),
    Kind("A: three pods, restarts, late samples", through_pods, 80),
    Kind("B: worse by the margin, ramp and drift", other_requests, 120),
    Kind("C: worse by the margin, with ties", same_requests, 200),
    Kind("D: F1 at the level", f1, 100),
    Kind("D: mean of scores at the level", scores, 100),
    Kind("D: mean of scores, with squares", scores_with_squares, 100),
    Kind("A, B, C and five slices together", together, 80),
    Kind("a canary by five demands, as operated", canary, 60),
    Kind("A mirrored: false promotion", level_better, 300),
    Kind("B mirrored: false promotion", other_requests_mirrored, 120),
    Kind("C mirrored: false promotion", same_requests_mirrored, 300),
)
