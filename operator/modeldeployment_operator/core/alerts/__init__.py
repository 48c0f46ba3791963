"""The alerts of a ModelDeployment: METRICS.md lists them."""

from __future__ import annotations

from modeldeployment_operator.core.alerts import quality, rollouts, serving
from modeldeployment_operator.core.alerts.subject import Alert, Subject
from modeldeployment_operator.core.observation import Observation


def alerts(observation: Observation) -> list[Alert]:
    """Return the alerts. That labels are missing is told where they are wanted: if there is `spec.accuracy`."""
    spec = observation.spec
    subject = Subject(observation.key, spec.monitoring)
    return [
        quality.degraded(subject),
        quality.rolled_back(subject),
        rollouts.waits_for_approval(subject, spec.rollout),
        rollouts.needs_attention(subject),
        *([quality.labels_missing(subject)] if spec.accuracy else []),
        quality.labels_unavailable(subject),
        quality.feedback_rejected(subject),
        serving.error_ratio_high(subject),
        serving.latency_high(subject),
        serving.saturated(subject),
        serving.load_failed(subject),
        serving.not_available(subject),
        serving.target_down(subject),
    ]
