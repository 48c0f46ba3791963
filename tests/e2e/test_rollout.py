"""Rollouts with real pods, real models and real clients: shares as the clients see them, and no request that fails."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from tests.demo.records import Connections, Kind
from tests.e2e.clients import Clients
from tests.e2e.deployments import ModelDeployment, assert_answers

if TYPE_CHECKING:
    from tests.demo.records import Record

pytestmark = pytest.mark.timeout(1800)

SHARE = 20
CANARY: dict[str, Any] = {
    "strategy": "Canary",
    "steps": [{"weight": SHARE, "hold": {"labels": 60}}, {"weight": 60, "hold": {"approval": True}}],
}
PREDICTIONS = 400
"""Seen by the clients at each share that is measured."""
SIGMAS = 5.0


def test_a_canary_answers_its_share_and_is_promoted(model: ModelDeployment) -> None:
    stable = _serve(model, rollout=CANARY)
    with _clients(model) as clients:
        model.apply(_another(model, rollout=CANARY))
        canary = _begun(model)
        _assert_share(clients, model, canary, SHARE)
        model.wait(lambda status: status["rollout"]["step"] == 2, "it has labels enough")
        model.wait(lambda status: status["rollout"].get("reached") == 60, "more than half of the requests")
        _assert_share(clients, model, canary, 60)
        model.wait_for_condition("Ready", "False", "AwaitingApproval")
        model.kubectl("annotate", "mdep", model.name, f"modelops.dev/promote={canary}")
        model.wait_for_condition("Ready", "True", "Serving")
        clients.end()
    _assert_none_failed(clients, model)
    assert model.serving() == canary
    assert_answers(model, canary)
    assert model.status()["standbyRevision"] == stable
    assert _outcomes(model) == [(canary, "Promoted")]


def test_a_canary_that_is_worse_is_rejected_and_no_request_fails(model: ModelDeployment) -> None:
    stable = _serve(model, rollout=CANARY)
    with _clients(model) as clients:
        model.apply(model.document("spoilt", replicas=2, rollout=CANARY))
        canary = _begun(model)
        model.wait(lambda status: [one["revision"] for one in status["rejections"]] == [canary], "it is taken back")
        model.wait(lambda status: len(status["revisions"]) and not status.get("candidateRevision"), "it is given up")
        last = max(record.done for record in clients.records if record.revision == canary)
        seen = len(clients.records)
        model.wait(lambda _: len(clients.records) > seen + PREDICTIONS // 4, "the traffic goes on")
        clients.end()
    _assert_none_failed(clients, model)
    predictions = [record for record in clients.records if record.kind is Kind.PREDICTION]
    assert all(record.revision == stable for record in predictions if record.sent > last + 1)
    assert model.serving() == stable
    assert model.condition("Available")["status"] == "True"
    assert _outcomes(model) == [(canary, "Rejected")]
    share = sum(record.revision == canary for record in predictions) / len(predictions)
    assert share < SHARE / 100, "its share of all that was asked meanwhile"


def test_copies_are_judged_and_never_returned(model: ModelDeployment) -> None:
    shadow = {"strategy": "Shadow", "hold": {"labels": 10_000}}
    stable = _serve(model, rollout=shadow)
    with _clients(model) as clients:
        model.apply(model.document("spoilt", replicas=2, rollout=shadow))
        canary = _begun(model)
        model.wait(lambda status: [one["revision"] for one in status["rejections"]] == [canary], "it is taken back")
        clients.end()
    _assert_none_failed(clients, model)
    assert {record.revision for record in clients.records} == {stable}
    assert model.status()["rejections"][0]["labels"] >= 30


def test_beside_what_serves_until_its_user_says_so(model: ModelDeployment) -> None:
    beside = {"strategy": "BlueGreen", "hold": {"approval": True}}
    stable = _serve(model, rollout=beside)
    model.apply(_another(model, rollout=beside))
    canary = _begun(model)
    model.wait_for_condition("Ready", "False", "AwaitingApproval")
    assert_answers(model, stable)
    model.kubectl("annotate", "mdep", model.name, f"modelops.dev/abort={canary}")
    model.wait(lambda status: [one["reason"] for one in status["rejections"]] == ["Aborted"], "it is given up")
    assert_answers(model, stable)
    assert _outcomes(model) == [(canary, "Aborted")]


def _serve(model: ModelDeployment, **spec: Any) -> str:
    """Have the good model serve with two pods."""
    model.apply(model.document("good", replicas=2, **spec))
    return model.wait_ready()


def _another(model: ModelDeployment, **spec: Any) -> dict[str, Any]:
    """Return the good model as another revision."""
    serving = {"env": [{"name": "ANOTHER", "value": "1"}]}
    return model.document("good", replicas=2, serving=serving, **spec)


def _clients(model: ModelDeployment) -> Clients:
    return Clients(model.client(), model.stage.models["good"].holdout, pause=0.2)


def _begun(model: ModelDeployment) -> str:
    """Wait until the rollout has begun, and the pods say so; return the new revision."""
    seen = model.wait(lambda status: status.get("rollout", {}).get("reached") is not None, "the rollout begins")
    rollout = seen["status"]["rollout"]
    model.wait(lambda status: status["rollout"]["reached"] == rollout["weight"], "its share is reached")
    return str(rollout["revision"])


def _assert_share(clients: Clients, model: ModelDeployment, canary: str, percent: int) -> None:
    """Assert that the clients get so many of their answers from the new revision, on kept and on new connections."""
    start = max(record.sent for record in clients.records)

    def since() -> list[Record]:
        return [one for one in clients.records if one.kind is Kind.PREDICTION and one.sent > start]

    model.wait(lambda _: len(since()) >= PREDICTIONS, "enough is seen")
    for connections in Connections:
        seen = [record for record in since() if record.connections is connections]
        share, wanted = sum(record.revision == canary for record in seen) / len(seen), percent / 100
        assert abs(share - wanted) < SIGMAS * math.sqrt(wanted * (1 - wanted) / len(seen)), connections


def _assert_none_failed(clients: Clients, model: ModelDeployment) -> None:
    failed = clients.failed()
    assert not failed, f"{failed[:3]}\n{model.explain()}"


def _outcomes(model: ModelDeployment) -> list[tuple[str, str]]:
    path = "jsonpath={range .items[*]}{.spec.revision} {.spec.outcome} {end}"
    words = model.kubectl("get", "modelverdicts", "-o", path).split()
    return list(zip(words[::2], words[1::2], strict=True))
