"""Weights through a Gateway against a real API server, the real kinds and a real Envoy Gateway.

The pods are stand-ins, so nobody asks them anything through Envoy: that is in `tests/e2e/test_gateway.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.aio import client, config
from model_server import contract
from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.cluster import Cluster, Failure
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.api import group
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.errors import ConflictError
from modeldeployment_operator.core.kinds import HTTP_ROUTE
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.resources.route import build_http_route
from modeldeployment_operator.core.route import read_route
from prometheus_client import CollectorRegistry

from tests.integration.conftest import ControlPlane
from tests.integration.stories import Story
from tests.support import gateway
from tests.support.gateway import EnvoyGateway
from tests.support.observations import an_observation

ROUTE: dict[str, Any] = {"route": {"parentRefs": [{"name": gateway.NAME}], "hostnames": ["news.example.org"]}}
STEPS = [{"weight": 5, "hold": {"labels": 40}}, {"weight": 50, "hold": {"approval": True}}]
CANARY: dict[str, Any] = {"rollout": {"strategy": "Canary", "steps": STEPS}, **ROUTE}
CRD = f"crd/httproutes.{gateway.GROUP}"
ALONE: contract.Rotation = {"forward_to": None, "share": 1.0, "copy": False}

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="Envoy Gateway runs in a root directory of its own")


@pytest.fixture(scope="module")
def kinds(control_plane: ControlPlane) -> None:
    """Define the kinds; they stay, as others may use them by now."""
    _define(control_plane)


def _define(plane: ControlPlane) -> None:
    text = yaml.safe_dump_all(gateway.manifests())
    plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", CRD)


@pytest.fixture
def envoy(control_plane: ControlPlane, story: Story, tmp_path: Path, kinds: None) -> Iterator[EnvoyGateway]:
    with EnvoyGateway(control_plane.kubeconfig, story.kubectl, story.namespace, tmp_path) as running:
        yield running


def rules(story: Story) -> dict[str, dict[str, Any]]:
    """Return the rules of the route by name."""
    return {one.get("name", ""): one for one in story.get("httproute", story.name)["spec"]["rules"]}


def weights(story: Story, rule: str = "predictions") -> dict[str, int]:
    """Return what a rule sends where."""
    return {one["name"]: one["weight"] for one in rules(story)[rule]["backendRefs"]}


def begun(story: Story, **spec: Any) -> tuple[str, str]:
    """Serve model 1, and have model 2 at its first step; return the names of their revisions."""
    story.apply(model=1, **CANARY | spec)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first revision of all serves at once")
    story.wait_until(lambda: story.condition("Routed").get("status") == "True", "its route is accepted", seconds=60)
    assert weights(story) == {story.name: 1}
    story.apply(model=2, **CANARY | spec)
    second = story.wait_for(lambda status: status.get("rollout", {}).get("revision"), "the rollout begins")
    return first, second


@needs_root
def test_a_canary_by_a_gateway_is_promoted(story: Story, envoy: EnvoyGateway) -> None:
    first, second = begun(story)
    rollout = story.wait_for(
        lambda status: status["rollout"].get("reached") == 5 and status["rollout"], "the Gateway has its share"
    )
    assert rollout["reachedSince"] >= rollout["since"]
    divided = {story.name: 95, f"{second}-g": 5}
    assert weights(story) == weights(story, "grpc") == divided
    assert weights(story, "labels") == weights(story, "grpc-labels") == {story.name: 1}
    assert all(pod.rotation == ALONE for pod in story.kubelet.of(first)), "the pods pass nothing on"
    assert f"5% of them to {second}" in story.condition("Routed")["message"]

    story.count(second, correct=20, wrong=1)
    story.wait_until(lambda: story.condition("Ready")["reason"] == "AwaitingApproval", "its user is waited for")
    assert weights(story) == {story.name: 50, f"{second}-g": 50}
    story.kubectl("annotate", "mdep", story.name, f"modelops.dev/promote={second}")
    story.wait_until(lambda: story.selected() == second, "it takes the traffic")
    story.wait_until(lambda: weights(story) == {story.name: 1}, "the route leads to the Service alone")
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready")
    address = f"{second}.{story.namespace}.svc:{contract.HTTP_PORT}"
    assert {pod.forward_to for pod in story.kubelet.of(first)} == {address}
    owner = story.get("httproute", story.name)["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("ModelDeployment", story.name)


@needs_root
def test_a_canary_that_is_worse_loses_its_share_and_passes_on_what_still_comes(
    story: Story, envoy: EnvoyGateway
) -> None:
    first, second = begun(story)
    story.wait_for(lambda status: status["rollout"].get("reached") == 5, "the Gateway has its share")
    story.count(second, correct=5, wrong=30)
    story.wait_for(lambda status: [one["revision"] for one in status["rejections"]] == [second], "it is taken back")
    story.wait_until(lambda: weights(story) == {story.name: 1}, "the route leads to the Service alone")
    address = f"{first}.{story.namespace}.svc:{contract.HTTP_PORT}"
    story.wait_until(
        lambda: {pod.forward_to for pod in story.kubelet.of(second)} == {address}, "its pods pass on what they get"
    )
    left = next(one for one in story.status()["revisions"] if one["name"] == second)
    assert left["phase"] == "Rejected"
    assert left["servingUntil"]
    assert story.get("service", f"{second}-g")["spec"]["type"] == "ClusterIP", "it is there until the pods go"


@needs_root
def test_a_step_waits_for_a_gateway_that_is_away_and_its_user_may_not(story: Story, envoy: EnvoyGateway) -> None:
    _, second = begun(story)
    story.wait_for(lambda status: status["rollout"].get("reached") == 5, "the Gateway has its share")
    envoy.stop()
    story.count(second, correct=20, wrong=1)
    waiting = story.wait_for(lambda status: status["rollout"]["step"] == 2 and status["rollout"], "the next step")
    assert waiting["weight"] == 50
    story.wait_until(lambda: "reached" not in story.status()["rollout"], "nobody says that it has its share")
    assert "reachedSince" not in story.status()["rollout"]
    assert story.condition("Routed")["reason"] == "RouteNotSeen"
    assert "waits for Gateways" in story.condition("Ready")["message"]
    envoy.start()
    story.wait_for(lambda status: status["rollout"].get("reached") == 50, "it is back", seconds=60)
    assert story.condition("Ready")["reason"] == "AwaitingApproval"


@needs_root
def test_what_others_add_is_left_alone_through_a_rollout(story: Story, envoy: EnvoyGateway) -> None:
    """As with `kubectl edit`, and again by a tool that applies its own part, however often."""
    story.apply(model=1, **CANARY)
    story.wait_until(lambda: story.condition("Routed").get("status") == "True", "the route is accepted", seconds=60)
    filters = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "x-by", "value": "us"}]}}]
    others = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/legacy"}}],
        "backendRefs": [{"name": story.name, "port": 8501, "weight": 400}, {"name": "old", "port": 80, "weight": 100}],
    }
    old = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "old"}, "spec": {"ports": [{"port": 80}]}}
    story.kubectl("apply", "-f", "-", stdin=json.dumps(old))
    changes = [
        {"op": "add", "path": "/spec/rules/1/filters", "value": filters},
        {"op": "add", "path": "/spec/rules/1/timeouts", "value": {"request": "7s"}},
        {"op": "add", "path": "/spec/rules/-", "value": others},
    ]
    story.kubectl("patch", "httproute", story.name, "--type=json", "-p", json.dumps(changes))
    story.kubectl("label", "httproute", story.name, "team=ours")
    story.apply(model=2, **CANARY)
    second = story.wait_for(lambda status: status.get("rollout", {}).get("revision"), "the rollout begins")
    story.wait_for(lambda status: status["rollout"].get("reached") == 5, "the Gateway has its share")
    assert weights(story, "") == {story.name: 380, f"{second}-g": 20, "old": 100}
    assert (rules(story)["predictions"]["filters"], rules(story)["predictions"]["timeouts"]) == (
        filters,
        {"request": "7s"},
    )
    during = [{"op": "replace", "path": "/spec/rules/1/timeouts", "value": {"request": "9s"}}]
    story.kubectl("patch", "httproute", story.name, "--type=json", "-p", json.dumps(during))
    story.kubectl("annotate", "mdep", story.name, f"modelops.dev/abort={second}")
    story.wait_until(lambda: weights(story) == {story.name: 1}, "the route is as it was")
    assert weights(story, "") == {story.name: 400, "old": 100}
    assert rules(story)["predictions"]["timeouts"] == {"request": "9s"}
    assert story.get("httproute", story.name)["metadata"]["labels"]["team"] == "ours"


@pytest.mark.usefixtures("kinds")
def test_a_gateway_that_is_not_there_is_told_and_stalls_nothing_that_serves(story: Story) -> None:
    story.apply(model=1, **ROUTE)
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready all the same")
    story.wait_until(lambda: story.condition("Routed").get("reason") == "RouteNotSeen", "it is told")
    message = story.condition("Routed")["message"]
    assert f"Gateway {story.namespace}/public has not looked at it" in message

    before = story.get("httproute", story.name)["metadata"]["resourceVersion"]
    story.operator.kill()
    story.operator.start()
    story.apply(model=1, monitoring={"serviceMonitor": {"enabled": False}}, **ROUTE)
    story.wait_for(lambda status: status["observedGeneration"] == 2, "it is looked at anew")
    assert story.get("httproute", story.name)["metadata"]["resourceVersion"] == before, "nothing is written again"

    story.kubectl("delete", "httproute", story.name)
    story.wait_until(lambda: _there(story, "httproute"), "it is made again")
    assert _there(story, "service", f"{story.status()['servingRevision']}-g")
    story.apply(model=1)
    story.wait_until(lambda: not _there(story, "httproute"), "it goes when it is asked for no more")
    own = f"{story.status()['servingRevision']}-g"
    story.wait_until(lambda: not _there(story, "service", own), "and the Service of the revision for Gateways")
    assert _there(story, "service", own.removesuffix("-g"))
    story.wait_until(lambda: not story.condition("Routed"), "nothing is told of it")


@pytest.mark.usefixtures("kinds")
def test_a_route_of_somebody_else_is_left_alone(story: Story) -> None:
    theirs = {
        "apiVersion": f"{gateway.GROUP}/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": story.name},
        "spec": {"parentRefs": [{"name": "theirs"}]},
    }
    story.kubectl("apply", "-f", "-", stdin=json.dumps(theirs))
    before = story.get("httproute", story.name)["metadata"]["resourceVersion"]
    story.apply(model=1, **ROUTE)
    story.wait_until(lambda: story.condition("Routed").get("reason") == "ApplyRefused", "it is told")
    assert f"HTTPRoute {story.namespace}/news exists and does not belong" in story.condition("Routed")["message"]
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready all the same")
    assert story.get("httproute", story.name)["metadata"]["resourceVersion"] == before


def test_without_the_kind_no_share_is_given_in_another_way(story: Story, control_plane: ControlPlane) -> None:
    control_plane.kubectl("delete", "--ignore-not-found", CRD)
    story.apply(model=1, **CANARY)
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first revision serves")
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready")
    assert story.condition("Routed")["reason"] == "NoHTTPRouteKind"
    assert "remove spec.route to have the pods" in story.condition("Routed")["message"]
    story.apply(model=2, **CANARY)
    story.wait_until(lambda: story.condition("Stalled").get("reason") == "NoHTTPRouteKind", "the rollout is stalled")
    assert all(pod.rotation == ALONE for pod in story.kubelet.of(first))
    _define(control_plane)
    story.wait_until(lambda: _there(story, "httproute"), "it is made when the kind comes")


@pytest.mark.usefixtures("kinds")
async def test_what_others_write_meanwhile_is_not_lost(control_plane: ControlPlane, namespace: str) -> None:
    """The operator changes what it has read. If that is not what is there any more, nothing is written."""
    kubectl = control_plane.in_namespace(namespace)
    spec = {"model": {"uri": "http://store/m.keras"}, **ROUTE}
    owner = {"apiVersion": group.API_VERSION, "kind": group.KIND, "metadata": {"name": "m"}, "spec": spec}
    uid = kubectl("create", "-f", "-", "-o", "jsonpath={.metadata.uid}", stdin=json.dumps(owner))
    configuration = client.Configuration()
    await config.load_kube_config(str(control_plane.kubeconfig), client_configuration=configuration)
    api = Api(client.ApiClient(configuration), Telemetry(CollectorRegistry()))
    builder = an_observation(**ROUTE).having(key=Key(namespace, "m"), uid=uid, knows=frozenset({HTTP_ROUTE}))
    wanted = builder.obj().spec.route
    assert wanted
    try:
        cluster = Cluster(api, Cache(), lambda: 1000.0)

        async def write(hosts: list[str]) -> list[Failure]:
            route = wanted.model_copy(update={"hostnames": hosts})
            seen = builder.having(route=read).obj()
            return await cluster.apply(seen, [build_http_route(seen, Decision("m-1"), route)])

        read = None
        assert await write(["a.example"]) == []
        read = read_route(await api.get(HTTP_ROUTE, namespace, "m"))
        kubectl("patch", "httproute", "m", "--type=json", "-p", json.dumps([TIMEOUT]))
        (failure,) = await write(["b.example"])
        assert isinstance(failure.error, ConflictError)
        assert not failure.refused
        read = read_route(await api.get(HTTP_ROUTE, namespace, "m"))
        assert await write(["b.example"]) == [], "it is tried again at once"
        there = await api.get(HTTP_ROUTE, namespace, "m")
        assert there["spec"]["hostnames"] == ["b.example"]
        assert there["spec"]["rules"][1]["timeouts"] == {"request": "7s"}
    finally:
        await api.close()


TIMEOUT = {"op": "add", "path": "/spec/rules/1/timeouts", "value": {"request": "7s"}}


def _there(story: Story, kind: str, name: str | None = None) -> bool:
    return bool(story.kubectl("get", kind, name or story.name, "--ignore-not-found", "-o", "name"))
