"""Events: what changed from one status to the next, for whoever runs `kubectl describe`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.status import ModelDeploymentStatus, RolloutStatus
from modeldeployment_operator.core.rejection import cause

_TOLD: tuple[ConditionType, ...] = (
    ConditionType.STALLED,
    ConditionType.ACCURACY_HEALTHY,
    ConditionType.MONITORED,
    ConditionType.ROUTED,
    ConditionType.AVAILABLE,
    ConditionType.NEEDS_ATTENTION,
)
"""Conditions whose changes are told of. Ready and Reconciling only sum up; RolledBack has an event of its own."""
_WARNINGS = frozenset({ConditionType.STALLED, ConditionType.NEEDS_ATTENTION})
_BAD: frozenset[Reason] = frozenset(
    {
        Reason.DEGRADED,
        Reason.DRIFT,
        Reason.NO_ROLLBACK_TARGET,
        Reason.ROLLBACK_DISABLED,
        Reason.NO_READY_PODS,
        Reason.SAMPLES_UNAVAILABLE,
        Reason.APPLY_REFUSED,
        Reason.ROUTE_NOT_ACCEPTED,
        Reason.NO_HTTP_ROUTE_KIND,
    }
)


@dataclass(frozen=True)
class Event:
    """One message."""

    reason: Reason
    message: str
    warning: bool = False


def events_between(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> list[Event]:
    """Return what to tell of a change."""
    return [*_of_revisions(before, after), *_of_conditions(before, after)]


def _of_revisions(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Event]:
    if after.candidate_revision and after.candidate_revision != before.candidate_revision:
        yield Event(Reason.CANDIDATE_STARTED, f"Starting {after.candidate_revision}")
    if after.serving_revision and after.serving_revision != before.serving_revision:
        latest = after.rejections[0] if after.rejections else None
        if latest and latest.revision == before.serving_revision and latest not in before.rejections:
            message = f"Rolled back from {latest.revision} to {after.serving_revision}: {cause(latest)}"
            yield Event(Reason.ROLLED_BACK, message, warning=True)
        else:
            yield Event(Reason.PROMOTED, f"{after.serving_revision} has the traffic")
        return
    known = {(one.revision, one.time) for one in before.rejections}
    for rejection in after.rejections:
        if (rejection.revision, rejection.time) in known:
            continue
        what = "is not served again" if rejection.verdict else "was given up on its way to the traffic"
        yield Event(Reason.ROLLED_BACK, f"{rejection.revision} {what}: {cause(rejection)}", warning=True)
    if after.rollout and _step(after) != _step(before):
        yield Event(Reason.STEP_STARTED, _told_step(after.rollout))


def _step(status: ModelDeploymentStatus) -> tuple[str, int] | None:
    return (status.rollout.revision, status.rollout.step) if status.rollout else None


def _told_step(rollout: RolloutStatus) -> str:
    share = f"{rollout.revision} answers {rollout.weight}% of the requests"
    if not rollout.weight:
        share = f"{rollout.revision} " + ("is sent copies of the requests" if rollout.copies else "waits to be tried")
    return f"Step {rollout.step} of {rollout.steps}: {share}, until {rollout.waits_for}"


def _of_conditions(before: ModelDeploymentStatus, after: ModelDeploymentStatus) -> Iterator[Event]:
    old = {condition.type: condition for condition in before.conditions}
    moved = after.serving_revision != before.serving_revision
    for condition in after.conditions:
        if moved and condition.type is ConditionType.ACCURACY_HEALTHY:
            continue  # It is about another revision than before.
        if moved and condition.type is ConditionType.AVAILABLE and condition.status is ConditionStatus.TRUE:
            continue  # That it has the traffic is told already.
        if condition.reason is Reason.ROLLED_BACK:
            continue  # Told of when it happened.
        if condition.type in _TOLD and _is_news(old.get(condition.type), condition):
            warning = condition.type in _WARNINGS or condition.reason in _BAD
            yield Event(condition.reason, condition.message, warning=warning)


def _is_news(old: Condition | None, new: Condition) -> bool:
    if new.type is ConditionType.NEEDS_ATTENTION:
        return old is None or (old.reason, old.message) != (new.reason, new.message)
    if old is not None:
        return (old.status, old.reason) != (new.status, new.reason)
    # At first, everything is unknown or not there yet: nothing to tell.
    return new.type is ConditionType.STALLED or (
        new.status is ConditionStatus.FALSE and new.reason is not Reason.STARTING
    )
