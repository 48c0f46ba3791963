"""Lives of models of known quality under the operator's own test. Pure: the seed decides everything."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from modeldeployment_operator.api.spec import Accuracy, AccuracyMetric
from modeldeployment_operator.api.status import CriterionKind
from modeldeployment_operator.core.criteria import plan_of
from modeldeployment_operator.core.evidence import Evidence, Labels
from modeldeployment_operator.core.findings import combined, findings_of
from modeldeployment_operator.core.intervals import clopper_pearson_lower
from modeldeployment_operator.core.metrics import share_of
from modeldeployment_operator.core.trials import Beside, after, begun

_CONFIDENCE = 0.05


@dataclass(frozen=True)
class Rival:
    """The revision that serves, with which a candidate is compared in its canary.

    Attributes:
        drop: how much worse the candidate may be.
        value: true value of the metric of the revision that serves.
        weight: percent of the labels that are the candidate's.

    """

    drop: float
    value: float
    weight: int


@dataclass(frozen=True)
class Setting:
    """What is simulated.

    Attributes:
        metric: what is judged.
        minimum: lowest good value of it, if one is demanded.
        alpha: chance that a good model is ever called bad.
        minimum_labels: labels that a verdict needs.
        labels: labels of a life.
        every: labels from look to look.
        seed: of the random numbers.
        rival: with what it is compared, if it is.

    """

    metric: AccuracyMetric
    minimum: float | None
    alpha: float
    minimum_labels: int
    labels: int
    every: int
    seed: int
    rival: Rival | None = None

    @property
    def least(self) -> float:
        """Lowest value that is good by all that is demanded."""
        beside = None if self.rival is None else self.rival.value - self.rival.drop
        return max(level for level in (self.minimum, beside) if level is not None)


@dataclass(frozen=True)
class Lives:
    """What became of all lives of one true value."""

    true: float
    runs: int
    found: tuple[int, ...]
    """Labels at which lives were called Degraded, in order; the others never were."""
    is_good: bool
    """Whether the true value is as demanded, so that each of these was a mistake."""

    @property
    def share(self) -> float:
        """Share of the lives that were called Degraded."""
        return len(self.found) / self.runs

    @property
    def upper(self) -> float:
        """Upper end of a 95% interval of the chance of that (Clopper and Pearson's, of one side)."""
        return 1.0 - clopper_pearson_lower(self.runs - len(self.found), self.runs, _CONFIDENCE)

    def quantile(self, share: float) -> int | None:
        """Return by which label this share of all lives was found; None if fewer ever were."""
        place = math.ceil(share * self.runs) - 1
        return self.found[place] if place < len(self.found) else None

    def found_by(self, labels: float) -> float:
        """Return the share of the lives that were found by then."""
        return bisect.bisect_right(self.found, labels) / self.runs


def live(setting: Setting, true: float, runs: Iterable[int]) -> list[int | None]:
    """Return for each of these lives the label at which it was called Degraded, if ever."""
    right, life = _right_of(setting.every, share_of(setting.metric, true)), _compared_life if setting.rival else _life
    return [life(setting, right, Random(f"{setting.seed}/{true!r}/{run}")) for run in runs]  # noqa: S311 - no secrets.


def gathered(setting: Setting, true: float, ends: Sequence[int | None]) -> Lives:
    """Put lives together."""
    found = tuple(sorted(end for end in ends if end is not None))
    return Lives(true, len(ends), found, is_good=true >= setting.least)


def _life(setting: Setting, right: Sequence[float], random: Random) -> int | None:
    evidence, proof = Evidence.start(share_of(setting.metric, setting.least)), -math.log(setting.alpha)
    for seen in range(setting.every, setting.labels + 1, setting.every):
        correct = bisect.bisect(right, random.random())
        evidence = evidence.observe(correct, setting.every - correct)
        if seen >= setting.minimum_labels and evidence.log_e >= proof:
            return seen
    return None


def _compared_life(setting: Setting, right: Sequence[float], random: Random) -> int | None:
    """Live as a candidate in its canary: judged beside the revision that serves, and by its minimum."""
    rival = setting.rival
    assert rival is not None  # noqa: S101 - the caller has looked.
    accuracy = Accuracy(metric=setting.metric, minimum=setting.minimum, maximum_drop=rival.drop, alpha=setting.alpha)
    plan = plan_of(accuracy, None, CriterionKind.CONCURRENT)
    others = max(1, round(setting.every * (100 - rival.weight) / rival.weight))
    right_of_other, state = _right_of(others, share_of(setting.metric, rival.value)), begun(plan)
    for seen in range(setting.every, setting.labels + 1, setting.every):
        correct, of_other = bisect.bisect(right, random.random()), bisect.bisect(right_of_other, random.random())
        beside = Beside("", "", labels=Labels(of_other, others - of_other))
        state = after(plan, state, {plan.first.stream: (correct, setting.every - correct)}, beside)
        if seen >= setting.minimum_labels and combined(findings_of(plan, state)).log_e >= -math.log(plan.alpha):
            return seen
    return None


def _right_of(labels: int, share: float) -> list[float]:
    """Return the chances that at most 0, 1, … of so many labels are right, but for the last, which is certain."""
    logs = (
        math.lgamma(labels + 1)
        - math.lgamma(right + 1)
        - math.lgamma(labels - right + 1)
        + right * math.log(share)
        + (labels - right) * math.log1p(-share)
        for right in range(labels)
    )
    return list(accumulate(math.exp(log) for log in logs))
