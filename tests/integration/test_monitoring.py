"""What the operator tells a Prometheus Operator, with the real kinds: made, changed, taken away, refused."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import client, config
from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.cluster import Cluster
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.api import group
from modeldeployment_operator.cli.errors import Exit
from modeldeployment_operator.core.kinds import PROMETHEUS_RULE
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.resources.monitoring import build_prometheus_rule
from prometheus_client import CollectorRegistry

from tests.integration.command_line import CommandLine, install
from tests.integration.conftest import ControlPlane
from tests.integration.stories import Story
from tests.support import monitoring_crds
from tests.support.observations import an_observation

KINDS = ("servicemonitors", "prometheusrules")
CRDS = tuple(f"crd/{plural}.monitoring.coreos.com" for plural in KINDS)


@pytest.fixture
def no_kinds(control_plane: ControlPlane) -> None:
    """Take away what a run that was cut short has left."""
    control_plane.kubectl("delete", "--ignore-not-found", *CRDS)


@pytest.fixture(scope="module")
def kinds(control_plane: ControlPlane) -> Iterator[None]:
    """Define both kinds, for all tests that come now."""
    _define(control_plane)
    yield
    control_plane.kubectl("delete", *CRDS)


def _define(control_plane: ControlPlane) -> None:
    """Define both kinds as the Prometheus Operator does."""
    for definition in monitoring_crds.manifests(*KINDS):
        control_plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(definition))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *CRDS)


@pytest.mark.usefixtures("no_kinds")
def test_missing_kinds_are_told_and_stop_nothing_and_are_used_when_they_come(
    story: Story, control_plane: ControlPlane
) -> None:
    story.apply(model=1, replicas=1)
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready")

    monitored = story.condition("Monitored")
    assert (monitored["status"], monitored["reason"]) == ("False", "NoServiceMonitorKind")
    assert "no kind PrometheusRule" in monitored["message"]
    assert "install the Prometheus Operator" in monitored["message"]

    _define(control_plane)
    _wait_monitored(story, "True", "ServiceMonitorApplied")
    owners = {story.get(kind, story.name)["metadata"]["ownerReferences"][0]["name"] for kind in KINDS}
    assert owners == {story.name}

    control_plane.kubectl("delete", *CRDS)
    _wait_monitored(story, "False", "NoServiceMonitorKind")
    assert story.condition("Ready")["status"] == "True"
    _define(control_plane)
    _wait_monitored(story, "True", "ServiceMonitorApplied")
    assert all(_there(story, kind) for kind in KINDS), "they went with their kinds, and came back"
    control_plane.kubectl("delete", *CRDS)


@pytest.mark.usefixtures("kinds")
def test_both_objects_follow_the_spec(story: Story, control_plane: ControlPlane, tmp_path: Path) -> None:
    users = [{"action": "labeldrop", "regex": "endpoint"}]
    monitor = {"labels": {"release": "mine"}, "interval": "15s", "scrapeTimeout": "5s", "relabelings": users}
    story.apply(
        model=1, replicas=1, monitoring={"serviceMonitor": monitor, "prometheusRule": {"maximumLatency": "250ms"}}
    )
    _wait_monitored(story, "True", "ServiceMonitorApplied")

    made = story.get("servicemonitor", story.name)
    (endpoint,) = made["spec"]["endpoints"]
    assert made["metadata"]["labels"]["release"] == "mine"
    assert (endpoint["interval"], endpoint["scrapeTimeout"]) == ("15s", "5s")
    assert endpoint["relabelings"][-1:] == users
    assert ">= 0.25" in _expressions(story)["ModelLatencyHigh"]
    _run_commands(story, control_plane, tmp_path)

    rule = story.get("prometheusrule", story.name)
    story.apply(model=1, replicas=1, monitoring={"prometheusRule": {"maximumLatency": "2s"}})
    story.wait_until(lambda: ">= 2.0" in _expressions(story)["ModelLatencyHigh"], "the limit is changed")
    assert story.get("prometheusrule", story.name)["metadata"]["uid"] == rule["metadata"]["uid"]
    assert "relabelings" in story.get("servicemonitor", story.name)["spec"]["endpoints"][0]
    assert users[0] not in story.get("servicemonitor", story.name)["spec"]["endpoints"][0]["relabelings"]

    story.apply(model=1, replicas=1, monitoring={"prometheusRule": {"enabled": False}})
    story.wait_until(lambda: not _there(story, "prometheusrule"), "the alerts are gone")
    assert "prometheusRule.enabled is false" in _wait_monitored(story, "True", "ServiceMonitorApplied")["message"]
    story.apply(model=1, replicas=1, monitoring={"serviceMonitor": {"enabled": False}})
    _wait_monitored(story, "False", "SwitchedOff")
    assert not _there(story, "servicemonitor")
    story.wait_until(lambda: _there(story, "prometheusrule"), "the alerts are back")


@pytest.mark.usefixtures("kinds")
def test_relabeling_that_the_cluster_refuses_is_told_and_hinders_nothing(story: Story) -> None:
    wrong = {"relabelings": [{"action": "juggle", "targetLabel": "team"}]}
    story.apply(model=1, monitoring={"serviceMonitor": wrong})
    first = story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    monitored = _wait_monitored(story, "False", "ApplyRefused")
    assert "ServiceMonitor news" in monitored["message"]
    assert "relabelings[3].action" in monitored["message"]
    assert "PrometheusRule news holds the alerts" in monitored["message"]
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready all the same")
    assert not story.condition("Stalled")

    pod = story.kubelet.of(first)[0]
    before, began = pod.readings, time.monotonic()
    story.wait_until(lambda: pod.readings >= before + 5, "labels are read as often as ever", seconds=15)
    assert time.monotonic() - began < 15
    story.apply(model=2, monitoring={"serviceMonitor": wrong})
    second = story.wait_for(lambda status: status["servingRevision"] != first and status["servingRevision"], "model 2")
    story.count(second, correct=10, wrong=50)
    story.wait_for(lambda status: status["servingRevision"] == first, "the rollback")

    story.apply(model=1)
    _wait_monitored(story, "True", "ServiceMonitorApplied")


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("kind", ["ServiceMonitor", "PrometheusRule"])
def test_object_of_somebody_else_is_left_alone(story: Story, kind: str) -> None:
    spec = {"ServiceMonitor": {"selector": {}, "endpoints": []}, "PrometheusRule": {"groups": []}}[kind]
    theirs = {"apiVersion": "monitoring.coreos.com/v1", "kind": kind, "metadata": {"name": story.name}, "spec": spec}
    story.kubectl("apply", "-f", "-", stdin=json.dumps(theirs))
    before = story.get(kind, story.name)["metadata"]["resourceVersion"]
    story.apply(model=1, replicas=1)
    monitored = _wait_monitored(story, "False", "ApplyRefused")
    assert f"{kind} {story.namespace}/news exists and does not belong" in monitored["message"]
    story.wait_until(lambda: story.condition("Ready").get("status") == "True", "Ready all the same")

    field = kind[0].lower() + kind[1:]
    story.apply(model=1, replicas=1, monitoring={field: {"enabled": False}})
    story.wait_until(lambda: f"{field}.enabled is false" in story.condition("Monitored")["message"], "switched off")
    assert story.get(kind, story.name)["metadata"]["resourceVersion"] == before


@pytest.mark.usefixtures("kinds")
def test_what_others_do_to_both_is_undone(story: Story) -> None:
    story.apply(model=1, replicas=1)
    _wait_monitored(story, "True", "ServiceMonitorApplied")
    spec = {kind: story.get(kind, story.name)["spec"] for kind in KINDS}

    story.kubectl("patch", "servicemonitor", story.name, "--type=merge", "-p", '{"spec": {"endpoints": []}}')
    story.kubectl("patch", "prometheusrule", story.name, "--type=merge", "-p", '{"spec": {"groups": []}}')
    for kind in KINDS:
        story.wait_until(
            lambda kind=kind: story.get(kind, story.name)["spec"] == spec[kind], f"{kind} are as they were"
        )

    for kind in KINDS:
        story.kubectl("delete", kind, story.name)
        story.wait_until(lambda kind=kind: _there(story, kind), f"{kind} are there again")

    story.operator.kill()
    story.apply(
        model=1, replicas=1, monitoring={kind: {"enabled": False} for kind in ("serviceMonitor", "prometheusRule")}
    )
    story.operator.start()
    story.wait_until(lambda: not any(_there(story, kind) for kind in KINDS), "what was switched off meanwhile goes")


@pytest.mark.usefixtures("kinds")
async def test_what_was_refused_is_tried_again_after_a_minute_and_what_is_so_is_left_alone(
    control_plane: ControlPlane, namespace: str
) -> None:
    kubectl = control_plane.in_namespace(namespace)
    spec = {"model": {"uri": "http://store/m.keras"}}
    owner = {"apiVersion": group.API_VERSION, "kind": group.KIND, "metadata": {"name": "m"}, "spec": spec}
    uid = kubectl("create", "-f", "-", "-o", "jsonpath={.metadata.uid}", stdin=json.dumps(owner))
    kubectl("create", "-f", "-", stdin=json.dumps(_empty_rule("m")))
    now = 1000.0
    configuration = client.Configuration()
    await config.load_kube_config(str(control_plane.kubeconfig), client_configuration=configuration)
    api = Api(client.ApiClient(configuration), Telemetry(CollectorRegistry()))
    try:
        cluster = Cluster(api, Cache(), lambda: now)
        seen = an_observation().having(key=Key(namespace, "m"), uid=uid, knows=frozenset({PROMETHEUS_RULE})).obj()
        rule = build_prometheus_rule(seen)
        (refusal,) = await cluster.apply(seen, [rule])
        assert refusal.refused

        kubectl("delete", "prometheusrule", "m")
        now += 59
        assert await cluster.apply(seen, [rule]) == [refusal], "it is not asked again so soon"
        now += 2
        assert await cluster.apply(seen, [rule]) == []

        version = ("get", "prometheusrule", "m", "-o", "jsonpath={.metadata.resourceVersion}")
        before, now = kubectl(*version), now + 3600
        assert await cluster.apply(seen, [rule]) == []
        assert kubectl(*version) == before

        assert await cluster.prune(seen, [], set()) == []
        assert not kubectl("get", "prometheusrule", "-o", "name")
    finally:
        await api.close()


def _empty_rule(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": name},
        "spec": {"groups": []},
    }


def _wait_monitored(story: Story, status: str, reason: str, *, seconds: float = 30) -> dict[str, Any]:
    def so() -> bool:
        found = story.condition("Monitored")
        generation = story.resource()["metadata"]["generation"]
        return (found.get("status"), found.get("reason")) == (status, reason) and found[
            "observedGeneration"
        ] == generation

    story.wait_until(so, f"Monitored is {status}: {reason}", seconds=seconds)
    return story.condition("Monitored")


def _there(story: Story, kind: str) -> bool:
    return bool(story.kubectl("get", kind, story.name, "--ignore-not-found", "-o", "name"))


def _expressions(story: Story) -> dict[str, str]:
    (rules,) = story.get("prometheusrule", story.name)["spec"]["groups"]
    return {rule["alert"]: rule["expr"] for rule in rules["rules"]}


_DECIDE = tuple(f"kubectl model {verb}" for verb in ("promote", "abort", "resume"))
"""They are refused where nothing waits for anybody."""


def _run_commands(story: Story, control_plane: ControlPlane, directory: Path) -> None:
    """Run what the runbooks say, as somebody who has been woken up: all that needs neither real pods nor Prometheus."""
    (rules,) = story.get("prometheusrule", story.name)["spec"]["groups"]
    runbooks = [rule["annotations"]["runbook"] for rule in rules["rules"]]
    commands = {command for text in runbooks for command in re.findall(r"`(kubectl [^`]*)`", text)}
    environment = CommandLine(control_plane, install(directory), story.namespace).environment
    here = [one for one in commands if not one.startswith(("kubectl logs", "kubectl get prometheus -A"))]
    assert len(here) >= 5
    for command in here:
        done = subprocess.run(
            command, shell=True, env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        nothing_waits = command.startswith(_DECIDE) and done.returncode == Exit.REFUSED
        assert done.returncode == 0 or nothing_waits, f"{command}\n{done.stderr}"
        assert "No resources found" not in done.stderr, command
