"""The two kinds of Services: the one that clients call, and one for each revision."""

from __future__ import annotations

from model_server import contract

from modeldeployment_operator.core import names
from modeldeployment_operator.core.kinds import SERVICE
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.metadata import Manifest, build_object

_HTTP_PORT = {
    "name": contract.HTTP_PORT_NAME,
    "port": contract.HTTP_PORT,
    "targetPort": contract.HTTP_PORT_NAME,
    "protocol": "TCP",
    "appProtocol": "http",
}
_GRPC_PORT = {
    "name": contract.GRPC_PORT_NAME,
    "port": contract.GRPC_PORT,
    "targetPort": contract.GRPC_PORT_NAME,
    "protocol": "TCP",
    # HTTP/2 from the first byte: a proxy that took it for HTTP/1.1 would break every call.
    "appProtocol": "kubernetes.io/h2c",
}
_ADMIN_PORT = {
    "name": contract.ADMIN_PORT_NAME,
    "port": contract.ADMIN_PORT,
    "targetPort": contract.ADMIN_PORT_NAME,
    "protocol": "TCP",
}


def build_serving_service(observation: Observation, revision: str) -> Manifest:
    """Return the Service that clients call. Its selector is the traffic: it names the revision that serves."""
    service = build_object(observation, SERVICE, observation.key.name, labels={names.ROLE_LABEL: names.ROLE_SERVING})
    selector = names.pod_selector(observation.key.name, revision)
    return service | {"spec": {"type": "ClusterIP", "selector": selector, "ports": [_HTTP_PORT, _GRPC_PORT]}}


def build_revision_service(observation: Observation, revision: str) -> Manifest:
    """Return the headless Service of one revision: how its pods find each other, and Prometheus them."""
    service = build_object(
        observation, SERVICE, revision, revision=revision, labels={names.ROLE_LABEL: names.ROLE_REVISION}
    )
    selector = names.pod_selector(observation.key.name, revision)
    return service | {
        "spec": {"clusterIP": "None", "selector": selector, "ports": [_HTTP_PORT, _GRPC_PORT, _ADMIN_PORT]}
    }
