"""Each alert of a model reaches Alertmanager when what it tells of is so, and is resolved when it is mended.

All troubles are made at once, with four models, and last until all have been told of.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.e2e.clients import Clients
from tests.e2e.deployments import ModelDeployment
from tests.e2e.model_pods import pods_of
from tests.e2e.monitored import scraped
from tests.support.metrics_page import alerts
from tests.support.prometheus import Alert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.e2e.stage import Stage
    from tests.support.monitoring import Monitoring

# The first test to run brings the cluster up, and builds and trains what is not in the cache.
pytestmark = pytest.mark.timeout(1800)

POOR = "poor"
"""Serves the spoilt model with limits that any use is beyond, and is sent labels of predictions that nobody made. One
of its two pods is frozen; labels for that one are sent to the other."""
QUIET = "quiet"
"""Gets no label, and its spec asks for a model that is nowhere."""
FROZEN = "frozen"
"""Its only pod is frozen."""
WAITING = "waiting"
"""Has a new revision that waits for its user."""
MODELS = {
    "ModelErrorRatioHigh": POOR,
    "ModelTargetDown": POOR,
    "ModelNotAvailable": FROZEN,
    "ModelLabelsUnavailable": FROZEN,
    "ModelNeedsAttention": FROZEN,
    "ModelAccuracyDegraded": POOR,
    "ModelLatencyHigh": POOR,
    "ModelSaturated": POOR,
    "ModelFeedbackRejected": POOR,
    "ModelLoadFailed": QUIET,
    "ModelLabelsMissing": QUIET,
    "ModelAwaitingApproval": WAITING,
}
"""By alert: the model that it tells of. Those of frozen pods are asked for first: the kubelet starts a container anew
that has been silent for a minute."""
ELSEWHERE = {"ModelRolledBack"}
"""Alerts that other tests of real pods see."""
SECONDS = 120.0


@dataclass(frozen=True)
class Trouble:
    """What is wrong, and how it is mended."""

    namespace: str
    mend: Callable[[], None]


@contextmanager
def repeatedly(act: Callable[[], object], pause: float) -> Iterator[None]:
    """Do something again and again in a thread; that nobody answers is part of the trouble."""
    stopping = threading.Event()

    def work() -> None:
        while not stopping.wait(pause):
            try:
                act()
            except OSError:
                continue

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


@pytest.fixture(scope="module")
def trouble(stage: Stage, monitoring: Monitoring) -> Iterator[Trouble]:
    """Make all troubles."""
    with stage.namespace() as namespace, ExitStack() as causes:
        models = [ModelDeployment(stage, namespace, name) for name in (POOR, QUIET, FROZEN, WAITING)]
        poor, quiet, frozen, waiting = models
        strict = scraped(maximumLatency="1ms", maximumUtilization=0, maximumRejectedRatio=0, maximumErrorRatio=0)
        poor.apply(poor.document("spoilt", replicas=2, monitoring=strict))
        as_wanted = quiet.document("good", monitoring=scraped(labelsWithin="1m"))
        quiet.apply(as_wanted)
        frozen.apply(frozen.document("good", monitoring=scraped()))
        asks = {"strategy": "BlueGreen", "hold": {"approval": True}}
        as_it_serves = waiting.document("good", monitoring=scraped(approvalWithin="1m"), rollout=asks)
        waiting.apply(as_it_serves)
        for model in models:
            model.wait_ready()
        (still, awake), (alone,) = pods_of(poor), pods_of(frozen)
        monitoring.wait_for_targets(5, {"namespace": namespace})
        waiting.apply(waiting.document("spoilt", monitoring=scraped(approvalWithin="1m"), rollout=asks))

        causes.enter_context(Clients(awake.client, stage.models["spoilt"].holdout))
        causes.enter_context(repeatedly(lambda: awake.client.label("made up"), 0.5))
        causes.enter_context(repeatedly(quiet.client().predict, 0.5))
        prediction = still.client.predict().prediction_id
        for pod in (still, alone):
            pod.freeze()
            causes.callback(pod.thaw)
        causes.enter_context(repeatedly(lambda: awake.client.label(prediction), 0.5))
        missing = {**as_wanted["spec"]["model"], "uri": stage.uris["good"].replace("good", "never-uploaded")}
        quiet.apply({**as_wanted, "spec": {**as_wanted["spec"], "model": missing}})

        def mend() -> None:
            causes.close()
            poor.apply(poor.document("good", monitoring=scraped()))
            quiet.apply(as_wanted)
            waiting.apply(as_it_serves)
            quiet.wait_ready()
            client = quiet.client()
            assert client.label(client.predict().prediction_id).status == 200

        yield Trouble(namespace, mend)


@pytest.fixture(scope="module")
def mended(trouble: Trouble) -> Trouble:
    """Put everything right again, once the tests before have seen the alerts."""
    trouble.mend()
    return trouble


def test_every_alert_is_caused() -> None:
    assert MODELS.keys() | ELSEWHERE == alerts().keys()


@pytest.mark.parametrize("name", MODELS)
def test_alert_is_told(name: str, trouble: Trouble, monitoring: Monitoring) -> None:
    names = {"namespace": trouble.namespace, "model": MODELS[name]}
    alert = monitoring.wait_for_alert(name, names, seconds=SECONDS)
    assert alert.labels["severity"] == alerts()[name]
    assert f"{trouble.namespace}/{MODELS[name]}" in alert.annotations["summary"]
    assert alert.annotations.keys() == {"summary", "description", "runbook"}
    _assert_is_rendered(alert)


@pytest.mark.parametrize("name", MODELS)
def test_alert_is_resolved(name: str, mended: Trouble, monitoring: Monitoring) -> None:
    names = {"namespace": mended.namespace, "model": MODELS[name]}
    monitoring.wait_resolved(name, names, seconds=SECONDS)


def _assert_is_rendered(alert: Alert) -> None:
    """Assert that the templates had the figures that they ask for."""
    text = " ".join(alert.annotations.values())
    assert [trace for trace in ("{{", "}}", "<no value>", "<error", "NaN", "Inf ") if trace in text] == [], text
