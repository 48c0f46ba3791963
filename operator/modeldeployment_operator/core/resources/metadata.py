"""What all children have in common."""

from __future__ import annotations

from typing import Any

from modeldeployment_operator.api import group
from modeldeployment_operator.core import names
from modeldeployment_operator.core.kinds import Kind
from modeldeployment_operator.core.observation import Observation

Manifest = dict[str, Any]


def build_object(
    observation: Observation,
    kind: Kind,
    name: str,
    *,
    revision: str | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> Manifest:
    """Return an object without a body: named, labelled, and owned so that it goes when the ModelDeployment goes."""
    metadata: Manifest = {
        "name": name,
        "namespace": observation.key.namespace,
        "labels": {
            **(labels or {}),
            **names.common_labels(observation.key.name),
            **({names.REVISION_LABEL: revision} if revision else {}),
        },
        "ownerReferences": [
            {
                "apiVersion": group.API_VERSION,
                "kind": group.KIND,
                "name": observation.key.name,
                "uid": observation.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}
