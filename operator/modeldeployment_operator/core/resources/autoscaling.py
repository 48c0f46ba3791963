"""The HorizontalPodAutoscaler: how many pods the revision that serves has."""

from __future__ import annotations

from typing import Any

from modeldeployment_operator.api.autoscaling import Autoscaling
from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.core.kinds import AUTOSCALER, DEPLOYMENT
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.containers import SERVER_CONTAINER, quantity
from modeldeployment_operator.core.resources.metadata import Manifest, build_object


def build_autoscaler(observation: Observation, scaling: Autoscaling, revision: str) -> Manifest:
    """Return the autoscaler, whose target is the revision that serves.

    It is one for all revisions: that it remembers how many pods were needed in the last minutes keeps a revision that
    has just taken the traffic, and no load to be measured by, as large as it is.
    """
    autoscaler = build_object(observation, AUTOSCALER, observation.key.name)
    target = {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind, "name": revision}
    return autoscaler | {
        "spec": {
            "scaleTargetRef": target,
            "minReplicas": scaling.clamp(observation.least_replicas),
            "maxReplicas": scaling.max_replicas,
            "metrics": _metrics(scaling),
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": round(seconds(scaling.scale_down_after))}},
        }
    }


def _metrics(scaling: Autoscaling) -> list[dict[str, Any]]:
    metrics: list[dict[str, Any]] = []
    if scaling.cpu is not None:
        # Of one container: what a service mesh puts beside it often requests no CPU, and of that there is no share.
        target = {"type": "Utilization", "averageUtilization": scaling.cpu}
        resource = {"name": "cpu", "container": SERVER_CONTAINER, "target": target}
        metrics.append({"type": "ContainerResource", "containerResource": resource})
    for metric in scaling.pod_metrics or ():
        target = {"type": "AverageValue", "averageValue": quantity(metric.average_value)}
        metrics.append({"type": "Pods", "pods": {"metric": {"name": metric.name}, "target": target}})
    return metrics
