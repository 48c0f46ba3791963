"""Labels come back, and are counted once."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import TYPE_CHECKING

import pytest
from model_server import contract
from model_server.prediction_id import Classes, Issuer, Key, KeyRing, fingerprint, pod_mark

from tests.serving.model_servers import KEY

if TYPE_CHECKING:
    from ipaddress import IPv4Address

    from tests.serving.conftest import StartServer
    from tests.serving.model_servers import ModelServer


@pytest.fixture(scope="module")
def server(shared: StartServer) -> ModelServer:
    return shared("text.keras", MODEL_LABELS='["bad", "good"]')


def issue(revision: str, issued: float, secret: str = KEY, address: IPv4Address | None = None) -> str:
    issuer = Issuer(
        KeyRing(Key.from_secret(bytes.fromhex(secret))),
        fingerprint("m", revision),
        pod_mark("uid"),
        address,
        lambda: issued,
        lambda size: b"n" * size,
    )
    token, _ = issuer.issue(Classes(2, [1]))
    assert token is not None
    return token


def test_labels_move_the_counts(server: ModelServer) -> None:
    before = server.counts()
    token = server.predict(["好", "坏", "好", "坏"]).token
    labels = [{"id": f"{token}.{index}", "label": label} for index, label in enumerate(["good", 0, False, True])]
    reply = server.post(contract.FEEDBACK_SUFFIX, {"labels": labels})
    assert reply.status == 200
    assert [result["accepted"] for result in reply.json()["results"]] == [True] * 4
    after = server.counts()
    moved = {name: after[name] - before[name] for name in after if isinstance(after[name], int)}  # type: ignore[literal-required]  # Its own keys.
    assert moved == {
        "correct": 2,
        "wrong": 2,
        "true_positive": 1,
        "true_negative": 1,
        "false_positive": 1,
        "false_negative": 1,
        "predictions": 4,
    }
    metrics = server.admin("GET", contract.METRICS_PATH).body.decode()
    assert "model_accuracy 0.5" in metrics
    assert "model_f1 0.5" in metrics
    for actual, predicted in itertools.product(("bad", "good"), repeat=2):
        assert f'model_confusion_total{{actual="{actual}",predicted="{predicted}"}} 1.0' in metrics


@pytest.mark.parametrize(
    ("identity", "status", "reason"),
    [
        ("x", 400, "malformed"),
        (issue("r1", 1_000_000_000), 410, "expired"),
        (issue("r1", 4_000_000_000, secret="cd" * 32), 403, "forged"),  # Not a password of anything.
        (issue("r2", 4_000_000_000), 404, "foreign"),
    ],
)
def test_labels_that_do_not_count(server: ModelServer, identity: str, status: int, reason: str) -> None:
    before = server.counts()
    reply = server.feedback(identity, 1)
    assert reply.status == status
    assert reply.json()["results"][0]["reason"] == reason
    assert reply.json()["error"]
    assert server.counts() == before
    metrics = server.admin("GET", contract.METRICS_PATH).body.decode()
    assert f'model_feedback_rejected_total{{reason="{reason}"}} 1.0' in metrics


def test_a_second_label_changes_nothing(server: ModelServer) -> None:
    token = server.predict(["好"]).token
    assert server.feedback(token, 1).status == 200
    counts = server.counts()
    for label in (1, 0):
        reply = server.feedback(f"{token}.0", label)
        assert (reply.status, reply.json()["results"][0]["reason"]) == (409, "duplicate")
    assert server.feedback(server.predict(["好"]).token, "ugly").json()["results"][0]["reason"] == "unknown_class"
    assert server.counts() == {**counts, "predictions": counts["predictions"] + 1}


@pytest.mark.parametrize("body", [b"{", {}, {"labels": []}, {"labels": [{"id": "x"}]}, {"id": "x", "label": 1, "y": 2}])
def test_no_feedback_at_all(server: ModelServer, body: object) -> None:
    assert server.post(contract.FEEDBACK_SUFFIX, body).status == 400


def test_a_killed_container_loses_and_repeats_nothing(start: StartServer) -> None:
    server = start("three.keras")
    token = server.predict([[5, 1], [1, 5], [-1, -1]]).token
    assert server.feedback(f"{token}.0", 1).status == server.feedback(f"{token}.1", 0).status == 200
    before = server.counts()
    assert (before["correct"], before["wrong"], before["true_positive"], before["predictions"]) == (1, 1, 0, 3)
    server.kill()
    server.start()
    server.wait_until_ready()
    assert server.counts() == before
    assert server.feedback(f"{token}.0", 1).status == 409
    assert server.feedback(f"{token}.2", 0).status == 200
    after = server.counts()
    assert after == {**before, "correct": 2, "classes": after["classes"]}
    assert true_positives(after) == {**true_positives(before), "0": true_positives(before).get("0", 0) + 1}


def true_positives(counts: contract.Counts) -> dict[str, int]:
    return {one["name"]: one["true_positive"] for one in counts["classes"]}


def test_labels_that_come_while_the_container_is_killed_count_once(start: StartServer) -> None:
    server = start("three.keras")
    token = server.predict([[5, 1]] * 400).token
    identities = [f"{token}.{index}" for index in range(400)]
    acknowledged: set[str] = set()
    enough = threading.Event()

    def send() -> None:
        for identity in identities:
            try:
                reply = server.feedback(identity, 1)
            except (OSError, HTTPException):
                return
            assert reply.status == 200
            acknowledged.add(identity)
            if len(acknowledged) == 100:
                enough.set()

    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(send)
        assert enough.wait(60)
        server.kill()
        sending.result()
    assert 100 <= len(acknowledged) < 400
    server.start()
    server.wait_until_ready()
    again = {identity: server.feedback(identity, 1).status for identity in identities}
    assert {again[identity] for identity in acknowledged} == {409}
    # One label at most was written and not acknowledged.
    assert list(again.values()).count(409) - len(acknowledged) in {0, 1}
    assert server.counts()["correct"] == 400


def test_pods_pass_labels_to_the_one_that_predicted(start: StartServer) -> None:
    pods = [start("text.keras", revision=revision, wait=False) for revision in ("r1", "r1", "r2")]
    for pod in pods:
        pod.wait_until_ready()
    a, b, other = pods
    token = a.predict(["好", "好", "好"]).token
    assert b.feedback(f"{token}.0", 1).status == 200
    assert other.feedback(f"{token}.1", 1).status == 200
    assert a.feedback(f"{token}.1", 1).status == 409
    assert [pod.counts()["correct"] for pod in pods] == [2, 0, 0]
    a.kill()
    assert other.feedback(f"{token}.2", 1).json()["results"][0]["reason"] == "foreign"
    assert b.feedback(f"{token}.2", 1).status == 200  # It inherits what nobody else can count.
    assert b.feedback(f"{token}.2", 1).status == 409
    assert [pod.counts()["correct"] for pod in (b, other)] == [1, 0]
