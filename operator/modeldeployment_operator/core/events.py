"""Events: what changed from one status to the next, for whoever runs `kubectl describe`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.status import ModelDeploymentStatus

_TOLD: tuple[ConditionType, ...] = (
    ConditionType.STALLED,
    ConditionType.ACCURACY_HEALTHY,
    ConditionType.MONITORED,
    ConditionType.AVAILABLE,
)
"""Conditions whose changes are told of. Ready and Reconciling only sum up; RolledBack has an event of its own."""
_BAD: frozenset[Reason] = frozenset(
    {
        Reason.DEGRADED,
        Reason.NO_ROLLBACK_TARGET,
        Reason.ROLLBACK_DISABLED,
        Reason.NO_READY_PODS,
        Reason.SAMPLES_UNAVAILABLE,
        Reason.APPLY_REFUSED,
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
            yield Event(
                Reason.ROLLED_BACK,
                f"Rolled back from {latest.revision} to {after.serving_revision}: {latest.metric} {latest.estimate} "
                f"[{latest.lower}, {latest.upper}] from {latest.labels} labels, should be at least {latest.level}",
                warning=True,
            )
        else:
            yield Event(Reason.PROMOTED, f"{after.serving_revision} has the traffic")


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
            warning = condition.type is ConditionType.STALLED or condition.reason in _BAD
            yield Event(condition.reason, condition.message, warning=warning)


def _is_news(old: Condition | None, new: Condition) -> bool:
    if old is not None:
        return (old.status, old.reason) != (new.status, new.reason)
    # At first, everything is unknown or not there yet: nothing to tell.
    return new.type is ConditionType.STALLED or (
        new.status is ConditionStatus.FALSE and new.reason is not Reason.STARTING
    )
