"""Names and labels of everything that belongs to a ModelDeployment."""

from __future__ import annotations

from typing import Final

from modeldeployment_operator.api import group

MANAGER: Final = "modeldeployment-operator"
"""Field manager, and the value of the label that marks all children."""

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
NAME_LABEL: Final = f"{group.GROUP}/name"
REVISION_LABEL: Final = f"{group.GROUP}/revision"
ROLE_LABEL: Final = f"{group.GROUP}/role"

SELECTOR: Final = f"{MANAGED_BY_LABEL}={MANAGER}"
"""Label selector of all children."""

KEYS_ANNOTATION: Final = f"{group.GROUP}/keys"
"""On a Secret, and on the pods that have read it: a short hash of the keys in it."""
RECORD_ANNOTATION: Final = f"{group.GROUP}/record"
"""On a revision's Deployment: its number and template as JSON, so that it outlives a lost ControllerRevision."""
REJECTION_ANNOTATION: Final = f"{group.GROUP}/rejection"
"""On a ControllerRevision: the rejection as JSON, so that it outlives a lost status."""

ROLE_SERVING: Final = "serving"
"""Role of the Service that clients call."""
ROLE_REVISION: Final = "revision"
"""Role of a revision's own, headless Service."""
ROLE_GATEWAY: Final = "gateway"
"""Role of the Service by which a Gateway finds a revision."""


def common_labels(name: str) -> dict[str, str]:
    """Return the labels of every child of the ModelDeployment `name`."""
    return {MANAGED_BY_LABEL: MANAGER, COMPONENT_LABEL: "model-server", NAME_LABEL: name}


def pod_selector(name: str, revision: str) -> dict[str, str]:
    """Return the labels that select the pods of one revision."""
    return {NAME_LABEL: name, REVISION_LABEL: revision}


def keys_secret(name: str) -> str:
    """Return the name of the Secret with the keys of the ModelDeployment `name`."""
    return f"{name}-modelops-keys"


def gateway_service(revision: str) -> str:
    """Return the name of the Service by which a Gateway finds a revision."""
    return f"{revision}-g"  # Names of Services end at 63 characters.


def revision_address(revision: str, namespace: str, port: int) -> str:
    """Return HOST:PORT of a revision inside the cluster."""
    return f"{revision}.{namespace}.svc:{port}"
