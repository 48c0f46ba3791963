"""The capital of a test: bets, and a reserve from which new bets are placed when something seems to be wrong.

A bet multiplies its capital by a factor whose mean is at most 1 under the null hypothesis. Of a capital of 1 three
quarters are bet at the start. The rest is a reserve for declines that begin later, when the first bets have lost all
they had. What is moved from the reserve into the bets only changes hands, after the labels it was decided by were
counted. So whatever decides when and how much, the total stays a nonnegative supermartingale from 1.

Here a CUSUM decides, of the bet on a small decline: it is 0 while all is well, and the reserve is spent while it is at
2 nats or more. That costs a decline the first 2 nats of its evidence, and spares what bets would lose in good times,
which is more: at a level of 0.90 a revision of 0.92 is suspected for one label in a hundred. While it is suspected the
reserve falls with the number of labels n as ¼·(1 + n/1000)^−½, so that it is never used up.

Sources: J. Ville, Étude critique de la notion de collectif, 1939; E. S. Page, Continuous inspection schemes, 1954;
J. Shin, A. Ramdas, A. Rinaldo, E-detectors, 2024.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

RESERVE: Final = 0.25
_LOG_RESERVE: Final = math.log(RESERVE)
_SUSPICIOUS: Final = 2.0
"""Nats at which the reserve begins to be spent."""
_SCALE: Final = 1000.0
"""Suspected labels over which the rate of spending falls off."""
_POWER: Final = 0.5


@dataclass(frozen=True, slots=True)
class Capital:
    """A capital in logarithms.

    Attributes:
        log_bets: ln of the capital in each bet.
        log_reserve: ln of what was never bet.
        suspicion: the CUSUM, in nats.

    """

    log_bets: tuple[float, ...]
    log_reserve: float
    suspicion: float

    @classmethod
    def start(cls, bets: int) -> Capital:
        """Return a capital of 1 before the first label."""
        return cls((math.log1p(-RESERVE) - math.log(bets),) * bets, _LOG_RESERVE, 0.0)

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Capital:
        """Return what `numbers` were of."""
        *log_bets, log_reserve, suspicion = numbers
        return cls(tuple(log_bets), log_reserve, suspicion)

    @property
    def numbers(self) -> tuple[float, ...]:
        """All of it, to be stored."""
        return (*self.log_bets, self.log_reserve, self.suspicion)

    def after(self, log_factors: Sequence[float], labels: float, watched: float) -> Capital:
        """Return the capital after the bets were multiplied by these factors for so many labels (> 0).

        Args:
            log_factors: ln of the factor of each bet.
            labels: how many labels these are of.
            watched: ln of the factor of the bet that decides whether something seems to be wrong.

        """
        log_bets = tuple(map(operator.add, self.log_bets, log_factors))
        suspicion = max(0.0, self.suspicion + watched)
        if suspicion < _SUSPICIOUS:
            return Capital(log_bets, self.log_reserve, suspicion)
        # (1 + n/1000), n the labels for which the reserve was spent so far, follows from what is left of it.
        so_far = math.exp((_LOG_RESERVE - self.log_reserve) / _POWER)
        log_kept = -_POWER * math.log1p(labels / (_SCALE * so_far))
        spent = -math.expm1(log_kept)
        if spent <= 0.0:
            return Capital(log_bets, self.log_reserve, suspicion)
        fresh = self.log_reserve + math.log(spent) - math.log(len(log_bets))
        return Capital(tuple(_log_add(bet, fresh) for bet in log_bets), self.log_reserve + log_kept, suspicion)

    @property
    def log_total(self) -> float:
        """Natural logarithm of the whole capital."""
        peak = max(self.log_reserve, *self.log_bets)
        rest = math.exp(self.log_reserve - peak)
        return peak + math.log(rest + sum([math.exp(bet - peak) for bet in self.log_bets]))


def _log_add(a: float, b: float) -> float:
    """Return ln(e^a + e^b) without overflow."""
    high, low = max(a, b), min(a, b)
    return high + math.log1p(math.exp(low - high))
