"""How many pods each revision gets, and who says so.

With autoscaling the number belongs to a HorizontalPodAutoscaler, for the revision that serves; the others are kept as
large, to take the traffic at any time. What the operator applies it owns, and a field that its only owner leaves out
falls back to its default, 1 pod. So the number is handed over in this order:

    the operator applies what there is ──▶ the autoscaler sets another, and owns it ──▶ the operator leaves it out
"""

from __future__ import annotations

from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.observation import Observation


def pods_to_ask_for(observation: Observation, decision: Decision, revision: str) -> int | None:
    """Return the number of pods to apply for a revision; None to leave the number as it is."""
    scaling, workload = observation.spec.autoscaling, observation.workloads.get(revision)
    if scaling is None or revision != decision.serving or workload is None:
        return observation.replicas
    # A HorizontalPodAutoscaler leaves a Deployment alone that has no pods.
    is_handed_over = workload.shared_size and workload.replicas >= observation.replicas
    return None if is_handed_over else max(scaling.clamp(workload.replicas), observation.replicas)
