"""Test C: evidence that a candidate is worse than the stable revision, both judged on the same requests.

Of each request that both answered and that got its label, one notes y = 1 (lost: only the candidate is wrong), −1 (won:
only the stable revision is wrong) or 0 (tied). Null hypothesis: the expectation of y, given the past, is at most
`margin`.

A bet multiplies its capital by 1 + λ·(y − margin), whose mean is then at most 1; every bet whose validity rests on that
mean alone is at most such a factor. λ_k = 0.95·(3/5)^k/(1 + margin), k = 0..7: a factor must not be negative, even if
y = −1. New bets are placed as `capital` says, for each factor is a fair bet by itself, whenever it begins.

With scores in [0, 1] a pair counts as lost by as much as the candidate's score is lower, as won by as much as it is
higher, and as tied for the rest: the logarithm is concave, so that the product is at most the factor above.

Mirrored, it is to be proven that the candidate is not worse by `margin` or more: lost and won change places, and the
margin its sign. Ties then speak for the candidate.

Sources: I. Waudby-Smith, A. Ramdas, Estimating means of bounded random variables by betting, 2024; E. Clerico, On the
optimality of coin-betting for mean estimation, 2024.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from modeldeployment_operator.core.evidence.capital import Capital

BETS: Final = 8
WATCHED: Final = 2
"""The bet of a third of its capital."""


@dataclass(frozen=True)
class Paired:
    """What pairs of answers say against the candidate, or, mirrored, for it.

    Attributes:
        margin: by how much the candidate may be worse, in [0, 1).
        capital: of the eight bets.
        mirrored: whether it is to be proven that the candidate is not worse by the margin.

    """

    margin: float
    capital: Capital
    mirrored: bool = False

    @classmethod
    def start(cls, margin: float, *, mirrored: bool = False) -> Paired:
        """Return the evidence before any pair; ValueError unless 0 <= margin < 1."""
        if not 0.0 <= margin < 1.0:
            raise ValueError(f"a margin must be at least 0 and less than 1, not {margin!r}")
        return cls(margin, Capital.start(BETS), mirrored)

    @classmethod
    def resume(cls, margin: float, numbers: Sequence[float], *, mirrored: bool = False) -> Paired:
        """Return what `numbers` were of; ValueError if they are of something else."""
        if len(numbers) != BETS + 2:
            raise ValueError(f"a test of pairs is stored as {BETS + 2} numbers, not {len(numbers)}")
        return cls(margin, Capital.of(numbers), mirrored)

    @property
    def numbers(self) -> tuple[float, ...]:
        """All of it but the margin and what is to be proven, to be stored."""
        return self.capital.numbers

    @property
    def log_e(self) -> float:
        """Natural logarithm of the evidence; at ln(1/alpha) the candidate is proven worse (mirrored: not worse)."""
        return self.capital.log_total

    def observe(self, won: float, lost: float, tied: float) -> Paired:
        """Return the evidence after so many more pairs; ValueError if a number is negative."""
        if not all(0.0 <= number < math.inf for number in (won, lost, tied)):
            raise ValueError(f"numbers of pairs must be finite and not negative, got {won!r}, {lost!r} and {tied!r}")
        pairs = won + lost + tied
        if not pairs:
            return self
        for_bet, against_bet = (won, lost) if self.mirrored else (lost, won)
        factors = [
            for_bet * up + tied * level + against_bet * down
            for up, level, down in _odds(-self.margin if self.mirrored else self.margin)
        ]
        return replace(self, capital=self.capital.after(factors, pairs, factors[WATCHED]))


@lru_cache(maxsize=1024)
def _odds(margin: float) -> tuple[tuple[float, float, float], ...]:
    """Return for each bet ln of the factor for y = 1, 0 and −1."""
    stakes = [0.95 * 0.6**k / (1.0 + margin) for k in range(BETS)]
    return tuple(
        (
            math.log1p(stake * (1.0 - margin)),
            math.log1p(-stake * margin),
            math.log1p(-stake * (1.0 + margin)),
        )
        for stake in stakes
    )
