"""How many pods each revision gets, and who says so.

With autoscaling the number belongs to a HorizontalPodAutoscaler, for the revision that serves; the others are kept as
large, to take the traffic at any time. What the operator applies it owns, and a field that its only owner leaves out
falls back to its default, 1 pod. So the number is handed over in this order:

    the operator applies what there is ──▶ the autoscaler sets another, and owns it ──▶ the operator leaves it out

And taken back in this one:

    the operator removes the autoscaler ──▶ it is gone ──▶ the operator applies what the spec says
"""

from __future__ import annotations

from dataclasses import dataclass, field

from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.observation import Observation, Workload


@dataclass(frozen=True)
class Size:
    """What is applied of a Deployment's number of pods."""

    replicas: int | None
    """None to leave it as it is."""
    seen: dict[str, str] = field(default_factory=dict)
    """Metadata that the Deployment has to have for that: otherwise it is another one by now, and looked at anew."""


def size_of(observation: Observation, decision: Decision, revision: str) -> Size:
    """Return how many pods to apply for a revision."""
    scaling, workload = observation.spec.autoscaling, observation.workloads.get(revision)
    if workload is None:
        return Size(observation.replicas)
    if scaling and revision == decision.serving:
        # An autoscaler leaves a Deployment alone that has no pods: not every number is its own to mend.
        is_handed_over = workload.shared_size and workload.replicas >= observation.replicas
        least = max(scaling.clamp(workload.replicas), observation.replicas)
        return _left(workload) if is_handed_over else _held(workload, least)
    if not scaling and observation.autoscaler and observation.autoscaler.revision == revision:
        return _left(workload) if workload.shared_size else _held(workload, workload.replicas)
    return Size(observation.replicas)


def _left(workload: Workload) -> Size:
    """Leave the number out. Were the Deployment deleted by now, it would be made anew by that, and with one pod."""
    return Size(None, {"uid": workload.uid})


def _held(workload: Workload, replicas: int) -> Size:
    """Apply what there is. Were it another number by now, that would be lost."""
    return Size(replicas, {"resourceVersion": workload.version})
