"""The pod of a revision: one container fetches the model, the other answers for it."""

from __future__ import annotations

from typing import Any, Final

from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.fetching import build_fetch_container, fetch_volumes
from modeldeployment_operator.core.resources.serving import build_server_container, server_volumes
from modeldeployment_operator.core.revisions import Snapshot, document_of

GRACE_SECONDS: Final = 45
"""From SIGTERM to SIGKILL: the server drains for a few seconds, then waits for what is under way."""


def build_pod(observation: Observation, snapshot: Snapshot) -> dict[str, Any]:
    """Return the spec of a pod."""
    return {
        "initContainers": [build_fetch_container(observation, snapshot)],
        "containers": [build_server_container(observation, snapshot)],
        "volumes": [
            {"name": "model", "emptyDir": {}},
            {"name": "tmp", "emptyDir": {}},
            *server_volumes(observation),
            *fetch_volumes(snapshot),
        ],
        # A model is somebody's program: it gets no identity in the cluster.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        **_scheduling(observation.spec),
    }


def _scheduling(spec: ModelDeploymentSpec) -> dict[str, Any]:
    serving = document_of(spec.serving)
    same = ("nodeSelector", "tolerations", "affinity", "priorityClassName", "imagePullSecrets", "serviceAccountName")
    return {name: serving[name] for name in same if name in serving}
