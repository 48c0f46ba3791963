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


def build_deployment(
    observation: Observation, snapshot: Snapshot, number: int, keys: Keys, replicas: int | None
) -> Manifest:
    """Return the Deployment of a revision; without `replicas` it keeps the number of pods that it has.

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
    if replicas is None:
        # Had it been deleted a moment ago, it would be made anew, and with one pod: with its UID that is refused.
        deployment["metadata"]["uid"] = observation.workloads[snapshot.name].uid
    return deployment | {
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
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
