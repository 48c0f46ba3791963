"""Where the demo's files lie, and the names of what it makes in a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.cluster.paths import REPOSITORY, cache

if TYPE_CHECKING:
    from pathlib import Path

CLUSTER = "demo"
NAMESPACE = "demo"
OPERATOR_NAMESPACE = "modelops-system"
OPERATOR = "modeldeployment-operator"
NAME = "news-classifier"
CLASSES = ("review", "news")
HTTP_PORT = 8501
PAGE_PORT = 8090
"""Of the operator's own page."""
MINIMUM = 0.9
SAMPLE_INTERVAL = "1s"
SCRAPE_INTERVAL = "1s"

MARK = {"modelops.dev/demo": "true"}
"""Label of every namespace that the demo made, so that it never removes another."""
MARK_SELECTOR = "modelops.dev/demo=true"

RESULT = REPOSITORY / "build" / "demo.json"


def folder() -> Path:
    """The demo's own files: the overlay and the objects that it applies."""
    return cache() / "demo"


def restricted_pod(image: str, command: list[str]) -> dict[str, Any]:
    """Return the spec of a pod that the strictest Pod Security Standard admits, with a writable /tmp."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "env": [{"name": "PYTHONPATH", "value": "/files"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
