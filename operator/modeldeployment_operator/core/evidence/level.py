"""Test A: evidence that a revision is worse, or proof that it is better, than a fixed level.

Null hypothesis: every label's expected score, given the past, is at least `level`. Eight bets at odds that fit
qualities q_k below the level multiply their capital by the likelihood ratio of what is seen. Of new bets for declines
that begin late see `capital`.

The inequality behind a step, for a score x in [0, 1]: e^(x·a + (1−x)·b) <= x·q/level + (1−x)·(1−q)/(1−level), since an
exponential is convex. Its mean is at most 1 under the null hypothesis, since q < level. So a score may be any number
in [0, 1]: of n scores with sum s, s count as right and n − s as wrong.

Mirrored, the null hypothesis is that every expected score is at most `level`: right and wrong change places.

Sources: J. Ville, Étude critique de la notion de collectif, 1939; I. Waudby-Smith, A. Ramdas, Estimating means of
bounded random variables by betting, 2024.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from modeldeployment_operator.core.evidence.capital import Capital
from modeldeployment_operator.core.evidence.odds import BETS, WATCHED, factors_against


@dataclass(frozen=True)
class Evidence:
    """What the labels seen so far say against a level, or, mirrored, for it.

    Attributes:
        level: lowest value, in (0, 1), at which the revision counts as good.
        labels: number of labels seen, n.
        log_bets: ln of the capital in each of the eight bets and in the reserve, and the suspicion.
        mirrored: whether it is to be proven that the revision is better than the level.

    """

    level: float
    labels: float
    log_bets: tuple[float, ...]
    mirrored: bool = False

    @classmethod
    def start(cls, level: float, *, mirrored: bool = False) -> Evidence:
        """Return the evidence before any label; ValueError unless 0 < level < 1."""
        if not 0.0 < level < 1.0:
            raise ValueError(f"a level must lie strictly between 0 and 1, not {level!r}")
        return cls(level=level, labels=0.0, log_bets=Capital.start(BETS).numbers, mirrored=mirrored)

    def observe(self, correct: float, wrong: float) -> Evidence:
        """Return the evidence after so many more labels for and against; ValueError if either is negative."""
        if not (0.0 <= correct < math.inf and 0.0 <= wrong < math.inf):
            raise ValueError(f"numbers of labels must be finite and not negative, got {correct!r} and {wrong!r}")
        new = correct + wrong
        if not new:
            return self
        if self.mirrored:
            factors = factors_against(1.0 - self.level, wrong, correct)
        else:
            factors = factors_against(self.level, correct, wrong)
        capital = Capital.of(self.log_bets).after(factors, new, factors[WATCHED])
        return replace(self, labels=self.labels + new, log_bets=capital.numbers)

    def observe_scores(self, total: float, labels: float) -> Evidence:
        """Return the evidence after so many more labels with scores in [0, 1] that sum to `total`."""
        if not 0.0 <= total <= labels:
            raise ValueError(f"the sum of {labels!r} scores in [0, 1] cannot be {total!r}")
        return self.observe(total, labels - total)

    @property
    def log_e(self) -> float:
        """Natural logarithm of the evidence; at ln(1/alpha) the revision is proven worse (mirrored: better)."""
        return Capital.of(self.log_bets).log_total
