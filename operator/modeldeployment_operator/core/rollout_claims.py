"""What is told of a revision on its way to the traffic."""

from __future__ import annotations

from modeldeployment_operator.api.conditions import ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.status import RolloutStatus, Verdict
from modeldeployment_operator.core.claims import Claim, View, with_fallback
from modeldeployment_operator.core.observation import Problem
from modeldeployment_operator.core.rollout import needs_approval
from modeldeployment_operator.core.starting import is_overdue
from modeldeployment_operator.core.text import count


def starting_up(view: View, problem: Problem | None) -> Claim:
    """Say that pods start, or why they do not.

    The first revision of all is never given up: there is nothing to serve in its place.
    """
    reason, message = Reason.STARTING, f"{view.wish} is starting"
    if problem:
        reason, message = problem.reason, problem.message
    if view.decision.serving is None and is_overdue(view.observation):
        if reason in {Reason.STARTING, Reason.UNSCHEDULABLE}:
            reason = Reason.PROGRESS_DEADLINE_EXCEEDED
        late = f"not all pods of {view.wish} were ready within {view.observation.spec.rollout.progress_deadline}"
        message = f"{late}{f': {problem.message}' if problem else ''}; nothing else could serve, so it is tried on"
    return Claim(ConditionType.READY, ConditionStatus.FALSE, reason, with_fallback(view, message))


def rolling_out(view: View, rollout: RolloutStatus) -> Claim:
    """Say how far a revision has come on its way to the traffic."""
    kind, no = ConditionType.READY, ConditionStatus.FALSE
    share = f"answers {rollout.weight}% of the requests"
    if not rollout.weight:
        share = "is sent copies of the requests" if rollout.copies else "is ready, and answers no requests yet"
    steps = f"step {rollout.step} of {rollout.steps}: " if rollout.steps > 1 else ""
    if view.decision.drift:
        message = f"{view.wish} waits: it and {view.decision.serving}, which serves, are both worse than demanded"
        return Claim(kind, no, Reason.DRIFT, message)
    if view.candidate is not None and view.candidate.verdict is Verdict.DEGRADED:
        message = (
            f"{view.wish} {share}, is proven worse, and goes no further; it is not taken back because "
            f"spec.rollback.enabled is false: kubectl model abort or promote, or apply another model"
        )
        return Claim(kind, no, Reason.DEGRADED, with_fallback(view, message))
    if not view.is_whole:
        message = f"{steps}{view.wish} {share}, and waits for its pods: {_pods(view)}"
        return Claim(kind, no, Reason.ROLLING_OUT, with_fallback(view, message))
    if needs_approval(view.observation, rollout, view.candidate):
        message = f"{steps}{view.wish} {share}, and waits for its user: kubectl model promote"
        return Claim(kind, no, Reason.AWAITING_APPROVAL, with_fallback(view, message))
    message = f"{steps}{view.wish} {share}, and waits for {rollout.waits_for}"
    return Claim(kind, no, Reason.ROLLING_OUT, with_fallback(view, message))


def _pods(view: View) -> str:
    workload = view.observation.workloads.get(view.wish)
    return f"{workload.ready if workload else 0} of {count(view.needed, 'pod')} ready"
