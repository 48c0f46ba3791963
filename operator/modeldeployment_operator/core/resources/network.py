"""The NetworkPolicy: who may talk with the pods, and with whom they may.

A NetworkPolicy is of a pod, not of a container. So what the init container needs to fetch the model, the container that
serves may reach as well; it has no credentials for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from modeldeployment_operator.api.network import NetworkPolicy
from modeldeployment_operator.core import names
from modeldeployment_operator.core.kinds import NETWORK_POLICY
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.metadata import Manifest, build_object
from modeldeployment_operator.core.resources.ports import ADMIN, FEEDBACK_PORT_NAME, Port, clients_ports

NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"
"""Every namespace has it, and nobody can change it."""
PROMETHEUS: Final = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}
"""As the Prometheus Operator labels its pods, and Prometheus' Helm chart."""
DNS: Final = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]


def build_network_policy(observation: Observation, policy: NetworkPolicy) -> Manifest:
    """Return the policy for the pods of all revisions. It lets connections through that would be refused without."""
    pods = {"matchLabels": {names.NAME_LABEL: observation.key.name}}
    spec: dict[str, Any] = {
        "podSelector": pods,
        "policyTypes": ["Ingress"],
        "ingress": list(_ingress(observation, policy, {"podSelector": pods})),
    }
    if policy.egress is not None:
        spec["policyTypes"].append("Egress")
        # Wherever names are asked for: the cluster's DNS may be pods, or a cache on the node.
        spec["egress"] = [{"to": [{"podSelector": pods}]}, {"ports": DNS}, *map(_written_out, policy.egress)]
    return build_object(observation, NETWORK_POLICY, observation.key.name) | {"spec": spec}


def _ingress(observation: Observation, policy: NetworkPolicy, siblings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    ports = clients_ports(observation.spec)
    feedback = [port for port in ports if port.name == FEEDBACK_PORT_NAME]
    # Pods pass requests and labels on to each other, on the ports that clients come to.
    yield _rule([port for port in ports if port not in feedback], policy.clients, siblings)
    if feedback:
        yield _rule(feedback, policy.feedback or policy.clients, siblings)
    operator = {"namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: observation.operator_namespace}}}
    yield _rule([ADMIN], policy.monitoring or [PROMETHEUS], operator)


def _written_out(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a user's rule with the protocol that the API server would add: so what it has is what was applied."""
    ports = rule.get("ports")
    if not isinstance(ports, list):
        return rule
    return rule | {"ports": [{"protocol": "TCP"} | port if isinstance(port, dict) else port for port in ports]}


def _rule(ports: list[Port], peers: list[dict[str, Any]] | None, always: dict[str, Any]) -> dict[str, Any]:
    """Return a rule that lets peers in, anybody if None."""
    allowed = {"from": [*peers, always]} if peers else {}
    return {"ports": [{"protocol": "TCP", "port": port.number} for port in ports], **allowed}
