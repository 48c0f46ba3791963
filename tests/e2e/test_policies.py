"""Policies with real pods, models and clients: what is held, what is taken back, and no request that fails."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.demo.workspace import CLASSES, MINIMUM
from tests.e2e.clients import Clients
from tests.e2e.deployments import ModelDeployment, assert_answers
from tests.e2e.monitored import scraped

if TYPE_CHECKING:
    from tests.support.monitoring import Monitoring

pytestmark = pytest.mark.timeout(1800)

OUTAGE_SECONDS: Final = float(os.environ.get("MODELOPS_OUTAGE_SECONDS", "20"))
STOP_SECONDS: Final = 60.0
"""For a Prometheus to end."""
AFTERWARDS_SECONDS: Final = 5.0
LATE_SECONDS: Final = float(os.environ.get("MODELOPS_LATE_SECONDS", "60"))
"""After a promotion, when the revision turns bad."""
BACK_SECONDS: Final = 30.0
"""For the traffic to be back once enough labels have come; a machine with much else to do takes its time."""
WRONG_LABELS: Final = 600


def canary(**hold: Any) -> dict[str, Any]:
    """Return a rollout of two steps; the second one ends with its user's word."""
    second = {"weight": 60, "hold": {"approval": True}}
    return {"strategy": "Canary", "steps": [{"weight": 20, "hold": hold}, second]}


def test_a_candidate_that_is_worse_is_held_until_its_user_decides(model: ModelDeployment) -> None:
    spec = {"rollout": canary(labels=1000), "policies": {"degraded": {"action": "Hold"}}}
    stable = _serve(model, **spec)
    with _clients(model) as clients:
        model.apply(model.document("spoilt", replicas=2, **spec))
        worse = _begun(model)
        model.wait_for_condition("Ready", "False", "Degraded")
        assert model.condition("NeedsAttention")["reason"] == "Degraded"
        assert _place(model) == (1, 20)
        model.kubectl("annotate", "mdep", model.name, f"modelops.dev/abort={worse}")
        model.wait(lambda status: not status.get("candidateRevision"), "it is given up")
        clients.end()
    _assert_none_failed(clients, model)
    assert model.serving() == stable


def test_without_traffic_nothing_goes_on_and_without_labels_it_is_taken_back(model: ModelDeployment) -> None:
    policies = {"noTraffic": {"after": "5s"}, "noLabels": {"action": "RollBack", "after": "10s"}}
    spec = {"rollout": canary(labels=10, duration="10s"), "policies": policies}
    stable = _serve(model, **spec)
    model.apply(_another(model, **spec))
    candidate = _begun(model)
    model.wait_for_condition("NeedsAttention", "True", "NoTraffic")
    assert _place(model) == (1, 20)
    deadline = time.monotonic() + 120
    while not model.status().get("rejections"):
        assert time.monotonic() < deadline, model.explain()
        assert model.client().predict().status == 200
    (rejection,) = model.status()["rejections"]
    assert (rejection["revision"], rejection["reason"]) == (candidate, "NoLabels")
    assert _outcomes(model) == [(candidate, "Withdrawn")]
    assert_answers(model, stable)


def test_both_falling_leaves_stable_serving_and_reports_drift(model: ModelDeployment) -> None:
    spec = {"rollout": canary(labels=1000), "accuracy": {"minimum": MINIMUM, "sampleInterval": "1s"}}
    model.apply(model.document("spoilt", replicas=2, **spec))
    stable = model.wait_ready()
    with _clients(model) as clients:
        model.wait_for_condition("AccuracyHealthy", "False", "NoRollbackTarget")
        model.apply(model.document("spoilt", replicas=2, serving=_ANOTHER, **spec))
        _begun(model)
        model.wait_for_condition("NeedsAttention", "True", "Drift")
        model.wait(lambda status: status["rollout"].get("reached") == 0, "the candidate gets no requests")
        seen = len(clients.records)
        model.wait(lambda _: len(clients.records) > seen + 50, "the traffic goes on")
        clients.end()
    _assert_none_failed(clients, model)
    assert {record.revision for record in clients.records[-20:]} == {stable}
    assert model.condition("Stalled")["reason"] == "Drift"
    assert (model.serving(), model.status()["rejections"]) == (stable, [])


def test_an_outage_in_the_middle_of_a_canary_changes_nothing(model: ModelDeployment, monitoring: Monitoring) -> None:
    """For MODELOPS_OUTAGE_SECONDS, and until long after the time that the step waits for."""
    step = STOP_SECONDS + OUTAGE_SECONDS / 2
    spec = {
        "accuracy": {"minimum": MINIMUM, "sampleInterval": "1s", "source": "Prometheus"},
        "monitoring": scraped(),
        "rollout": canary(duration=f"{step:g}s"),
    }
    stable = _serve(model, **spec)
    with _clients(model) as clients:
        model.wait_for_condition("AccuracyHealthy", "True", "Healthy")
        model.apply(_another(model, **spec))
        candidate = _begun(model)
        monitoring.stop()
        model.wait_for_condition("NeedsAttention", "True", "SourceDown")
        before = model.status()["rollout"]
        over = datetime.fromisoformat(before["since"]).timestamp() + step + AFTERWARDS_SECONDS
        end = max(time.time() + OUTAGE_SECONDS, over)
        while time.time() < end:
            assert _place(model) == (1, 20)
            assert (model.serving(), model.status()["candidateRevision"]) == (stable, candidate)
            time.sleep(1)
        assert model.status()["rollout"]["since"] == before["since"]
        monitoring.start()
        model.wait(lambda status: status["rollout"]["step"] == 2, "it goes on by itself")
        clients.end()
    _assert_none_failed(clients, model)


def test_a_promoted_revision_that_turns_bad_late_goes_back_in_seconds(model: ModelDeployment) -> None:
    """MODELOPS_LATE_SECONDS after its promotion; probation ends half as much later."""
    spec = {"rollback": {"probation": f"{LATE_SECONDS * 1.5 + 120:g}s"}}
    stable = _serve(model, **spec)
    with _clients(model) as clients:
        model.wait_for_condition("AccuracyHealthy", "True", "Healthy")
        model.apply(_another(model, **spec))
        model.wait(lambda status: status.get("servingRevision") != stable, "it takes the traffic")
        model.wait_ready()
        promoted = model.serving()
        since = next(one["servingSince"] for one in model.status()["revisions"] if one["name"] == promoted)
        time.sleep(max(0.0, datetime.fromisoformat(since).timestamp() + LATE_SECONDS - time.time()))
        model.wait_for_condition("AccuracyHealthy", "True", "Healthy")
        _mislabel(model, WRONG_LABELS)
        began = time.monotonic()
        model.wait(lambda status: status["servingRevision"] == stable, "it is taken back", seconds=BACK_SECONDS)
        print(f"back {time.monotonic() - began:.1f} s after {WRONG_LABELS} wrong labels")
        clients.end()
    _assert_none_failed(clients, model)
    (rejection,) = model.status()["rejections"]
    assert (rejection["revision"], rejection["reason"]) == (promoted, "Degraded")
    assert _outcomes(model) == [(promoted, "RolledBack")]


_ANOTHER: Final = {"env": [{"name": "ANOTHER", "value": "1"}]}


def _serve(model: ModelDeployment, **spec: Any) -> str:
    """Have the good model serve with two pods."""
    model.apply(model.document("good", replicas=2, **spec))
    return model.wait_ready()


def _another(model: ModelDeployment, **spec: Any) -> dict[str, Any]:
    """Return the good model as another revision."""
    return model.document("good", replicas=2, serving=_ANOTHER, **spec)


def _clients(model: ModelDeployment) -> Clients:
    return Clients(model.client(), model.stage.models["good"].holdout, pause=0.2)


def _begun(model: ModelDeployment) -> str:
    """Wait until the rollout has begun, and the pods say so; return the new revision."""
    seen = model.wait(lambda status: status.get("rollout", {}).get("reached") == 20, "the rollout begins")
    return str(seen["status"]["rollout"]["revision"])


def _place(model: ModelDeployment) -> tuple[int, int]:
    rollout = model.status()["rollout"]
    return rollout["step"], rollout["weight"]


def _mislabel(model: ModelDeployment, number: int) -> None:
    """Ask for predictions of one text, and send the labels that they are not under."""
    client = model.client()

    def one(_: int) -> None:
        answer = client.predict()
        score = answer.body["predictions"][0]
        value = score[0] if isinstance(score, list) else score
        client.label(answer.prediction_id, CLASSES[0] if value >= 0.5 else CLASSES[1])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(number)))


def _assert_none_failed(clients: Clients, model: ModelDeployment) -> None:
    failed = clients.failed()
    assert not failed, f"{failed[:3]}\n{model.explain()}"


def _outcomes(model: ModelDeployment) -> list[tuple[str, str]]:
    path = "jsonpath={range .items[*]}{.spec.revision} {.spec.outcome} {end}"
    words = model.kubectl("get", "modelverdicts", "-o", path).split()
    return list(zip(words[::2], words[1::2], strict=True))
