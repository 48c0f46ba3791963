"""What the conditions of a ModelDeployment say: the truth, why, and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from modeldeployment_operator.api import group
from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.status import Rejection, RejectionCause, RolloutStatus, Verdict
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.detection import outlook
from modeldeployment_operator.core.judgement import Judged
from modeldeployment_operator.core.kinds import OPTIONAL, PROMETHEUS_RULE, SERVICE_MONITOR, Kind
from modeldeployment_operator.core.observation import Observation, Problem
from modeldeployment_operator.core.rejection import cause, latched_rejection
from modeldeployment_operator.core.rollout import needs_approval
from modeldeployment_operator.core.text import count, ratio, shortened, timestamp


@dataclass(frozen=True)
class Claim:
    """A condition without its times."""

    type: ConditionType
    status: ConditionStatus
    reason: Reason
    message: str


@dataclass(frozen=True)
class View:
    """What the claims are made from."""

    observation: Observation
    decision: Decision
    judged: Judged | None
    """Of the revision that serves; None if nothing is judged."""
    problem: Problem | None
    """Why the operator could not do what it decided."""
    monitoring: Mapping[Kind, Problem] | None = None
    """Why objects of optional kinds are not what they should be; None if that was not tried yet."""
    candidate: Judged | None = None
    """Of the revision that the spec asks for."""

    @property
    def wish(self) -> str:
        """The revision that the spec asks for."""
        return self.observation.desired.name

    @property
    def rejection(self) -> Rejection | None:
        """Why the revision that the spec asks for may not serve."""
        if self.decision.rejection and self.decision.rejection.revision == self.wish:
            return self.decision.rejection
        return latched_rejection(self.observation, self.wish)

    @property
    def ready(self) -> int:
        """Pods that answer of the revision that serves."""
        workload = self.observation.workloads.get(self.decision.serving or "")
        return workload.ready if workload else 0

    @property
    def needed(self) -> int:
        """Pods that must answer of the revision that the spec asks for.

        What an autoscaler adds to one that serves is no fault while it starts; but a revision that is to take the
        traffic must be as large as the one that has it.
        """
        scaling = self.observation.spec.autoscaling
        return scaling.min_replicas if scaling and self.decision.serving == self.wish else self.observation.replicas

    @property
    def is_whole(self) -> bool:
        """Whether all of these answer, as the spec wants them.

        A Deployment that is scaled is not settled for a moment: what was reached for this spec is not lost by that.
        """
        workload = self.observation.workloads.get(self.wish)
        if workload is None or workload.ready < self.needed:
            return False
        return workload.settled or (self.observation.spec.autoscaling is not None and self._was_ready)

    @property
    def _was_ready(self) -> bool:
        return any(
            (one.type, one.status, one.observed_generation)
            == (ConditionType.READY, ConditionStatus.TRUE, self.observation.generation)
            for one in self.observation.status.conditions
        )

    @property
    def start_problem(self) -> Problem | None:
        """Why the revision that the spec asks for does not come up."""
        if self.decision.serving != self.wish and self.decision.candidate != self.wish:
            return None
        if self.is_whole:
            return None
        workload = self.observation.workloads.get(self.wish)
        if workload and workload.problem:
            return workload.problem
        problems = [pod.problem for pod in self.observation.pods_of(self.wish) if pod.problem and not pod.ready]
        return problems[0] if problems else None


def conditions(view: View) -> list[Condition]:
    """Return all conditions; a time of transition is kept until a status changes."""
    claims = [_ready(view), *_progress(view), _available(view), _accuracy(view)]
    claims += [*_monitored(view), *_autoscaled(view), *_rolled_back(view)]
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
        return Claim(ConditionType.READY, no, problem.reason, _with_fallback(view, problem.message))
    if view.decision.serving != view.wish:
        if view.observation.paused:
            return Claim(ConditionType.READY, no, Reason.PAUSED, f"{view.wish} waits, because {_pause(view)}")
        if rollout := view.decision.rollout:
            return _rolling_out(view, rollout)
        return Claim(ConditionType.READY, no, Reason.STARTING, _with_fallback(view, f"{view.wish} is starting"))
    wanted = view.observation.replicas
    if not view.is_whole:
        message = f"{view.ready} of {count(view.needed, 'pod')} of {view.wish} ready"
        return Claim(ConditionType.READY, no, Reason.SCALING, message)
    if view.observation.selected != view.wish:
        return Claim(ConditionType.READY, no, Reason.SWITCHING, f"the traffic is moving to {view.wish}")
    reason = Reason.SERVING if wanted else Reason.SCALED_TO_ZERO
    return Claim(ConditionType.READY, ConditionStatus.TRUE, reason, f"{view.wish} serves with {count(wanted, 'pod')}")


def _rolling_out(view: View, rollout: RolloutStatus) -> Claim:
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
        return Claim(kind, no, Reason.DEGRADED, _with_fallback(view, message))
    if not view.is_whole:
        message = f"{steps}{view.wish} {share}, and waits for its pods: {_pods(view)}"
        return Claim(kind, no, Reason.ROLLING_OUT, _with_fallback(view, message))
    if needs_approval(view.observation, rollout, view.candidate):
        message = f"{steps}{view.wish} {share}, and waits for its user: kubectl model promote"
        return Claim(kind, no, Reason.AWAITING_APPROVAL, _with_fallback(view, message))
    message = f"{steps}{view.wish} {share}, and waits for {rollout.waits_for}"
    return Claim(kind, no, Reason.ROLLING_OUT, _with_fallback(view, message))


def _pods(view: View) -> str:
    workload = view.observation.workloads.get(view.wish)
    return f"{workload.ready if workload else 0} of {count(view.needed, 'pod')} ready"


def _pause(view: View) -> str:
    """Say why everything is held, and how to go on."""
    if view.observation.spec.paused:
        return "spec.paused is true: set spec.paused to false to go on"
    return f"the annotation {group.PAUSED_ANNOTATION} is true: remove it to go on (kubectl model resume)"


_PASSING = {Reason.STARTING, Reason.SCALING, Reason.SWITCHING, Reason.UNSCHEDULABLE, Reason.ROLLING_OUT}
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


def _degraded(view: View) -> tuple[Reason, str]:
    """Return why a degraded revision still serves, and what to do."""
    spec = view.observation.spec
    if not spec.rollback.enabled:
        return Reason.ROLLBACK_DISABLED, "it goes on serving because spec.rollback.enabled is false"
    if view.decision.drift:
        return (
            Reason.DRIFT,
            f"and {view.wish}, which was on its way to take over, falls as well: the world has changed rather than a "
            "model. Nothing is taken back: look at the data, and train on what is true now",
        )
    if view.observation.paused:
        return Reason.PAUSED, f"it goes on serving because {_pause(view)}"
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
    if found is None or not rollback.enabled or found.seconds <= seconds(rollback.probation):
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
    metric, level = judged.level.metric.value, f"{judged.level.value:g}"
    if judged.estimate is None:
        return f"no labels yet; {metric} should be at least {level}"
    low, high = judged.interval
    share = judged.log_e / judged.level.proof
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
    found = [_optional(view, kind, view.monitoring.get(kind)) for kind in OPTIONAL]
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
    reason = Reason.DEGRADED if view.rejection.reason is RejectionCause.DEGRADED else Reason.ABORTED
    return [Claim(ConditionType.ROLLED_BACK, ConditionStatus.TRUE, reason, message)]


def _refusal(view: View, rejection: Rejection) -> str:
    key = view.observation.key
    return (
        f"{rejection.revision} was taken back at {rejection.time}: {cause(rejection)}; "
        f"{view.decision.serving or 'nothing'} serves. Apply another model, or to try this one again: kubectl "
        f"annotate -n {key.namespace} mdep {key.name} {group.RETRY_ANNOTATION}=$(date +%s) --overwrite"
    )


def _with_fallback(view: View, message: str) -> str:
    serving = view.decision.serving
    return f"{message}; {serving} goes on serving" if serving and serving != view.wish else message
