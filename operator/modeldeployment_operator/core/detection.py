"""How long a decline would go unseen: what a policy can promise at the rate at which labels come."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from modeldeployment_operator.core.evidence import Evidence, labels_until_drop
from modeldeployment_operator.core.judgement import Judged, Level
from modeldeployment_operator.core.metrics import share_of, value_of
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.standing import revision_status
from modeldeployment_operator.core.text import span

WORSE: Final = 1.5
"""The decline that is spoken of: half as many errors more than are allowed, 0.85 for a level of 0.9."""
_MINUTE: Final = 60
_HOUR: Final = 3600
_LONG: Final = 6 * _HOUR
_SHORTEST: Final = timedelta(minutes=1)
"""In less no rate can be told."""


@dataclass(frozen=True)
class Detection:
    """What it takes to see a decline.

    Attributes:
        quality: value of the metric that the revision declines to.
        labels: labels until it is proven, in half of all cases; math.inf if that is never to be expected.
        per_hour: labels that come in an hour.
        seconds: time until then; math.inf if no labels come.

    """

    quality: float
    labels: float
    per_hour: float
    seconds: float

    @property
    def within(self) -> str:
        """The time in words: to the hour, or to the minute if it is a short one."""
        unit = _HOUR if self.seconds >= _LONG else _MINUTE
        return span(max(unit, unit * round(self.seconds / unit)))


def detection(level: Level, labels: int, since: datetime, now: datetime) -> Detection | None:
    """Return how long a decline would go unseen, if labels come as they did since then; None if it is too early."""
    if now - since < _SHORTEST:
        return None
    share = max(0.0, 1.0 - WORSE * (1.0 - share_of(level.metric, level.value)))
    needed = _needed(share_of(level.metric, level.value), share, level.alpha * level.weight)
    per_hour = float(f"{labels / ((now - since) / timedelta(hours=1)):.2g}")
    seconds = needed / per_hour * 3600 if per_hour else math.inf
    return Detection(value_of(level.metric, share), needed, per_hour, seconds)


def outlook(observation: Observation, judged: Judged) -> Detection | None:
    """Return how long a decline of the revision that serves would go unseen; None if it is too early to tell.

    While no label comes, it stays as it was told: it would be another one at every look.
    """
    serving = revision_status(observation, observation.status.serving_revision)
    if judged.level is None or serving is None or serving.judged_since is None or serving.serving_since is None:
        return None
    now, told = observation.now, observation.status.accuracy
    if told is not None and told.labels == judged.labels and told.counted_until is not None:
        now = datetime.fromisoformat(told.counted_until)
    return detection(judged.level, judged.labels, datetime.fromisoformat(serving.judged_since), now)


@lru_cache(maxsize=256)
def _needed(level: float, quality: float, alpha: float) -> float:
    """Return the labels until a decline is proven. Many models share a level, and the sum takes milliseconds."""
    return labels_until_drop(Evidence.start(level), quality, alpha)
