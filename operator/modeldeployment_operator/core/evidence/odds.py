"""The qualities that bets are placed on: d_k = 0.16·(5/3)^k below a level on the logit scale, k = 0..7.

A fall of d on that scale is one from 0.90 to 0.885 at the least and to 0.03 at the most. The true one is at most a
factor of 1.3 from one of them, which costs a fifteenth of the speed at which evidence grows; a finer grid costs as
much, since it divides the capital by more.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

BETS: Final = 8
DISTANCES: Final = tuple(0.16 * (5 / 3) ** k for k in range(BETS))
WATCHED: Final = 2
"""The bet on a fall by 0.44: from 0.90 to 0.85."""


def qualities_below(level: float) -> tuple[tuple[float, float], ...]:
    """Return ln q_k and ln(1 − q_k) of each quality below a level in (0, 1)."""
    logit = math.log(level) - math.log1p(-level)
    pairs = []
    for distance in DISTANCES:
        x = logit - distance
        log_q = -math.log1p(math.exp(-x)) if x >= 0 else x - math.log1p(math.exp(x))
        pairs.append((log_q, log_q - x))
    return tuple(pairs)


@lru_cache(maxsize=1024)
def odds_against(level: float) -> tuple[tuple[float, float], ...]:
    """Return for each bet ln of the factor for a right and for a wrong label, if `level` is the lowest good quality."""
    log_level, log_rest = math.log(level), math.log1p(-level)
    return tuple((log_q - log_level, log_not_q - log_rest) for log_q, log_not_q in qualities_below(level))


def factors_against(level: float, right: float, wrong: float) -> list[float]:
    """Return ln of the factor of each bet for so many labels for and against."""
    return [right * gain + wrong * loss for gain, loss in odds_against(level)]
