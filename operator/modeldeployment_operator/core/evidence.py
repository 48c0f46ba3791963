"""Evidence that a revision is worse than a level: the spending Shiryaev-Roberts e-process.

Null hypothesis: every label's expected score, given the past, is at least `level`. Twelve bets at odds that fit
qualities q_k below the level multiply their capital by the likelihood ratio of what is seen; half of the capital is
bet at the start, the rest is spent on bets that start later, at a rate that only the number of labels decides, so
that a decline after months is still found. The total capital M is a nonnegative supermartingale that starts at 1,
so that P(M ever reaches 1/alpha) <= alpha (Ville's inequality): the test may be looked at after every label, for
ever, without a correction.

The inequality behind a step, for a score x in [0, 1]: e^(x·a + (1−x)·b) <= x·q/level + (1−x)·(1−q)/(1−level), whose
mean is at most 1 under the null hypothesis, since q < level. So a step may also be a fraction.

Sources: J. Ville, Étude critique de la notion de collectif, 1939; J. Shin, A. Ramdas, A. Rinaldo, E-detectors, 2024;
I. Waudby-Smith, A. Ramdas, Estimating means of bounded random variables by betting, 2024.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

BETS: Final = 12
_LOG_WEIGHT: Final = -math.log(BETS)
_SCALE: Final = 1000.0
"""Labels over which the spending rate falls off."""
_POWER: Final = 0.1


@dataclass(frozen=True)
class Evidence:
    """What the labels seen so far say against a level.

    Attributes:
        level: lowest value, in (0, 1), at which the revision counts as good.
        labels: number of labels seen, n.
        log_bets: ln of the capital in each of the twelve bets.

    """

    level: float
    labels: float
    log_bets: tuple[float, ...]

    @classmethod
    def start(cls, level: float) -> Evidence:
        """Return the evidence before any label; ValueError unless 0 < level < 1."""
        if not 0.0 < level < 1.0:
            raise ValueError(f"a level must lie strictly between 0 and 1, not {level!r}")
        return cls(level=level, labels=0.0, log_bets=(_LOG_WEIGHT + math.log(0.5),) * BETS)

    def observe(self, correct: float, wrong: float) -> Evidence:
        """Return the evidence after so many more labels for and against; ValueError if either is negative."""
        if not (0.0 <= correct < math.inf and 0.0 <= wrong < math.inf):
            raise ValueError(f"numbers of labels must be finite and not negative, got {correct!r} and {wrong!r}")
        new = correct + wrong
        if not new:
            return self
        fresh = _LOG_WEIGHT + self._log_spent(new)
        log_bets = tuple(
            _log_add(capital + correct * gain + wrong * loss, fresh)
            for capital, (gain, loss) in zip(self.log_bets, _odds(self.level), strict=True)
        )
        return Evidence(level=self.level, labels=self.labels + new, log_bets=log_bets)

    @property
    def log_e(self) -> float:
        """Natural logarithm of the evidence M against the level; at ln(1/alpha) the revision is proven worse."""
        unspent = math.log(0.5) - _POWER * math.log1p(self.labels / _SCALE)
        peak = max(unspent, *self.log_bets)
        return peak + math.log(sum(math.exp(value - peak) for value in (unspent, *self.log_bets)))

    def _log_spent(self, new: float) -> float:
        """Return ln of what is put into new bets: ln(G(n + new) − G(n)), with G(n) = 1 − ½(1 + n/1000)^−0.1."""
        growth = math.log1p(new / (_SCALE + self.labels))
        return math.log(0.5) - _POWER * math.log1p(self.labels / _SCALE) + math.log(-math.expm1(-_POWER * growth))


def _odds(level: float) -> tuple[tuple[float, float], ...]:
    """Return for each bet ln of the factor for a right and for a wrong label.

    The bets lie d_k = 2^(k/2)/8 below the level on the logit scale, k = 0..11.
    """
    logit = math.log(level) - math.log1p(-level)
    odds = []
    for k in range(BETS):
        x = logit - 2.0 ** (k / 2) / 8
        log_q = -math.log1p(math.exp(-x)) if x >= 0 else x - math.log1p(math.exp(x))
        log_not_q = log_q - x
        odds.append((log_q - math.log(level), log_not_q - math.log1p(-level)))
    return tuple(odds)


def _log_add(a: float, b: float) -> float:
    """Return ln(e^a + e^b) without overflow."""
    high, low = max(a, b), min(a, b)
    return high + math.log1p(math.exp(low - high))
