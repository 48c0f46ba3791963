"""What the conditions of a ModelDeployment say: the truth, why, and what to do about it."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final

from modeldeployment_operator.api import group
from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.policies import Action
from modeldeployment_operator.api.status import GaugeState, Rejection, Verdict
from modeldeployment_operator.core.attention import needs_attention
from modeldeployment_operator.core.claims import Claim, View, pause_words
from modeldeployment_operator.core.detection import outlook
from modeldeployment_operator.core.gauge import words
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.kinds import MONITORING, PROMETHEUS_RULE, SERVICE_MONITOR, Kind
from modeldeployment_operator.core.observation import Problem
from modeldeployment_operator.core.rejection import cause
from modeldeployment_operator.core.rollout_claims import rolling_out, starting_up, without_pods
from modeldeployment_operator.core.routed import routed
from modeldeployment_operator.core.text import count, ratio, shortened, timestamp


def conditions(view: View) -> list[Condition]:
    """Return all conditions; a time of transition is kept until a status changes."""
    claims = [_ready(view), *_progress(view), _available(view), _accuracy(view)]
    claims += [*needs_attention(view), *_monitored(view), *_autoscaled(view), *routed(view), *_rolled_back(view)]
    before = {condition.type: condition for condition in view.observation.status.conditions}
    return [
        Condition(
            type=claim.type,
            status=claim.status,
            reason=claim.reason,
            message=shortened(claim.message),
            last_transition_time=transition_time(before.get(claim.type), claim.status, view.observation.now),
            observed_generation=view.observation.generation,
        )
        for claim in claims
    ]


def transition_time(before: Condition | None, status: ConditionStatus, now: datetime) -> str:
    """Return when a condition got its status: it keeps its time while only reason or message change."""
    return before.last_transition_time if before and before.status is status else timestamp(now)


def _ready(view: View) -> Claim:
    """Whether the revision that the spec asks for serves with all its replicas."""
    no = ConditionStatus.FALSE
    if view.rejection:
        return Claim(ConditionType.READY, no, Reason.ROLLED_BACK, _refusal(view, view.rejection))
    if view.problem:
        return Claim(ConditionType.READY, no, view.problem.reason, view.problem.message)
    if problem := view.start_problem:
        return starting_up(view, problem)
    if view.decision.serving != view.wish:
        if view.observation.paused:
            return Claim(ConditionType.READY, no, Reason.PAUSED, f"{view.wish} waits, because {pause_words(view)}")
        if rollout := view.decision.rollout:
            return rolling_out(view, rollout)
        return starting_up(view, None) if view.observation.replicas else without_pods(view)
    wanted = view.observation.replicas
    if not view.is_whole:
        message = f"{view.ready} of {count(view.needed, 'pod')} of {view.wish} ready"
        return Claim(ConditionType.READY, no, Reason.SCALING, message)
    if view.observation.selected != view.wish:
        return Claim(ConditionType.READY, no, Reason.SWITCHING, f"the traffic is moving to {view.wish}")
    reason = Reason.SERVING if wanted else Reason.SCALED_TO_ZERO
    return Claim(ConditionType.READY, ConditionStatus.TRUE, reason, f"{view.wish} serves with {count(wanted, 'pod')}")


_PASSING = {
    Reason.STARTING,
    Reason.SCALING,
    Reason.SWITCHING,
    Reason.UNSCHEDULABLE,
    Reason.ROLLING_OUT,
    Reason.SOURCE_DOWN,
}
"""What may end by waiting; for a pod that fits no node an autoscaler may bring one."""


def _progress(view: View) -> list[Claim]:
    """Reconciling or Stalled, whichever is true. What only its user can mend is stalled."""
    ready = _ready(view)
    yes = ConditionStatus.TRUE
    if ready.status is yes:
        return []
    if ready.reason in _PASSING:
        return [Claim(ConditionType.RECONCILING, yes, ready.reason, ready.message)]
    if ready.reason in {Reason.PAUSED, Reason.AWAITING_APPROVAL}:
        return []
    return [Claim(ConditionType.STALLED, yes, ready.reason, ready.message)]


def _available(view: View) -> Claim:
    """Whether the revision that the Service selects answers: what clients see, whatever was decided a moment ago."""
    no = ConditionStatus.FALSE
    selected = view.observation.selected
    if selected is None:
        return Claim(ConditionType.AVAILABLE, no, Reason.STARTING, "no revision has had the traffic yet")
    workload = view.observation.workloads.get(selected)
    if workload and workload.ready:
        return Claim(ConditionType.AVAILABLE, ConditionStatus.TRUE, Reason.SERVING, f"{selected} answers requests")
    if view.observation.replicas == 0:
        return Claim(ConditionType.AVAILABLE, no, Reason.SCALED_TO_ZERO, "spec.replicas is 0")
    return Claim(
        ConditionType.AVAILABLE, no, Reason.NO_READY_PODS, f"{selected} has the traffic, but none of its pods is ready"
    )


def _accuracy(view: View) -> Claim:
    kind, unknown = ConditionType.ACCURACY_HEALTHY, ConditionStatus.UNKNOWN
    judged = view.judged
    if view.observation.spec.accuracy is None:
        return Claim(kind, unknown, Reason.NOT_JUDGED, "spec.accuracy is not set: labels are counted, but not judged")
    if judged is None:
        return Claim(kind, unknown, Reason.INCONCLUSIVE, "nothing to judge yet")
    if judged.verdict is Verdict.UNAVAILABLE:
        return Claim(
            kind,
            unknown,
            Reason.SAMPLES_UNAVAILABLE,
            f"the labels of {view.decision.serving} cannot be read, and it is judged no further: "
            f"{view.observation.silence or 'no answer'}",
        )
    if judged.gauge is not None:
        return _gauged(view, judged.verdict, judged.gauge)
    if judged.level is None and judged.state is not None and judged.state.level is not None:
        message = "the level or the metric was changed: another test begins when the labels are read next"
        return Claim(kind, unknown, Reason.INCONCLUSIVE, message)
    if judged.level is None:
        return Claim(
            kind,
            unknown,
            Reason.NO_BASELINE,
            "no level to judge against: spec.accuracy.maximumDrop is measured from the predecessor's labels, and it "
            "has none or too few; set spec.accuracy.minimum to judge from the first revision on",
        )
    facts = _facts(judged) + _slowness(view, judged)
    if judged.verdict is Verdict.HEALTHY:
        return Claim(kind, ConditionStatus.TRUE, Reason.HEALTHY, facts)
    if judged.verdict is Verdict.DEGRADED:
        reason, advice = _degraded(view)
        return Claim(kind, ConditionStatus.FALSE, reason, f"{facts}; {advice}")
    minimum = view.observation.spec.accuracy.minimum_labels
    lacking = f"; a verdict needs {count(minimum, 'label')}" if judged.labels < minimum else "; no proof either way"
    return Claim(kind, unknown, Reason.INCONCLUSIVE, facts + lacking)


def _gauged(view: View, verdict: Verdict, gauge: GaugeState) -> Claim:
    kind, facts = ConditionType.ACCURACY_HEALTHY, words(gauge)
    if verdict is Verdict.HEALTHY:
        return Claim(kind, ConditionStatus.TRUE, Reason.HEALTHY, facts)
    if verdict is Verdict.DEGRADED:
        reason, advice = _degraded(view)
        return Claim(kind, ConditionStatus.FALSE, reason, f"{facts}; {advice}")
    return Claim(kind, ConditionStatus.UNKNOWN, Reason.INCONCLUSIVE, f"{facts}; it has not lasted long enough")


def _degraded(view: View) -> tuple[Reason, str]:
    """Return why a degraded revision still serves, and what to do."""
    action = view.observation.spec.policies.degraded.action
    if action is not Action.ROLL_BACK:
        return Reason.ROLLBACK_DISABLED, f"it goes on serving because spec.policies.degraded.action is {action.value}"
    if view.decision.drift:
        return (
            Reason.DRIFT,
            f"and {view.wish}, which was on its way to take over, falls as well: the world has changed rather than a "
            "model. Nothing is taken back: look at the data, and train on what is true now",
        )
    if view.observation.paused:
        return Reason.PAUSED, f"it goes on serving because {pause_words(view)}"
    if view.decision.returning:
        return Reason.DEGRADED, f"{view.decision.standby} is being started to take the traffic back"
    return (
        Reason.NO_ROLLBACK_TARGET,
        "it goes on serving because there is no good revision to go back to: apply a better model, or ask whether the "
        "world has changed",
    )


def _slowness(view: View, judged: Judged) -> str:
    """Warn if labels are too few for a decline to be seen while the previous revision stands by."""
    found, rollback = outlook(view.observation, judged), view.observation.spec.rollback
    gives_way = view.observation.spec.policies.degraded.action is Action.ROLL_BACK
    if found is None or not gives_way or found.seconds <= seconds(rollback.probation):
        return ""
    if not judged.labels:
        return "; no label has come yet, and without any nothing can be proven"
    if math.isinf(found.seconds):
        return f"; a decline to {found.quality:.4g} would never be seen: choose a lower minimum, or a larger alpha"
    return (
        f"; at {found.per_hour:g} labels an hour a decline to {found.quality:.2f} would be seen in about "
        f"{found.within}, which is longer than probation ({rollback.probation}): send more labels, or make "
        "rollback.probation longer"
    )


def _facts(judged: Judged) -> str:
    """Return the numbers that a verdict rests on, in one line."""
    assert judged.level is not None  # noqa: S101 - the callers have looked.
    metric, level = judged.level.metric.value, f"{judged.limit:g}"
    if judged.estimate is None:
        return f"no labels yet; {metric} should be at least {level}"
    low, high = judged.interval
    share = judged.log_e / judged.level.proof
    if judged.subject is not None:  # It is something else that is bad.
        told = judged.subject
        low, high = told.interval(judged.level.alpha)
        return (
            f"{told.criterion.stream} {ratio(told.estimate or 0.0)} [{ratio(low)}, {ratio(high)}] from "
            f"{count(told.labels, 'label')}, should be at least {told.criterion.value:g}; evidence against it "
            f"{max(0.0, share):.0%} of proof"
        )
    return (
        f"{metric} {ratio(judged.estimate)} [{ratio(low)}, {ratio(high)}] from {count(judged.labels, 'label')}, "
        f"should be at least {level}; evidence against it {max(0.0, share):.0%} of proof"
    )


_GRAVITY: Final = (
    Reason.APPLY_REFUSED,
    Reason.APPLY_FAILED,
    Reason.NO_SERVICE_MONITOR_KIND,
    Reason.NO_PROMETHEUS_RULE_KIND,
    Reason.SWITCHED_OFF,
)
"""What keeps Prometheus from knowing of the pods, the gravest first."""
_OPTIONAL_KINDS: Final = {
    SERVICE_MONITOR: (
        "spec.monitoring.serviceMonitor",
        Reason.NO_SERVICE_MONITOR_KIND,
        "install the Prometheus Operator, or scrape the pods' port admin, path /metrics, by other means; judgement and "
        "rollback do not need it",
        "selects the pods of all revisions",
    ),
    PROMETHEUS_RULE: (
        "spec.monitoring.prometheusRule",
        Reason.NO_PROMETHEUS_RULE_KIND,
        "install the Prometheus Operator to have alerts",
        "holds the alerts",
    ),
}
"""Of each kind: its field, why it can be missing, what to do about it, and what an object of it does."""


def _monitored(view: View) -> list[Claim]:
    """Whether Prometheus knows of the pods. The message tells of each kind, the gravest first."""
    if view.monitoring is None:
        before = [one for one in view.observation.status.conditions if one.type is ConditionType.MONITORED]
        return [Claim(one.type, one.status, one.reason, one.message) for one in before]
    found = [_optional(view, kind, view.monitoring.get(kind)) for kind in MONITORING]
    wrong = [reason for reason, _ in found if reason]
    gravest = min(wrong, key=_GRAVITY.index, default=None)
    message = "; ".join(text for _, text in sorted(found, key=lambda one: one[0] is not gravest))
    if gravest is None:
        return [Claim(ConditionType.MONITORED, ConditionStatus.TRUE, Reason.SERVICE_MONITOR_APPLIED, message)]
    return [Claim(ConditionType.MONITORED, ConditionStatus.FALSE, gravest, message)]


def _optional(view: View, kind: Kind, problem: Problem | None) -> tuple[Reason | None, str]:
    """Return what is so of a kind, and the reason if pods are not monitored for it: alerts may be switched off."""
    field, missing, advice, purpose = _OPTIONAL_KINDS[kind]
    if problem:
        return problem.reason, problem.message
    if kind not in view.observation.wanted_kinds:
        return Reason.SWITCHED_OFF if kind is SERVICE_MONITOR else None, f"{field}.enabled is false"
    if kind not in view.observation.knows:
        return missing, f"the cluster has no kind {kind.kind}: {advice}"
    return None, f"{kind.kind} {view.observation.key.name} {purpose}"


def _autoscaled(view: View) -> list[Claim]:
    """Whether the number of pods follows the load. If not, it stays as it is, which nobody would notice otherwise."""
    kind, autoscaler = ConditionType.AUTOSCALED, view.observation.autoscaler
    if view.observation.spec.autoscaling is None:
        return []
    if autoscaler is None or autoscaler.active is None:
        message = "the HorizontalPodAutoscaler has not looked at the load yet"
        return [Claim(kind, ConditionStatus.UNKNOWN, Reason.STARTING, message)]
    if autoscaler.active:
        message = "the HorizontalPodAutoscaler reads the load, and sets the number of pods by it"
        return [Claim(kind, ConditionStatus.TRUE, Reason.METRICS_READ, message)]
    message = (
        "the number of pods stays as it is, because the HorizontalPodAutoscaler cannot tell how many are needed (CPU "
        f"needs a metrics server, podMetrics an adapter that serves them): {autoscaler.problem}"
    )
    return [Claim(kind, ConditionStatus.FALSE, Reason.NOT_SCALING, message)]


def _rolled_back(view: View) -> list[Claim]:
    if view.rejection is None:
        return []
    message = _refusal(view, view.rejection)
    return [Claim(ConditionType.ROLLED_BACK, ConditionStatus.TRUE, Reason(view.rejection.reason.value), message)]


def _refusal(view: View, rejection: Rejection) -> str:
    key = view.observation.key
    return (
        f"{rejection.revision} was taken back at {rejection.time}: {cause(rejection)}; "
        f"{view.decision.serving or 'nothing'} serves. Apply another model, or to try this one again: kubectl "
        f"annotate -n {key.namespace} mdep {key.name} {group.RETRY_ANNOTATION}=$(date +%s) --overwrite"
    )
