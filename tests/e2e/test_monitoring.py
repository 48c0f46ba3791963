"""Prometheus, told by the Prometheus Operator alone, sees what pods and operator do, and may be what is judged from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.cluster.monitoring import install
from tests.demo.workspace import CLASSES, MINIMUM
from tests.e2e.clients import Clients
from tests.e2e.deployments import ModelDeployment, is_so
from tests.e2e.model_pods import ModelPod, pods_of
from tests.e2e.monitored import scraped
from tests.support.metrics_page import alerts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.stage import Stage
    from tests.support.monitoring import Monitoring

# The first test to run brings the cluster up, and builds and trains what is not in the cache.
pytestmark = pytest.mark.timeout(1800)

LABELS_WITHOUT_PROMETHEUS = 100


@dataclass(frozen=True)
class Pair:
    """A ModelDeployment with two revisions at work: one stands by, one serves."""

    model: ModelDeployment
    first: str
    second: str

    @property
    def names(self) -> dict[str, str]:
        """Labels that all its targets and series have."""
        return {"namespace": self.model.namespace, "model": self.model.name}

    def select(self, **labels: str) -> str:
        """Return a selector of its series."""
        return "{" + ",".join(f'{name}="{value}"' for name, value in (self.names | labels).items()) + "}"


@pytest.fixture(scope="module")
def pair(stage: Stage, monitoring: Monitoring) -> Iterator[Pair]:
    """Two revisions that have answered and got labels, some right and some wrong."""
    with stage.namespace() as namespace:
        model = ModelDeployment(stage, namespace)
        seen = {"monitoring": scraped(), "policies": {"degraded": {"action": "Alert"}}}
        model.apply(model.document("good", **seen))
        first = model.wait_ready()
        _label(model, CLASSES[0], CLASSES[0], CLASSES[1])
        model.apply(model.document("good", serving={"env": [{"name": "ANOTHER", "value": "revision"}]}, **seen))
        model.wait(lambda status: status["servingRevision"] != first, "the second revision serves")
        second = model.wait_ready()
        _label(model, CLASSES[1], CLASSES[1], CLASSES[1], CLASSES[0])
        monitoring.wait_for_targets(2, Pair(model, first, second).names)
        yield Pair(model, first, second)


def _label(model: ModelDeployment, *labels: str) -> None:
    """Send so many predictions, and these labels for them."""
    client = model.client()
    for label in labels:
        assert client.label(client.predict().prediction_id, label).status == 200


def test_each_target_says_which_pod_model_and_revision_it_is(pair: Pair, monitoring: Monitoring) -> None:
    seen = {target.labels["pod"]: target.labels["revision"] for target in monitoring.targets(pair.names)}
    assert seen == {pod.name: pod.revision for pod in pods_of(pair.model)}
    assert set(seen.values()) == {pair.first, pair.second}


def test_prometheus_has_what_each_pod_counted(pair: Pair, monitoring: Monitoring) -> None:
    pods = pods_of(pair.model)
    counted = {pod.name: _expected(pod) for pod in pods}
    assert sum(counts["correct"] + counts["wrong"] for counts in counted.values()) == 7
    monitoring.wait(
        lambda: {pod.name: _scraped(monitoring, pair, pod) for pod in pods} == counted,
        f"Prometheus has {counted}",
        20,
        lambda: str([_scraped(monitoring, pair, pod) for pod in pods]),
    )


def _expected(pod: ModelPod) -> dict[str, float]:
    counts = pod.counts()
    negative, positive = CLASSES
    return {
        "correct": counts["correct"],
        "wrong": counts["wrong"],
        "predictions": counts["predictions"],
        f"{positive} {positive}": counts["true_positive"],
        f"{negative} {positive}": counts["false_positive"],
        f"{negative} {negative}": counts["true_negative"],
        f"{positive} {negative}": counts["false_negative"],
    }


def _scraped(monitoring: Monitoring, pair: Pair, pod: ModelPod) -> dict[str, float]:
    """What Prometheus has of a pod: labels by outcome, predictions, labels by actual and predicted class."""
    series = pair.select(pod=pod.name, revision=pod.revision)
    ask = monitoring.prometheus.query
    outcomes = {one.labels["outcome"]: one.value for one in ask(f"model_labels_total{series}")}
    cells = ask(f"model_confusion_total{series}")
    confusion = {f"{one.labels['actual']} {one.labels['predicted']}": one.value for one in cells}
    (predictions,) = ask(f"model_predictions_total{series}")
    return outcomes | confusion | {"predictions": predictions.value}


def test_the_operator_tells_of_the_same_models(pair: Pair, monitoring: Monitoring) -> None:
    """Its pod is added away: of an operator that was replaced a moment ago there are still series."""
    traffic = f"max(modeldeployment_traffic_ratio{pair.select(revision=pair.second)})"
    monitoring.wait_for_query(traffic, lambda ratio: ratio == 1)
    ready = pair.select(type="Ready", status="True", reason="Serving")
    assert monitoring.prometheus.value(f"max(modeldeployment_condition{ready})") == 1
    joined = (
        f"sum by (namespace, model, revision) (model_labels_total{pair.select()}) * on (namespace, model, revision)"
        f" max by (namespace, model, revision) (modeldeployment_ready_replicas{pair.select()})"
    )
    labels = {one.labels["revision"]: one.value for one in monitoring.prometheus.query(joined)}
    assert labels == {pair.first: 3, pair.second: 4}


def test_prometheus_evaluates_the_rules_of_model_and_operator(pair: Pair, monitoring: Monitoring) -> None:
    def are_evaluated() -> bool:
        rules = monitoring.prometheus.rules()
        names = {rule.name for rule in rules if rule.health == "ok"}
        of_model = {rule.name for rule in rules if rule.labels.get("namespace") == pair.model.namespace}
        are_there = of_model == alerts().keys() and "ModelDeploymentOperatorDown" in names
        return are_there and all(rule.health == "ok" for rule in rules)

    monitoring.wait(are_evaluated, "all rules are evaluated", 60, lambda: f"{monitoring.prometheus.rules()}")


def test_installing_the_stack_again_changes_nothing(stage: Stage, monitoring: Monitoring) -> None:
    before = _installed(stage)
    found = install(stage.cluster)
    assert (found.prometheus, found.alertmanager) == (monitoring.prometheus.url, monitoring.alertmanager.url)
    assert _installed(stage) == before


def _installed(stage: Stage) -> dict[str, tuple[str, int]]:
    """What there is of the stack, with its identity and how often it was changed."""
    kinds = "prometheuses,alertmanagers,statefulsets,deployments,services,pods"
    found = json.loads(stage.kubectl.run("get", kinds, "--namespace", "monitoring", "-o", "json"))["items"]
    everything = [one["metadata"] | {"kind": one["kind"]} for one in found]
    return {f"{one['kind']}/{one['name']}": (one["uid"], one.get("generation", 0)) for one in everything}


def test_nothing_is_scraped_or_told_once_monitoring_is_switched_off(pair: Pair, monitoring: Monitoring) -> None:
    off = {"serviceMonitor": {"enabled": False}, "prometheusRule": {"enabled": False}}
    change = json.dumps({"spec": {"monitoring": off}})
    pair.model.kubectl("patch", "mdep", pair.model.name, "--type=merge", "--patch", change)
    pair.model.wait_for_condition("Monitored", "False", "SwitchedOff")
    assert not pair.model.kubectl("get", "servicemonitors,prometheusrules", "--output=name").strip()
    monitoring.wait_for_targets(0, pair.names)
    monitoring.wait(
        lambda: pair.model.namespace not in {rule.labels.get("namespace") for rule in monitoring.prometheus.rules()},
        "its rules are gone",
        60,
        lambda: f"{monitoring.prometheus.rules()}",
    )


def test_labels_read_from_prometheus_take_a_bad_model_back(model: ModelDeployment, monitoring: Monitoring) -> None:
    """Prometheus is away while the bad model gets its labels: all is held meanwhile, and nothing of it is lost."""
    spec = {
        "accuracy": {"minimum": MINIMUM, "sampleInterval": "1s", "source": "Prometheus"},
        "monitoring": scraped(),
    }
    names = {"namespace": model.namespace, "model": model.name}
    model.apply(model.document("good", **spec))
    good = model.wait_ready()
    with Clients(model.client(), model.stage.models["good"].holdout) as clients:
        model.wait_for_condition("AccuracyHealthy", "True", "Healthy")
        monitoring.stop()
        model.wait_for_condition("AccuracyHealthy", "Unknown", "SamplesUnavailable")
        model.apply(model.document("spoilt", **spec))
        model.wait(lambda status: status["servingRevision"] != good, "the worse model has the traffic")
        bad = model.serving()
        model.wait(lambda _: clients.labels(bad) >= LABELS_WITHOUT_PROMETHEUS, "its labels come")
        assert model.serving() == bad
        assert is_so(model.status(), "AccuracyHealthy", "Unknown", "SamplesUnavailable")
        monitoring.start()
        found = model.wait(lambda status: status.get("rejections"), "the verdict")["status"]
        records = clients.end()
    assert found["servingRevision"] == good
    assert found["rejections"][0]["labels"] >= LABELS_WITHOUT_PROMETHEUS
    assert [record for record in records if record.failed] == []
    alert = monitoring.wait_for_alert("ModelRolledBack", names)
    assert alert.labels["severity"] == "warning"
    model.apply(model.document("good", **spec))
    monitoring.wait_resolved("ModelRolledBack", names)
