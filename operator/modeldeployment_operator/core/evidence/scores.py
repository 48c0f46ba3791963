"""Evidence from scores in [0, 1] whose squares are known too: that their mean is below a level, found much sooner.

Test A takes each score for a coin that was tossed, and so for as uncertain as a coin. Scores of a regression mostly
vary less. Beside the bets of test A there are eight that need the sum of the scores and of their squares: with ξ =
(level − x)/(1 − level) >= −1 and λ in (0, 1) a factor is e^(λξ − (−ln(1−λ) − λ)·ξ²) <= 1 + λξ, whose mean is at most 1
if that of x is at least the level. λ_k = 0.95·(3/5)^k. Sums are all that is needed, so counters of pods may be read at
any time, as in test A.

Mirrored, it is to be proven that the mean is above the level: each x becomes 1 − x.

Sources: X. Fan, I. Grama, Q. Liu, Exponential inequalities for martingales with applications, 2015 (lemma 4.1); S.
Howard, A. Ramdas, J. McAuliffe, J. Sekhon, Time-uniform, nonparametric, nonasymptotic confidence sequences, 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from modeldeployment_operator.core.evidence.capital import Capital
from modeldeployment_operator.core.evidence.odds import BETS, WATCHED, factors_against

_STAKES: Final = tuple(0.95 * 0.6**k for k in range(8))
_COSTS: Final = tuple(-math.log1p(-stake) - stake for stake in _STAKES)
_WATCHED_STAKE: Final = 2
_ROUNDING: Final = 1e-9


@dataclass(frozen=True)
class Scores:
    """What scores say against a level, or, mirrored, for it.

    Attributes:
        level: lowest mean, in (0, 1), at which the revision counts as good.
        capital: of the eight bets of test A and the eight on sums of squares.
        mirrored: whether it is to be proven that the revision is better than the level.

    """

    level: float
    capital: Capital
    mirrored: bool = False

    @classmethod
    def start(cls, level: float, *, mirrored: bool = False) -> Scores:
        """Return the evidence before any score; ValueError unless 0 < level < 1."""
        if not 0.0 < level < 1.0:
            raise ValueError(f"a level must lie strictly between 0 and 1, not {level!r}")
        return cls(level, Capital.start(BETS + len(_STAKES)), mirrored)

    @classmethod
    def resume(cls, level: float, numbers: Sequence[float], *, mirrored: bool = False) -> Scores:
        """Return what `numbers` were of; ValueError if they are of something else."""
        if len(numbers) != BETS + len(_STAKES) + 2:
            raise ValueError(f"a test of scores is stored as {BETS + len(_STAKES) + 2} numbers, not {len(numbers)}")
        return cls(level, Capital.of(numbers), mirrored)

    @property
    def numbers(self) -> tuple[float, ...]:
        """All of it but the level and what is to be proven, to be stored."""
        return self.capital.numbers

    @property
    def log_e(self) -> float:
        """Natural logarithm of the evidence; at ln(1/alpha) the mean is proven lower (mirrored: higher)."""
        return self.capital.log_total

    def observe(self, labels: float, total: float, squares: float) -> Scores:
        """Return the evidence after so many more labels, with this sum of their scores and of the squares of these."""
        slack = _ROUNDING * labels
        if not (0.0 <= labels < math.inf and -slack <= squares <= total + slack and total <= labels + slack):
            raise ValueError(
                f"{labels!r} scores in [0, 1] cannot have the sum {total!r} and that of squares {squares!r}"
            )
        if not labels:
            return self
        level = self.level
        if self.mirrored:
            total, squares, level = labels - total, labels - 2.0 * total + squares, 1.0 - level
        below = (labels * level - total) / (1.0 - level)
        spread = max(0.0, labels * level * level - 2.0 * level * total + squares) / (1.0 - level) ** 2
        # The sum of squares of numbers cannot be less than that of as many equal ones.
        spread = max(spread, below * below / labels)
        coins = factors_against(level, min(max(total, 0.0), labels), max(labels - total, 0.0))
        sums = [stake * below - cost * spread for stake, cost in zip(_STAKES, _COSTS, strict=True)]
        watched = _log_mean(coins[WATCHED], sums[_WATCHED_STAKE])
        return replace(self, capital=self.capital.after([*coins, *sums], labels, watched))


def _log_mean(a: float, b: float) -> float:
    """Return ln((e^a + e^b)/2): half of a bet on each."""
    high, low = max(a, b), min(a, b)
    return high + math.log1p(math.exp(low - high)) - math.log(2.0)
