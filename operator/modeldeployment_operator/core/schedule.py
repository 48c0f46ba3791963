"""When to look again, if nothing happens before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.core.decision import LINGER, Decision, lingers_until, probation_ends
from modeldeployment_operator.core.observation import Observation

REPAIR_INTERVAL: Final = timedelta(seconds=10)
"""How often pods are asked whether they know of the rotation, while more than one revision runs."""


def sampling_interval(observation: Observation) -> timedelta | None:
    """Return how often the pods are to be asked; None if there is nothing to learn from them."""
    accuracy = observation.spec.accuracy
    intervals = []
    if accuracy is not None and observation.pods:
        intervals.append(timedelta(seconds=seconds(accuracy.sample_interval)))
    if len({pod.revision for pod in observation.pods}) > 1:
        intervals.append(REPAIR_INTERVAL)
    return min(intervals, default=None)


def next_deadline(observation: Observation, decision: Decision) -> datetime | None:
    """Return when time alone will change what should be."""
    return min(_deadlines(observation, decision), default=None)


def _deadlines(observation: Observation, decision: Decision) -> Iterator[datetime]:
    if decision.switched:
        yield observation.now + LINGER
    ends = probation_ends(observation)
    if decision.standby_runs and ends is not None and ends > observation.now:
        yield ends
    for revision in observation.status.revisions:
        until = lingers_until(revision)
        if until is not None and until > observation.now:
            yield until
