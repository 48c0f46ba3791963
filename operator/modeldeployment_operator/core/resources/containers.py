"""What both containers of a pod have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from model_server.contract import Env

from modeldeployment_operator.api.kubernetes import EnvVar, ResourceRequirements
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.revisions import Snapshot, document_of

FETCH_CONTAINER: Final = "fetch"
SERVER_CONTAINER: Final = "server"

_DECIMAL: Final = re.compile(r"(?P<number>\d+(\.\d+)?)(?P<thousandths>m?)")
_FIELDS: Final = {"apiVersion": "v1"}
"""Written out, as the API server would: so what it has is what was applied."""

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
        *(
            {"name": name.value, "valueFrom": {"fieldRef": _FIELDS | {"fieldPath": path}}}
            for name, path in fields.items()
        ),
    ]


def requirements(resources: ResourceRequirements | None) -> dict[str, Any]:
    """Return what a container asks of its node, if its user has said."""
    if resources is None:
        return {}
    said = document_of(resources)
    return {"resources": {sort: {name: quantity(one) for name, one in some.items()} for sort, some in said.items()}}


def mount(name: str, path: str, *, read_only: bool = False) -> dict[str, Any]:
    """Return where a container sees a volume."""
    return {"name": name, "mountPath": path} | ({"readOnly": True} if read_only else {})


def quantity(value: str | float) -> str:
    """Return a quantity as the API server writes it, so that it has what was applied: 500m for 0.5, 1 for 1000m."""
    found = _DECIMAL.fullmatch(str(value))
    if not found:
        return str(value)
    thousandths = float(found["number"]) * (1 if found["thousandths"] else 1000)
    if not thousandths.is_integer():
        return str(value)
    return f"{thousandths:.0f}m" if thousandths % 1000 else f"{thousandths / 1000:.0f}"


def _literal(value: str) -> str:
    """Return a value as it is: Kubernetes would put a variable's value for $(NAME)."""
    return str(value).replace("$", "$$")
