"""When to look again, if nothing happens before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.spec import LabelSource
from modeldeployment_operator.core.decision import LINGER, Decision, lingers_until
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.rollout import waits_until
from modeldeployment_operator.core.standing import probation_ends
from modeldeployment_operator.core.starting import overdue_at, starting_of

REPAIR_INTERVAL: Final = timedelta(seconds=10)
"""How often pods are asked whether they know of the rotation, while more than one revision runs."""
RETRY_INTERVAL: Final = timedelta(seconds=30)
"""How often labels are to be read at least while they cannot be."""
_PATIENCE_IN_LOOKS: Final = 2
_PATIENCE_IN_SCRAPES: Final = 2
_LONGEST_PATIENCE: Final = timedelta(minutes=1)


def sampling_interval(observation: Observation) -> timedelta | None:
    """Return how often labels are to be read; None if there are none.

    Pods are asked for the rotation at the same time.
    """
    accuracy, intervals = observation.spec.accuracy, []
    if accuracy is not None and observation.pods:
        intervals.append(timedelta(seconds=seconds(accuracy.sample_interval)))
    if _rotates(observation) and not reads_prometheus(observation):
        intervals.append(REPAIR_INTERVAL)
    return min(intervals, default=None)


def asking_interval(observation: Observation) -> timedelta | None:
    """Return how often pods are to be asked for the rotation alone; None if not."""
    return REPAIR_INTERVAL if _rotates(observation) and reads_prometheus(observation) else None


def source_of(observation: Observation) -> LabelSource:
    """Return where labels are to be read."""
    accuracy = observation.spec.accuracy
    return accuracy.source if accuracy else LabelSource.PODS


def reads_prometheus(observation: Observation) -> bool:
    """Return whether labels are to be read from Prometheus, whoever counts them."""
    return source_of(observation) is not LabelSource.PODS


def patience(observation: Observation) -> timedelta:
    """Return for how long labels may not be readable before that is told.

    One look that fails is none, and a pod that has just started is not known to Prometheus before its next scrape.
    """
    accuracy = observation.spec.accuracy
    if accuracy is None:
        return timedelta(0)
    wait = min(_PATIENCE_IN_LOOKS * timedelta(seconds=seconds(accuracy.sample_interval)), _LONGEST_PATIENCE)
    if reads_prometheus(observation):
        wait += _PATIENCE_IN_SCRAPES * timedelta(seconds=seconds(observation.spec.monitoring.service_monitor.interval))
    return wait


def _rotates(observation: Observation) -> bool:
    return len({pod.revision for pod in observation.pods}) > 1


def next_deadline(observation: Observation, decision: Decision) -> datetime | None:
    """Return when time alone will change what should be."""
    return min(_deadlines(observation, decision), default=None)


def _deadlines(observation: Observation, decision: Decision) -> Iterator[datetime]:
    if decision.switched:
        yield observation.now + LINGER
    ends = probation_ends(observation)
    if decision.standby_runs and ends is not None and ends > observation.now:
        yield ends
    if decision.rollout and (over := waits_until(observation, decision.rollout)) and over > observation.now:
        yield over
    starting = starting_of(observation, decision)
    if starting and (late := overdue_at(observation, starting)) and late > observation.now:
        yield late
    for revision in observation.status.revisions:
        until = lingers_until(revision)
        if until is not None and until > observation.now:
            yield until
