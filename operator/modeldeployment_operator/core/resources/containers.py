"""What both containers of a pod have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from model_server.contract import Env

from modeldeployment_operator.api.kubernetes import EnvVar
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.revisions import Snapshot, document_of

FETCH_CONTAINER: Final = "fetch"
SERVER_CONTAINER: Final = "server"

COMMON: Final[Mapping[str, Any]] = {
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    },
    "terminationMessagePolicy": "FallbackToLogsOnError",
}


def environment(
    observation: Observation, snapshot: Snapshot, users: Iterable[EnvVar], more: Mapping[Env, str | None]
) -> list[dict[str, Any]]:
    """Return a container's variables: its user's, what both containers are told, and what this one alone is."""
    model = snapshot.template.model
    values = {
        Env.MODEL_NAME: model.name,
        Env.MODEL_URI: model.uri,
        Env.MODEL_DIGEST: model.digest,
        Env.MODEL_FORMAT: model.format,
        Env.MODEL_LABELS: json.dumps(model.labels, ensure_ascii=False) if model.labels else None,
        Env.REVISION: snapshot.name,
        Env.PEERS_HOST: f"{snapshot.name}.{observation.key.namespace}.svc",
        **more,
    }
    fields = {Env.POD_NAME: "metadata.name", Env.POD_UID: "metadata.uid", Env.POD_IP: "status.podIP"}
    return [
        *map(document_of, users),
        *({"name": name.value, "value": _literal(value)} for name, value in values.items() if value is not None),
        *({"name": name.value, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()),
    ]


def mount(name: str, path: str, *, read_only: bool = False) -> dict[str, Any]:
    """Return where a container sees a volume."""
    return {"name": name, "mountPath": path} | ({"readOnly": True} if read_only else {})


def _literal(value: str) -> str:
    """Return a value as it is: Kubernetes would put a variable's value for $(NAME)."""
    return str(value).replace("$", "$$")
