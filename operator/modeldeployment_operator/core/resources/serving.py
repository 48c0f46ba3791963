"""The container that answers requests."""

from __future__ import annotations

from typing import Any, Final

from model_server import contract
from model_server.contract import Env

from modeldeployment_operator.api.serving import Serving
from modeldeployment_operator.core import names
from modeldeployment_operator.core.fleet import location
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.containers import (
    COMMON,
    SERVER_CONTAINER,
    environment,
    mount,
    requirements,
)
from modeldeployment_operator.core.resources.labels import label_secrets, label_settings
from modeldeployment_operator.core.resources.ports import ADMIN, clients_ports
from modeldeployment_operator.core.revisions import Snapshot

_SECRETS: Final = {"tls": "/etc/model-server/tls", "tokens": "/etc/model-server/tokens"}
"""Where volumes with Secrets are mounted."""
START_SECONDS: Final = 600
"""How long a model may take to load."""


def build_server_container(observation: Observation, snapshot: Snapshot) -> dict[str, Any]:
    """Return the container that serves the model that was fetched."""
    resources = observation.spec.serving.resources
    batching = snapshot.template.batching
    others = {
        **_access(observation.spec.serving),
        # It reads a version from it, and fetches nothing.
        Env.MODEL_URI: location(snapshot.template.model.uri),
        Env.BATCHING: batching.model_dump_json(by_alias=False, exclude_none=True) if batching else None,
    }
    return {
        "name": SERVER_CONTAINER,
        "image": snapshot.template.image,
        "command": list(contract.SERVE_COMMAND),
        "env": [
            *environment(observation, snapshot, snapshot.template.env or (), label_settings(snapshot) | others),
            *label_secrets(snapshot),
        ],
        "ports": [port.of_container for port in (*clients_ports(observation.spec), ADMIN)],
        "startupProbe": _probe(contract.LIVE_PATH, periodSeconds=2, failureThreshold=START_SECONDS // 2),
        "livenessProbe": _probe(contract.LIVE_PATH, periodSeconds=10, failureThreshold=6),
        "readinessProbe": _probe(contract.READY_PATH, periodSeconds=2, failureThreshold=3),
        "volumeMounts": [
            mount("model", contract.MODEL_DIR, read_only=True),
            mount("keys", contract.KEYS_DIR, read_only=True),
            mount("state", contract.STATE_DIR),
            mount("tmp", "/tmp"),  # noqa: S108 - a path in the container.
            *(mount(volume["name"], _SECRETS[volume["name"]], read_only=True) for volume in _secrets(observation)),
        ],
        **COMMON,
        **requirements(resources),
    }


def server_volumes(observation: Observation) -> list[dict[str, Any]]:
    """Return the volumes that only the container that serves sees."""
    return [
        {"name": "state", "emptyDir": {}},
        {"name": "keys", "secret": {"secretName": names.keys_secret(observation.key.name)}},
        *_secrets(observation),
    ]


def _access(serving: Serving) -> dict[Env, str | None]:
    """Return who may come, and where to."""
    return {
        Env.TLS_DIR: _SECRETS["tls"] if serving.tls else None,
        Env.TOKENS_FILE: f"{_SECRETS['tokens']}/{serving.tokens.key}" if serving.tokens else None,
        Env.FEEDBACK_PORT: str(serving.feedback_port) if serving.feedback_port else None,
    }


def _secrets(observation: Observation) -> list[dict[str, Any]]:
    serving = observation.spec.serving
    volumes: list[dict[str, Any]] = []
    if serving.tls:
        volumes.append({"name": "tls", "secret": {"secretName": serving.tls.secret_name}})
    if serving.tokens:
        items = [{"key": serving.tokens.key, "path": serving.tokens.key}]
        volumes.append({"name": "tokens", "secret": {"secretName": serving.tokens.name, "items": items}})
    return volumes


def _probe(path: str, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": contract.ADMIN_PORT_NAME}, "timeoutSeconds": 5, **timing}
