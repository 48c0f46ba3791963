"""The container that answers requests."""

from __future__ import annotations

from typing import Any, Final

from model_server import contract
from model_server.contract import Env

from modeldeployment_operator.core import names
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.containers import COMMON, SERVER_CONTAINER, environment, mount
from modeldeployment_operator.core.resources.labels import label_secrets, label_settings
from modeldeployment_operator.core.revisions import Snapshot, document_of

START_SECONDS: Final = 600
"""How long a model may take to load."""


def build_server_container(observation: Observation, snapshot: Snapshot) -> dict[str, Any]:
    """Return the container that serves the model that was fetched."""
    resources = observation.spec.serving.resources
    wanted = snapshot.template.batching
    batching = {Env.BATCHING: wanted.model_dump_json(by_alias=False, exclude_none=True) if wanted else None}
    return {
        "name": SERVER_CONTAINER,
        "image": snapshot.template.image,
        "command": list(contract.SERVE_COMMAND),
        "env": [
            *environment(observation, snapshot, snapshot.template.env or (), label_settings(snapshot) | batching),
            *label_secrets(snapshot),
        ],
        "ports": [
            {"name": contract.HTTP_PORT_NAME, "containerPort": contract.HTTP_PORT, "protocol": "TCP"},
            {"name": contract.GRPC_PORT_NAME, "containerPort": contract.GRPC_PORT, "protocol": "TCP"},
            {"name": contract.ADMIN_PORT_NAME, "containerPort": contract.ADMIN_PORT, "protocol": "TCP"},
        ],
        "startupProbe": _probe(contract.LIVE_PATH, periodSeconds=2, failureThreshold=START_SECONDS // 2),
        "livenessProbe": _probe(contract.LIVE_PATH, periodSeconds=10, failureThreshold=6),
        "readinessProbe": _probe(contract.READY_PATH, periodSeconds=2, failureThreshold=3),
        "volumeMounts": [
            mount("model", contract.MODEL_DIR, read_only=True),
            mount("keys", contract.KEYS_DIR, read_only=True),
            mount("state", contract.STATE_DIR),
            mount("tmp", "/tmp"),  # noqa: S108 - a path in the container.
        ],
        **COMMON,
        **({"resources": document_of(resources)} if resources else {}),
    }


def server_volumes(observation: Observation) -> list[dict[str, Any]]:
    """Return the volumes that only the container that serves sees."""
    return [
        {"name": "state", "emptyDir": {}},
        {"name": "keys", "secret": {"secretName": names.keys_secret(observation.key.name)}},
    ]


def _probe(path: str, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": contract.ADMIN_PORT_NAME}, "timeoutSeconds": 5, **timing}
