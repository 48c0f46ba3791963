"""What the API server and the scheduler make of the pods: on which nodes, and as whom."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.names import MANAGER
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.resources import desired
from modeldeployment_operator.core.resources.secret import Keys

from tests.integration.conftest import ControlPlane
from tests.support.observations import an_observation

KEYS = Keys("f" * 64, "a" * 64)
SPOT = {"key": "modelops.dev/test", "value": "spread", "effect": "NoSchedule"}
"""Keeps the pods of other tests away."""


def deployment(namespace: str, **spec: Any) -> dict[str, Any]:
    """The Deployment of a revision, without the owner that would have to be there."""
    observation = an_observation(**spec).knows("m-1").having(key=Key(namespace, "m")).obj()
    (made,) = [one for one in desired(observation, Decision("m-1"), KEYS) if one["kind"] == "Deployment"]
    return made | {"metadata": {name: value for name, value in made["metadata"].items() if name != "ownerReferences"}}


def apply(plane: ControlPlane, manifest: dict[str, Any]) -> dict[str, Any]:
    options = ["--server-side", f"--field-manager={MANAGER}", "--force-conflicts", "-o=json"]
    applied: dict[str, Any] = json.loads(plane.kubectl("apply", *options, "-f", "-", stdin=json.dumps(manifest)))
    return applied


@dataclass
class Nodes:
    """Nodes that pods are bound to and that nothing runs on."""

    plane: ControlPlane
    namespace: str
    names: list[str]

    def add(self, name: str, *, zone: str | None, cpu: int) -> None:
        labels = {"modelops.dev/test": self.namespace, "kubernetes.io/hostname": name}
        labels |= {"topology.kubernetes.io/zone": zone} if zone else {}
        name = f"{self.namespace}-{name}"
        self.names.append(name)
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
        self.plane.kubectl("create", "-f", "-", stdin=json.dumps(node | {"spec": {"taints": [SPOT]}}))
        room = {"cpu": str(cpu), "memory": f"{cpu}Gi", "pods": "50"}
        status = {"capacity": room, "allocatable": room, "conditions": [{"type": "Ready", "status": "True"}]}
        patch = ["--subresource=status", "--type=merge", "-p", json.dumps({"status": status})]
        self.plane.kubectl("patch", "node", name, *patch)
        self._probe(name, labels)

    def _probe(self, node: str, labels: dict[str, str]) -> None:
        """Have a pod go there: the scheduler learns of a node in its own time."""
        spec = {
            "nodeSelector": labels,
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "probe", "image": "none"}],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"probe-{node}"}, "spec": spec}
        kubectl = self.plane.in_namespace(self.namespace)
        kubectl("create", "-f", "-", stdin=json.dumps(pod))
        kubectl("wait", "--for=condition=PodScheduled", f"pod/probe-{node}", "--timeout=60s")

    def of_pods(self) -> list[str]:
        """Return the node of each pod of the revision that has one."""
        revision = "--selector=modelops.dev/revision=m-1"
        text = self.plane.in_namespace(self.namespace)("get", "pods", revision, "-o", "json")
        named = [pod["spec"].get("nodeName") for pod in json.loads(text)["items"]]
        return sorted(name.removeprefix(f"{self.namespace}-") for name in named if name)


@pytest.fixture
def nodes(control_plane: ControlPlane, namespace: str) -> Iterator[Nodes]:
    made = Nodes(control_plane, namespace, [])
    yield made
    control_plane.kubectl("delete", "nodes", "--wait=false", *made.names)


@pytest.mark.parametrize(
    ("zones", "replicas", "expected"),
    [
        pytest.param({"large": None, "small": None, "tiny": None}, 3, ["large small tiny"], id="nodes"),
        pytest.param({"large": "a", "next": "a", "tiny": "b"}, 2, ["large tiny", "next tiny"], id="zones, too"),
        pytest.param({"large": "a", "tiny": "b"}, 4, ["large large tiny tiny"], id="evenly"),
        pytest.param({"large": "a"}, 2, ["large large"], id="together where there is no other node"),
    ],
)
def test_pods_of_a_revision_are_spread(
    control_plane: ControlPlane,
    nodes: Nodes,
    eventually: Callable[[Callable[[], bool]], None],
    zones: Mapping[str, str | None],
    replicas: int,
    expected: list[str],
) -> None:
    """Left alone, the scheduler would prefer the node with the most room again and again."""
    for name, zone in zones.items():
        nodes.add(name, zone=zone, cpu={"large": 1000, "next": 900, "small": 4, "tiny": 2}[name])
    serving = {"nodeSelector": {"modelops.dev/test": nodes.namespace}, "tolerations": [{"operator": "Exists"}]}

    apply(control_plane, deployment(nodes.namespace, replicas=replicas, serving=serving))

    eventually(lambda: len(nodes.of_pods()) == replicas)
    assert " ".join(nodes.of_pods()) in expected


def test_a_service_account_that_is_no_longer_named_is_none_of_the_pods_any_more(
    control_plane: ControlPlane, namespace: str
) -> None:
    for serving, expected in [({"serviceAccountName": "robot"}, "robot"), ({}, "default")]:
        pod = apply(control_plane, deployment(namespace, serving=serving))["spec"]["template"]["spec"]
        assert (pod["serviceAccountName"], pod["serviceAccount"]) == (expected, expected)
