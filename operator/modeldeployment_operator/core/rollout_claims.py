"""What is told of a revision on its way to the traffic."""

from __future__ import annotations

from modeldeployment_operator.api.conditions import ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.policies import Action, Situation
from modeldeployment_operator.api.status import RolloutStatus, SituationStatus
from modeldeployment_operator.core.attention import policy
from modeldeployment_operator.core.claims import Claim, View, with_fallback
from modeldeployment_operator.core.observation import Problem
from modeldeployment_operator.core.rollout import needs_approval, waits_for_route
from modeldeployment_operator.core.routed import what_a_route_lacks
from modeldeployment_operator.core.situations import what_holds
from modeldeployment_operator.core.starting import is_overdue
from modeldeployment_operator.core.text import count


def starting_up(view: View, problem: Problem | None) -> Claim:
    """Say that pods start, or why they do not.

    The first revision of all is never given up: there is nothing to serve in its place.
    """
    held = what_holds(view.decision.situations, view.wish)
    if held and view.is_whole:
        return _held(view, held, f"{view.wish} is ready")
    reason, message = Reason.STARTING, f"{view.wish} is starting"
    if problem:
        reason, message = problem.reason, problem.message
    if view.decision.serving is None and is_overdue(view.observation):
        if reason in {Reason.STARTING, Reason.UNSCHEDULABLE}:
            reason = Reason.PROGRESS_DEADLINE_EXCEEDED
        late = f"not all pods of {view.wish} were ready within {view.observation.spec.rollout.progress_deadline}"
        message = f"{late}{f': {problem.message}' if problem else ''}; nothing else could serve, so it is tried on"
    return Claim(ConditionType.READY, ConditionStatus.FALSE, reason, with_fallback(view, message))


def without_pods(view: View) -> Claim:
    """Say that a revision cannot come any further."""
    message = f"{view.wish} waits: spec.replicas is 0, and without pods nothing is tried (or kubectl model promote)"
    return Claim(ConditionType.READY, ConditionStatus.FALSE, Reason.SCALED_TO_ZERO, with_fallback(view, message))


def rolling_out(view: View, rollout: RolloutStatus) -> Claim:
    """Say how far a revision has come on its way to the traffic."""
    kind, no = ConditionType.READY, ConditionStatus.FALSE
    share = f"answers {rollout.weight}% of the requests"
    if not rollout.weight:
        share = "is sent copies of the requests" if rollout.copies else "is ready, and answers no requests yet"
    steps = f"step {rollout.step} of {rollout.steps}: " if rollout.steps > 1 else ""
    if held := what_holds(view.decision.situations, view.wish):
        return _held(view, held, f"{steps}{view.wish} {share}")
    if not view.is_whole:
        message = f"{steps}{view.wish} {share}, and waits for its pods: {_pods(view)}"
        return Claim(kind, no, Reason.ROLLING_OUT, with_fallback(view, message))
    if waits_for_route(view.observation, rollout):
        reason, lacking = what_a_route_lacks(view)
        message = (
            f"{steps}{view.wish} is to answer {rollout.weight}% of the requests, and waits for Gateways: {lacking}"
        )
        return Claim(kind, no, reason, with_fallback(view, message))
    if needs_approval(view.observation, rollout, view.candidate):
        message = f"{steps}{view.wish} {share}, and waits for its user: kubectl model promote"
        return Claim(kind, no, Reason.AWAITING_APPROVAL, with_fallback(view, message))
    message = f"{steps}{view.wish} {share}, and waits for {rollout.waits_for}"
    return Claim(kind, no, Reason.ROLLING_OUT, with_fallback(view, message))


def _held(view: View, held: SituationStatus, where: str) -> Claim:
    """Say why a revision goes no further, and until when."""
    kind, no = ConditionType.READY, ConditionStatus.FALSE
    if held.action is Action.PAUSE:
        message = f"{where}, and is paused, because {held.message} (since {held.since}): kubectl model resume"
        return Claim(kind, no, Reason.PAUSED, with_fallback(view, message))
    message = f"{where}, and goes no further while {held.message} (since {held.since})"
    if held.situation is Situation.DEGRADED:
        message = (
            f"{where}, is proven worse, and goes no further; it is not taken back because "
            f"{policy(held, held.action)}: kubectl model abort or promote, or apply another model"
        )
    return Claim(kind, no, Reason(held.situation.value), with_fallback(view, message))


def _pods(view: View) -> str:
    workload = view.observation.workloads.get(view.wish)
    return f"{workload.ready if workload else 0} of {count(view.needed, 'pod')} ready"
