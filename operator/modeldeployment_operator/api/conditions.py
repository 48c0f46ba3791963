"""The conditions of a ModelDeployment, and why each can be as it is.

They follow kstatus, so that kubectl wait, Flux and Argo CD understand them: `Ready` is the summary, `Reconciling` and
`Stalled` stand only while they are true. A reason is also the reason of the Event that tells of it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import Field

from modeldeployment_operator.api.base import ApiModel

MESSAGE_LENGTH: Final = 4096


class ConditionType(StrEnum):
    """What is told of."""

    READY = "Ready"
    """The revision that the spec asks for serves with all its replicas."""
    RECONCILING = "Reconciling"
    """The operator is on its way to what the spec asks for."""
    STALLED = "Stalled"
    """It does not get there by waiting; the message says what to do."""
    AVAILABLE = "Available"
    """Some revision answers requests."""
    ACCURACY_HEALTHY = "AccuracyHealthy"
    """What the labels say of the revision that serves."""
    MONITORED = "Monitored"
    """Prometheus has been told to scrape the pods, and when to tell of them."""
    AUTOSCALED = "Autoscaled"
    """The number of pods follows the load."""
    ROUTED = "Routed"
    """The Gateways that the spec names send requests as they were told."""
    ROLLED_BACK = "RolledBack"
    """The revision that the spec asks for was taken back."""
    NEEDS_ATTENTION = "NeedsAttention"
    """Something that `spec.policies` speaks of, or a word of its user that cannot be obeyed; only while it is so."""


class ConditionStatus(StrEnum):
    """As Kubernetes writes them."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """Why a condition is as it is."""

    # Ready, Reconciling, Available
    SERVING = "Serving"
    STARTING = "Starting"
    SCALING = "Scaling"
    SWITCHING = "Switching"
    SCALED_TO_ZERO = "ScaledToZero"
    NO_READY_PODS = "NoReadyPods"
    PAUSED = "Paused"
    ROLLING_OUT = "RollingOut"
    AWAITING_APPROVAL = "AwaitingApproval"
    PROGRESS_DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    # Stalled: a pod could not start (the first five are what a pod says of itself)
    FETCH_FAILED = "FetchFailed"
    DIGEST_MISMATCH = "DigestMismatch"
    NOT_A_MODEL = "NotAModel"
    LOAD_FAILED = "LoadFailed"
    BAD_SETTINGS = "BadSettings"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    CRASH_LOOP = "CrashLoop"
    UNSCHEDULABLE = "Unschedulable"
    POD_REFUSED = "PodRefused"
    # Stalled: the object itself
    INVALID_SPEC = "InvalidSpec"
    APPLY_REFUSED = "ApplyRefused"
    # AccuracyHealthy, RolledBack
    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    INCONCLUSIVE = "Inconclusive"
    NO_BASELINE = "NoBaseline"
    SAMPLES_UNAVAILABLE = "SamplesUnavailable"
    NOT_JUDGED = "NotJudged"
    DRIFT = "Drift"
    SOURCE_DOWN = "SourceDown"
    INVALID_DATA = "InvalidData"
    NO_TRAFFIC = "NoTraffic"
    NO_LABELS = "NoLabels"
    ABORTED = "Aborted"
    ROLLED_BACK = "RolledBack"
    ROLLBACK_DISABLED = "RollbackDisabled"
    NO_ROLLBACK_TARGET = "NoRollbackTarget"
    # Monitored
    SERVICE_MONITOR_APPLIED = "ServiceMonitorApplied"
    NO_SERVICE_MONITOR_KIND = "NoServiceMonitorKind"
    NO_PROMETHEUS_RULE_KIND = "NoPrometheusRuleKind"
    APPLY_FAILED = "ApplyFailed"
    SWITCHED_OFF = "SwitchedOff"
    # Autoscaled
    METRICS_READ = "MetricsRead"
    NOT_SCALING = "NotScaling"
    # Routed
    ROUTE_ACCEPTED = "RouteAccepted"
    ROUTE_NOT_SEEN = "RouteNotSeen"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    NO_HTTP_ROUTE_KIND = "NoHTTPRouteKind"
    WEIGHT_NOT_EXACT = "WeightNotExact"
    # Events without a condition of their own
    CANDIDATE_STARTED = "CandidateStarted"
    PROMOTED = "Promoted"
    STEP_STARTED = "StepStarted"


START_FAILURES: Final = (
    Reason.FETCH_FAILED,
    Reason.DIGEST_MISMATCH,
    Reason.NOT_A_MODEL,
    Reason.LOAD_FAILED,
    Reason.BAD_SETTINGS,
    Reason.IMAGE_PULL_FAILED,
    Reason.CRASH_LOOP,
    Reason.UNSCHEDULABLE,
    Reason.POD_REFUSED,
)
"""Why a revision cannot start."""


class Condition(ApiModel):
    """One `metav1.Condition`."""

    type: ConditionType = Field(description="What is told of.")
    status: ConditionStatus = Field(description="Whether it is so.")
    reason: Reason = Field(description="Why, in one word.")
    message: str = Field(max_length=MESSAGE_LENGTH, description="Why, in a sentence, and what to do.")
    last_transition_time: str = Field(
        description="When status last changed.", json_schema_extra={"format": "date-time"}
    )
    observed_generation: int = Field(ge=0, description="Generation of the spec that this was seen with.")
