"""The Deployment of one revision."""

from __future__ import annotations

import json

from modeldeployment_operator.core import names
from modeldeployment_operator.core.kinds import DEPLOYMENT
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.metadata import Manifest, build_object
from modeldeployment_operator.core.resources.pod import build_pod
from modeldeployment_operator.core.resources.secret import Keys
from modeldeployment_operator.core.revisions import Snapshot, document_of
from modeldeployment_operator.core.scaling import Size


def build_deployment(observation: Observation, snapshot: Snapshot, number: int, keys: Keys, size: Size) -> Manifest:
    """Return the Deployment of a revision.

    What makes the revision comes from the snapshot; how many pods there are and where they run from the spec of today,
    so that an old revision that takes the traffic back is as large as the one it replaces.
    """
    selector = names.pod_selector(observation.key.name, snapshot.name)
    record = json.dumps({"number": number, "template": document_of(snapshot.template)}, ensure_ascii=False)
    deployment = build_object(
        observation,
        DEPLOYMENT,
        snapshot.name,
        revision=snapshot.name,
        annotations={names.RECORD_ANNOTATION: record},
    )
    deployment["metadata"] |= size.seen
    return deployment | {
        "spec": {
            **({} if size.replicas is None else {"replicas": size.replicas}),
            "selector": {"matchLabels": selector},
            # A pod is taken away only when its successor answers.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": {
                "metadata": {
                    "labels": names.common_labels(observation.key.name) | selector,
                    # Pods read their keys once: with others, they are to be started again.
                    "annotations": {names.KEYS_ANNOTATION: keys.digest},
                },
                "spec": build_pod(observation, snapshot),
            },
        }
    }
