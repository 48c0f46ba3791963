"""Alerts on rollouts that wait for a person, and on situations that `spec.policies` speaks of."""

from __future__ import annotations

from typing import Final

from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.conditions import ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.rollout import Rollout
from modeldeployment_operator.core.alerts.subject import Alert, Severity, Subject
from modeldeployment_operator.core.text import span

_BY_MODEL: Final = "by (namespace, model)"


def waits_for_approval(subject: Subject, rollout: Rollout) -> Alert:
    """Fire while a step waits for nothing but its user, and has begun longer ago than it may take.

    A duration that it is held for besides is given to it. The time is that of the step and not from `for`, which a
    Prometheus that was away begins anew.
    """
    within = subject.monitoring.prometheus_rule.approval_within
    held = max((seconds(hold.duration) for hold in rollout.holds if hold.approval and hold.duration), default=0.0)
    besides = f" after the {span(held)} of its hold" if held else ""
    condition = subject.condition(ConditionType.READY, ConditionStatus.FALSE, [Reason.AWAITING_APPROVAL])
    began = f"max {_BY_MODEL} ({subject.told(subject.series('modeldeployment_rollout_step_start_time_seconds'))})"
    return Alert(
        "ModelAwaitingApproval",
        Severity.WARNING,
        f"time() - {began} > {seconds(within) + held:g}\nand\nmax {_BY_MODEL} ({subject.told(condition)}) == 1",
        f"A new revision of model {subject.key} waits for its user",
        f"A new revision of model {subject.key} has come to a step that waits for its user, "
        f"{{{{ $value | humanizeDuration }}}} ago; it should not take more than {within}{besides}.",
        f"Look at its verdict and numbers: {subject.model('status')}. Then {subject.model('promote')}, or "
        f"{subject.model('abort')}. Until then the former revision serves, and both cost pods.",
    )


def needs_attention(subject: Subject) -> Alert:
    """Fire while something is so that a policy speaks of, as drift: it may be that nothing is done about it."""
    condition = subject.condition(ConditionType.NEEDS_ATTENTION, ConditionStatus.TRUE)
    return Alert(
        "ModelNeedsAttention",
        Severity.WARNING,
        f"max by (namespace, model, reason) ({subject.told(condition)}) == 1",
        f"Model {subject.key} needs attention: {{{{ $labels.reason }}}}",
        f"Condition NeedsAttention of model {subject.key} is true, with the reason {{{{ $labels.reason }}}}. Drift: "
        "the revision that serves and its successor fall together. SourceDown: the labels cannot be read.",
        f"The condition says what was seen and what is done about it: {subject.describe}. What is done stands in "
        f"spec.policies; what is paused goes on with {subject.model('resume')}.",
        subject.lasting,
    )
