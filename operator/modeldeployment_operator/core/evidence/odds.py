"""The qualities that bets are placed on: d_k = 2^(k/2)/8 below a level on the logit scale, k = 0..11.

A fall of d on that scale is one from 0.90 to 0.888 at the least and to 0.03 at the most; the true one is at most a
factor of 2^(1/4) from one of them, which costs a fortieth of the speed at which evidence grows.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

BETS: Final = 12
DISTANCES: Final = tuple(2.0 ** (k / 2) / 8 for k in range(BETS))
WATCHED: Final = 5
"""The bet on a fall by 0.71: from 0.90 to 0.82."""


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
