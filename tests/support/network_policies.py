"""What a NetworkPolicy means, as its API documents it: who may connect to whom.

For the policies of one namespace and their peers; `endPort`, named ports and `matchExpressions` are not read.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Policy = Mapping[str, Any]


@dataclass(frozen=True)
class End:
    """One end of a connection: a pod, or, without a namespace, an address outside of the cluster."""

    namespace: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    ip: str = "203.0.113.1"


def pod(namespace: str, /, **labels: str) -> End:
    """A pod; its namespace has the label that every namespace has."""
    return End(namespace, labels, {"kubernetes.io/metadata.name": namespace}, "10.0.0.1")


def may_connect(policy: Policy, source: End, to: End, port: int, protocol: str = "TCP") -> bool:
    """Tell whether a connection is let through where this is the only policy: both ends must agree."""
    return _lets(policy, "Egress", source, to, port, protocol) and _lets(policy, "Ingress", to, source, port, protocol)


def _lets(policy: Policy, direction: str, at: End, other: End, port: int, protocol: str) -> bool:
    spec, place = policy["spec"], policy["metadata"]["namespace"]
    isolates = at.namespace == place and _selects(spec["podSelector"], at.labels) and direction in spec["policyTypes"]
    if not isolates:
        return True
    peers, rules = ("from", "ingress") if direction == "Ingress" else ("to", "egress")
    return any(
        _on_port(rule.get("ports", ()), port, protocol) and _among(rule.get(peers, ()), other, place)
        for rule in spec.get(rules, ())
    )


def _on_port(ports: Any, number: int, protocol: str) -> bool:
    """No ports are all ports, and a port without a number all of its protocol."""
    return not ports or any(
        one.get("protocol", "TCP") == protocol and one.get("port", number) == number for one in ports
    )


def _among(peers: Any, other: End, place: str) -> bool:
    """No peers are all there are."""
    return not peers or any(_is_peer(peer, other, place) for peer in peers)


def _is_peer(peer: Mapping[str, Any], other: End, place: str) -> bool:
    if "ipBlock" in peer:
        block = peer["ipBlock"]
        address = ipaddress.ip_address(other.ip)
        excepted = any(address in ipaddress.ip_network(one) for one in block.get("except", ()))
        return address in ipaddress.ip_network(block["cidr"]) and not excepted
    if other.namespace is None:
        return False
    if "namespaceSelector" in peer:
        at_home = _selects(peer["namespaceSelector"], other.namespace_labels)
    else:
        at_home = other.namespace == place
    return at_home and _selects(peer.get("podSelector", {}), other.labels)


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    unread = selector.keys() - {"matchLabels"}
    if unread:
        raise NotImplementedError(f"selectors by {sorted(unread)} are not read")
    return bool(selector.get("matchLabels", {}).items() <= labels.items())
