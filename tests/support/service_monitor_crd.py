"""The kind ServiceMonitor as the Prometheus Operator installs it, with as much of its schema as the operator writes."""

from __future__ import annotations

from typing import Any

GROUP, PLURAL = "monitoring.coreos.com", "servicemonitors"
NAME = f"{PLURAL}.{GROUP}"

_TEXT = {"type": "string"}
_LABELS = {"type": "object", "additionalProperties": _TEXT}
_ENDPOINT = {
    "type": "object",
    "properties": {
        "port": _TEXT,
        "path": _TEXT,
        "interval": {"type": "string", "pattern": r"^(0|(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$"},
        "honorLabels": {"type": "boolean"},
    },
}
_SPEC = {
    "type": "object",
    "required": ["endpoints", "selector"],
    "properties": {
        "selector": {"type": "object", "properties": {"matchLabels": _LABELS}},
        "endpoints": {"type": "array", "items": _ENDPOINT},
    },
}


def manifest() -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    schema = {"type": "object", "required": ["spec"], "properties": {"spec": _SPEC}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "ServiceMonitor", "listKind": "ServiceMonitorList", "plural": PLURAL, "singular": "servicemonitor"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {"group": GROUP, "names": names, "scope": "Namespaced", "versions": [version]},
    }
