"""What the contestants make: models, and plain Deployments of the same size."""

from __future__ import annotations

from typing import Any, Final

NAMESPACE: Final = "fleet"
MODELS: Final = f"/apis/modelops.dev/v1alpha1/namespaces/{NAMESPACE}/modeldeployments"
DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
CHILDREN: Final = (
    DEPLOYMENTS,
    f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets",
    f"/apis/apps/v1/namespaces/{NAMESPACE}/controllerrevisions",
    f"/api/v1/namespaces/{NAMESPACE}/services",
    f"/api/v1/namespaces/{NAMESPACE}/pods",
    f"/apis/monitoring.coreos.com/v1/namespaces/{NAMESPACE}/servicemonitors",
    f"/apis/monitoring.coreos.com/v1/namespaces/{NAMESPACE}/prometheusrules",
)
"""What has to go with the models."""


def names(count: int) -> list[str]:
    """Return names of one length, so that no name is part of another."""
    return [f"model-{number:05d}" for number in range(count)]


def model(name: str) -> dict[str, Any]:
    """Return a ModelDeployment of one replica, with everything else as it is by default."""
    return {
        "apiVersion": "modelops.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"model": {"uri": f"s3://models/{name}/1"}, "replicas": 1},
    }


def edited_model(name: str) -> dict[str, Any]:
    """Return the change that makes another revision of it."""
    return {"spec": {"model": {"uri": f"s3://models/{name}/2"}}}


def deployment(name: str) -> dict[str, Any]:
    """Return a plain Deployment of one replica."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "server", "image": "localhost/model-server:1"}]},
            },
        },
    }


def edited_deployment() -> dict[str, Any]:
    """Return the change that makes it roll out anew."""
    container = {"name": "server", "image": "localhost/model-server:2"}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def is_available(body: dict[str, Any]) -> bool:
    """Whether a Deployment of one replica runs its latest change, and nothing else."""
    status = body.get("status", {})
    counts = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")}
    seen: int = status.get("observedGeneration", 0)
    return seen >= int(body["metadata"]["generation"]) and counts == {1}


def is_ready(body: dict[str, Any]) -> bool:
    """Whether a ModelDeployment says that it is as its latest spec asks."""
    conditions = {one["type"]: one for one in body.get("status", {}).get("conditions", ())}
    ready = conditions.get("Ready", {})
    seen: int = ready.get("observedGeneration", 0)
    return ready.get("status") == "True" and seen >= int(body["metadata"]["generation"])
