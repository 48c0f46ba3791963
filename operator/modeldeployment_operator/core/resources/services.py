"""The two kinds of Services: the one that clients call, and one for each revision."""

from __future__ import annotations

from modeldeployment_operator.core import names
from modeldeployment_operator.core.kinds import SERVICE
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.metadata import Manifest, build_object
from modeldeployment_operator.core.resources.ports import ADMIN, clients_ports


def build_serving_service(observation: Observation, revision: str) -> Manifest:
    """Return the Service that clients call. Its selector is the traffic: it names the revision that serves."""
    service = build_object(observation, SERVICE, observation.key.name, labels={names.ROLE_LABEL: names.ROLE_SERVING})
    selector = names.pod_selector(observation.key.name, revision)
    ports = [port.of_service for port in clients_ports(observation.spec)]
    return service | {"spec": {"type": "ClusterIP", "selector": selector, "ports": ports}}


def build_revision_service(observation: Observation, revision: str) -> Manifest:
    """Return the headless Service of one revision: how its pods find each other, and Prometheus them."""
    service = build_object(
        observation, SERVICE, revision, revision=revision, labels={names.ROLE_LABEL: names.ROLE_REVISION}
    )
    selector = names.pod_selector(observation.key.name, revision)
    ports = [port.of_service for port in (*clients_ports(observation.spec), ADMIN)]
    return service | {"spec": {"clusterIP": "None", "selector": selector, "ports": ports}}
