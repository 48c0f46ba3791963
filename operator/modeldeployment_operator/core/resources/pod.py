"""The pod of a revision: one container fetches the model, the other answers for it."""

from __future__ import annotations

from typing import Any, Final

from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.core import names
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.fetching import build_fetch_container, fetch_volumes
from modeldeployment_operator.core.resources.serving import build_server_container, server_volumes
from modeldeployment_operator.core.revisions import Snapshot, document_of

FILE_GROUP: Final = 10001
_NODE_LABEL: Final = "kubernetes.io/hostname"
_ZONE_LABEL: Final = "topology.kubernetes.io/zone"
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
            *fetch_volumes(observation, snapshot),
        ],
        # A model is somebody's program: it gets no identity in the cluster.
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _security(observation.spec),
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        **_scheduling(observation.spec),
        **_spreading(observation, snapshot),
    }


def _security(spec: ModelDeploymentSpec) -> dict[str, Any]:
    context: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if spec.serving.fetch_cache:
        # A claim belongs to root when it is new. Whichever user an image runs as is a member of this group.
        context |= {"fsGroup": FILE_GROUP, "fsGroupChangePolicy": "OnRootMismatch"}
    return context


def _scheduling(spec: ModelDeploymentSpec) -> dict[str, Any]:
    serving = document_of(spec.serving)
    same = ("nodeSelector", "tolerations", "priorityClassName", "imagePullSecrets")
    # Written out: one that is left out stays, because the API server keeps it in a second field of an old name.
    account = {"serviceAccountName": spec.serving.service_account_name or "default"}
    return {name: serving[name] for name in same if name in serving} | account


def _spreading(observation: Observation, snapshot: Snapshot) -> dict[str, Any]:
    """Return how pods of a revision come to different nodes and zones, as far as there are.

    Zones are not asked for by a second constraint: the scheduler passes over nodes that lack the label of any
    constraint, so where no node has a zone it would spread nothing at all.
    """
    serving = observation.spec.serving
    if serving.topology_spread_constraints is not None:
        affinity = {} if serving.affinity is None else {"affinity": serving.affinity}
        return {"topologySpreadConstraints": serving.topology_spread_constraints, **affinity}
    selector = {"matchLabels": names.pod_selector(observation.key.name, snapshot.name)}
    nodes = {
        "maxSkew": 1,
        "topologyKey": _NODE_LABEL,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selector,
    }
    other_zones = {"weight": 100, "podAffinityTerm": {"topologyKey": _ZONE_LABEL, "labelSelector": selector}}
    return {
        "topologySpreadConstraints": [nodes],
        "affinity": {
            "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [other_zones]},
            **(serving.affinity or {}),
        },
    }
