"""How a candidate gets on while its pods start, and until when that may take.

As with a Deployment's `progressDeadlineSeconds`, the time counts from the last progress: a pod more is ready than ever
before. A candidate that is held by a pause makes none, and its time begins anew after it; so does that of all when an
operator starts, for nobody saw what was before.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.status import StartingStatus
from modeldeployment_operator.core.observation import Observation, Problem
from modeldeployment_operator.core.text import precise

if TYPE_CHECKING:
    from modeldeployment_operator.core.decision import Decision


def is_ready(observation: Observation, name: str) -> bool:
    """Return whether all pods of a revision answer."""
    workload = observation.workloads.get(name)
    return workload is not None and workload.settled and workload.ready >= max(observation.replicas, workload.replicas)


def problem_of(observation: Observation, name: str) -> Problem | None:
    """Return why the pods of a revision do not come up, as far as they say."""
    workload = observation.workloads.get(name)
    if workload and workload.problem:
        return workload.problem
    problems = (pod.problem for pod in observation.pods_of(name) if pod.problem and not pod.ready)
    return next(problems, None)


def starting_of(observation: Observation, decision: Decision) -> StartingStatus | None:
    """Return what is to be remembered of a candidate that starts; None if none does, or no time counts."""
    name = decision.candidate
    if name is None or decision.rollout is not None or observation.paused or not observation.replicas:
        return None
    if is_ready(observation, name):
        return None
    workload = observation.workloads.get(name)
    ready, known = workload.ready if workload else 0, observation.status.starting
    if known is None or known.revision != name or ready > known.ready:
        return StartingStatus(revision=name, since=precise(observation.now), ready=ready)
    return known


def overdue_at(observation: Observation, starting: StartingStatus) -> datetime | None:
    """Return when the time is over; None if it never is."""
    deadline = timedelta(seconds=seconds(observation.spec.rollout.progress_deadline))
    return observation.seen_since(starting.since) + deadline if deadline else None


def is_overdue(observation: Observation) -> bool:
    """Return whether what the spec asks for has made no progress for too long."""
    known, name = observation.status.starting, observation.desired.name
    if known is None or known.revision != name or observation.paused or not observation.replicas:
        return False
    if is_ready(observation, name):
        return False
    workload, until = observation.workloads.get(name), overdue_at(observation, known)
    return until is not None and observation.now >= until and (workload.ready if workload else 0) <= known.ready
