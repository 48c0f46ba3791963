"""How far a new revision has come: which step it is at, what share of the requests it gets, what it waits for.

    ready ──▶ step 1 ──hold──▶ step 2 ──hold──▶ … ──▶ all of the traffic
                 └── Degraded, or given up by its user ──▶ rejected, and every request goes to who serves

A step begins when it is decided, and the status remembers since when and with how many labels. Where Gateways divide
the requests, time and labels count from when all of them do as the step says, and it does not end while they do not.
Pods that are not ready for a moment stop the steps, not the count of time and labels. Another strategy begins anew, and
so does a lost status.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.rollout import Hold, Strategy
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.api.status import RolloutStatus, Verdict
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.reached import reached_by_route
from modeldeployment_operator.core.text import count, precise


@dataclass(frozen=True)
class Stage:
    """One step of a plan.

    Attributes:
        weight: percent of the requests that the new revision answers.
        copies: whether it is sent a copy of all others.
        hold: what must have come true until the next.

    """

    weight: int
    copies: bool
    hold: Hold


def plan(spec: ModelDeploymentSpec) -> tuple[Stage, ...]:
    """Return the steps on the way to all of the traffic; none if a revision takes it when it is ready."""
    rollout = spec.rollout
    if rollout.steps:
        return tuple(Stage(step.weight, copies=False, hold=step.hold) for step in rollout.steps)
    if rollout.hold:
        return (Stage(0, copies=rollout.strategy is Strategy.SHADOW, hold=rollout.hold),)
    return ()


def known_rollout(observation: Observation, revision: str) -> RolloutStatus | None:
    """Return where a revision is on its way to the traffic, if it has begun."""
    rollout = observation.status.rollout
    return rollout if rollout is not None and rollout.revision == revision else None


def advance(
    observation: Observation, judged: Judged | None, revision: str, *, waived: bool = False
) -> RolloutStatus | None:
    """Return where a revision that is ready is by now; None if there is nothing more to wait for.

    Labels and a verdict are not waited for where they are waived.
    """
    stages = plan(observation.spec)
    if is_promoted(observation, revision) or not stages:
        return None
    labels = judged.labels if judged else 0
    known = known_rollout(observation, revision)
    if known is None or known.strategy is not observation.spec.rollout.strategy:
        return _at(observation, stages, 0, labels)
    if labels < known.labels_before:  # They are counted anew, of another metric.
        known = known.model_copy(update={"labels_before": labels})
    number = _place(known, stages)
    known = _counting(observation, _as_planned(known, stages, number), labels)
    hold = stages[number].hold
    if not hold.approval and _has_come_true(observation, known, hold, judged, waived=waived):
        return _at(observation, stages, number + 1, labels) if number + 1 < len(stages) else None
    return known


def as_planned(observation: Observation, rollout: RolloutStatus) -> RolloutStatus:
    """Return where a revision is with the share that the spec gives it there now, while it goes no further."""
    stages = plan(observation.spec)
    if not stages or rollout.strategy is not observation.spec.rollout.strategy:
        return rollout
    return _as_planned(rollout, stages, _place(rollout, stages))


def is_promoted(observation: Observation, revision: str) -> bool:
    """Return whether its user wants a revision to take the traffic at once, and has not been obeyed yet."""
    return observation.asked.promote == revision != observation.status.promoted


def waits_until(observation: Observation, rollout: RolloutStatus) -> datetime | None:
    """Return when the time is over for which a step is held; None if there is none."""
    hold = _hold(observation, rollout)
    if waits_for_route(observation, rollout):
        return None
    return _since(rollout) + timedelta(seconds=seconds(hold.duration)) if hold and hold.duration else None


def waits_for_route(observation: Observation, rollout: RolloutStatus) -> bool:
    """Return whether its Gateways do not send a revision what its step says: until then nothing else counts."""
    if observation.spec.route is None or not rollout.weight:
        return False
    return reached_by_route(observation, rollout) != rollout.weight


def needs_approval(observation: Observation, rollout: RolloutStatus, judged: Judged | None) -> bool:
    """Return whether its user's word is all that a revision waits for."""
    hold = _hold(observation, rollout)
    return hold is not None and hold.approval and _has_come_true(observation, rollout, hold, judged)


def lacks_labels(observation: Observation, rollout: RolloutStatus, judged: Judged | None) -> bool:
    """Return whether a revision waits for labels, or for a verdict on them."""
    hold = _hold(observation, rollout)
    return hold is not None and _lacks_labels(rollout, hold, judged)


def _hold(observation: Observation, rollout: RolloutStatus) -> Hold | None:
    """Return what its step waits for as the spec has it now, which may have fewer steps."""
    stages = plan(observation.spec)
    return stages[_place(rollout, stages)].hold if stages else None


def _place(rollout: RolloutStatus, stages: tuple[Stage, ...]) -> int:
    return min(rollout.step, len(stages)) - 1


def _at(observation: Observation, stages: tuple[Stage, ...], number: int, labels: int) -> RolloutStatus:
    begun = RolloutStatus(
        revision=observation.desired.name,
        strategy=observation.spec.rollout.strategy,
        step=number + 1,
        since=precise(observation.now),
        labels_before=labels,
        replicas=observation.replicas,
    )
    return _as_planned(begun, stages, number)


def _as_planned(rollout: RolloutStatus, stages: tuple[Stage, ...], number: int) -> RolloutStatus:
    """Return it with what the spec says of its step now."""
    stage = stages[number]
    moved = (rollout.step, rollout.weight) != (number + 1, stage.weight)
    told = {
        "reached_since": None if moved else rollout.reached_since,
        "step": number + 1,
        "steps": len(stages),
        "weight": stage.weight,
        "copies": stage.copies,
        "waits_for": _words(stage.hold),
    }
    return rollout.model_copy(update=told)


def _has_come_true(
    observation: Observation, rollout: RolloutStatus, hold: Hold, judged: Judged | None, *, waived: bool = False
) -> bool:
    """Return whether all but an approval has."""
    if waits_for_route(observation, rollout):
        return False
    if hold.duration is not None and observation.now < _since(rollout) + timedelta(seconds=seconds(hold.duration)):
        return False
    return waived or not _lacks_labels(rollout, hold, judged)


def _lacks_labels(rollout: RolloutStatus, hold: Hold, judged: Judged | None) -> bool:
    labels = (judged.labels if judged else 0) - rollout.labels_before
    if hold.labels is not None and labels < hold.labels:
        return True
    return hold.healthy and (judged is None or judged.verdict is not Verdict.HEALTHY)


def _counting(observation: Observation, rollout: RolloutStatus, labels: int) -> RolloutStatus:
    """Return it with when its Gateways first had its weight, if that is now."""
    weighs = observation.spec.route is not None and rollout.weight
    if not weighs or rollout.reached_since or waits_for_route(observation, rollout):
        return rollout
    return rollout.model_copy(update={"reached_since": precise(observation.now), "labels_before": labels})


def _since(rollout: RolloutStatus) -> datetime:
    return datetime.fromisoformat(rollout.reached_since or rollout.since)


def _words(hold: Hold) -> str:
    parts = []
    if hold.labels is not None:
        parts.append(count(hold.labels, "label"))
    if hold.duration is not None:
        parts.append(hold.duration)
    if hold.healthy:
        parts.append("the verdict Healthy")
    if hold.approval:
        parts.append("kubectl model promote")
    return ", ".join(parts)
