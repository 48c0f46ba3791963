"""Test B: evidence that a candidate is worse than the stable revision, both judged on requests of their own.

Null hypothesis: in each block of labels the mean quality of the candidate is at least that of the stable revision less
`margin`. A block is what was labelled of both between two looks. Counts of several blocks must not be pooled: if the
candidate's share of the traffic grows while the requests become harder, it looks worse than it is (Simpson's paradox).

For a block of n_c and n_s labels and an alternative (q_c, q_s) the evidence is the product of q/p° (label right) and
(1−q)/(1−p°) (label wrong) over all labels, where (p_c°, p_s°) is the point of the null hypothesis that is closest to
the alternative, in the divergence of Kullback and Leibler of the whole block: on its edge, p_s° = p_c° + margin, where
n_c·(p_c° − q_c)/(p_c°(1−p_c°)) = n_s·(q_s − p_s°)/(p_s°(1−p_s°)) =: g > 0. Why its mean is at most 1: the factor of a
label of quality p has mean 1 + (p − p°)(q − p°)/(p°(1−p°)). Over all labels these means sum to n + g·(mean p_s − mean
p_c − margin) <= n = n_c + n_s, so their product, which is the block's mean, is at most 1 (inequality of the arithmetic
and the geometric mean). So only the means over the block have to be as the null hypothesis says.

q_s is what the stable revision's labels of earlier blocks say; q_c lies below q_s − margin as in test A. A look at
which one side has no new label says nothing: its labels wait, and are a part of the next block. Whether they wait
depends on how many labels there are, never on what they say.

Mirrored, it is to be proven that the candidate is not worse than the stable revision by `margin` or more: right and
wrong change places, and the margin its sign.

Sources: R. Turner, A. Ly, P. Grünwald, Generic E-variables for exact sequential k-sample tests that allow for optional
stopping, 2024; R. Turner, P. Grünwald, Exact anytime-valid confidence intervals for contingency tables and beyond,
2023.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from modeldeployment_operator.core.evidence.capital import Capital
from modeldeployment_operator.core.evidence.odds import BETS, WATCHED, qualities_below

_MEMORY: Final = 5000.0
"""Labels of the stable revision that its quality is estimated from; older ones fade, so that drift is followed."""
_PRIOR_RIGHT: Final = 1.8
_PRIOR_WRONG: Final = 0.2
"""Before anything is known of it, the stable revision is taken to be right in nine of ten."""
_LEAST: Final = 1e-4
"""There is nothing to bet on if the lowest good quality is as near as that to 0 or 1."""
_NUMBERS: Final = BETS + 2
_STEPS: Final = 100
_NEAR: Final = 1e-9


@dataclass(frozen=True)
class Labels:
    """Labels for and against one revision; scores in [0, 1] count as in test A."""

    right: float = 0.0
    wrong: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.right < math.inf and 0.0 <= self.wrong < math.inf):
            raise ValueError(
                f"numbers of labels must be finite and not negative, got {self.right!r} and {self.wrong!r}"
            )

    @property
    def number(self) -> float:
        """How many there are."""
        return self.right + self.wrong

    def __add__(self, other: Labels) -> Labels:
        return Labels(self.right + other.right, self.wrong + other.wrong)

    @property
    def swapped(self) -> Labels:
        """The same with right and wrong in each other's place."""
        return Labels(self.wrong, self.right)


@dataclass(frozen=True)
class Comparison:
    """What the labels of both revisions say against the candidate, or, mirrored, for it.

    Attributes:
        margin: by how much the candidate may be worse, in [0, 1).
        capital: of the eight bets.
        known: labels of the stable revision that q_s is estimated from.
        candidate: labels of the candidate that wait for one of the stable revision.
        stable: labels of the stable revision that wait for one of the candidate.
        mirrored: whether it is to be proven that the candidate is not worse by the margin.

    """

    margin: float
    capital: Capital
    known: Labels
    candidate: Labels = Labels()
    stable: Labels = Labels()
    mirrored: bool = False

    @classmethod
    def start(cls, margin: float, known: Labels | None = None, *, mirrored: bool = False) -> Comparison:
        """Return the evidence before any label; ValueError unless 0 <= margin < 1.

        Args:
            margin: by how much the candidate may be worse.
            known: labels that the stable revision got before the comparison began.
            mirrored: whether it is to be proven that the candidate is not worse by the margin.

        """
        if not 0.0 <= margin < 1.0:
            raise ValueError(f"a margin must be at least 0 and less than 1, not {margin!r}")
        return cls(margin, Capital.start(BETS), _faded(known or Labels()), mirrored=mirrored)

    @classmethod
    def resume(cls, margin: float, numbers: Sequence[float], *, mirrored: bool = False) -> Comparison:
        """Return what `numbers` were of; ValueError if they are of something else."""
        if len(numbers) != _NUMBERS + 6:
            raise ValueError(f"a comparison is stored as {_NUMBERS + 6} numbers, not {len(numbers)}")
        known, candidate, stable = (Labels(*numbers[i : i + 2]) for i in range(_NUMBERS, _NUMBERS + 6, 2))
        return cls(margin, Capital.of(numbers[:_NUMBERS]), known, candidate, stable, mirrored)

    @property
    def numbers(self) -> tuple[float, ...]:
        """All of it but the margin and what is to be proven, to be stored."""
        sides = (self.known, self.candidate, self.stable)
        return (*self.capital.numbers, *(number for side in sides for number in (side.right, side.wrong)))

    @property
    def log_e(self) -> float:
        """Natural logarithm of the evidence; at ln(1/alpha) the candidate is proven worse (mirrored: not worse)."""
        return self.capital.log_total

    def holding(self, candidate: Labels, stable: Labels) -> Comparison:
        """Return the same while these labels wait for more: whether they do must not depend on what they say."""
        return replace(self, candidate=candidate, stable=stable)

    def observe(self, candidate: Labels, stable: Labels) -> Comparison:
        """Return the evidence after so many more labels of both."""
        candidate, stable = self.candidate + candidate, self.stable + stable
        if not candidate.number or not stable.number:
            return self.holding(candidate, stable)
        return replace(
            self,
            capital=self._after(candidate, stable),
            known=_faded(self.known + stable),
            candidate=Labels(),
            stable=Labels(),
        )

    def _after(self, candidate: Labels, stable: Labels) -> Capital:
        known, margin = self.known, self.margin
        if self.mirrored:
            candidate, stable, known, margin = candidate.swapped, stable.swapped, known.swapped, -margin
        prior = (_PRIOR_WRONG, _PRIOR_RIGHT) if self.mirrored else (_PRIOR_RIGHT, _PRIOR_WRONG)
        q_s = (known.right + prior[0]) / (known.number + sum(prior))
        level = q_s - margin
        if not _LEAST < level < 1.0 - _LEAST:
            return self.capital
        factors = [_log_factor(candidate, stable, math.exp(log_q), q_s, margin) for log_q, _ in qualities_below(level)]
        return self.capital.after(factors, min(candidate.number, stable.number), factors[WATCHED])


def _log_factor(candidate: Labels, stable: Labels, q_c: float, q_s: float, margin: float) -> float:
    """Return ln of the block's likelihood at (q_c, q_s), divided by that at the closest point without a decline."""
    if margin >= 0.0:
        p_c, p_s = closest((candidate.number, q_c), (stable.number, q_s), margin)
    else:
        p_s, p_c = closest((stable.number, q_s), (candidate.number, q_c), -margin)
    return (
        candidate.right * math.log(q_c / p_c)
        + candidate.wrong * math.log((1.0 - q_c) / (1.0 - p_c))
        + stable.right * math.log(q_s / p_s)
        + stable.wrong * math.log((1.0 - q_s) / (1.0 - p_s))
    )


def closest(lower: tuple[float, float], upper: tuple[float, float], gap: float) -> tuple[float, float]:
    """Return the qualities p and p + gap for which n·KL(q‖p) + m·KL(r‖p + gap) is least.

    The sum is convex and its derivative has one root between q and r − gap: Newton's steps, halved where they leave the
    bracket.

    Args:
        lower: labels of the side whose quality is to be the lower one, and q.
        upper: labels of the other side, and r.
        gap: by how much the qualities are to differ, >= 0.

    """
    (n, q), (m, r) = lower, upper
    low, high = sorted((q, max(r - gap, 0.0)))
    pull, other = n / (q * (1.0 - q)), m / (r * (1.0 - r))
    p = (pull * q + other * (r - gap)) / (pull + other)
    for _ in range(_STEPS):
        if not low < p < high:
            p = (low + high) / 2
            if not low < p < high:
                break  # No number lies between them.
        s = p + gap
        var_p, var_s = p * (1.0 - p), s * (1.0 - s)
        from_q, from_r = (p - q) / var_p, (s - r) / var_s
        derivative = n * from_q + m * from_r
        if derivative < 0.0:
            low = p
        else:
            high = p
        slope = n * (1.0 - (1.0 - 2.0 * p) * from_q) / var_p + m * (1.0 - (1.0 - 2.0 * s) * from_r) / var_s
        step = derivative / slope
        p -= step
        if abs(step) <= _NEAR * var_p:
            break  # The error left is about the square of that.
    p = min(max(p, low), high)
    return p, p + gap


def _faded(labels: Labels) -> Labels:
    """Return labels of the same quality, no more than are remembered."""
    kept = min(1.0, _MEMORY / labels.number) if labels.number else 1.0
    return Labels(labels.right * kept, labels.wrong * kept)
