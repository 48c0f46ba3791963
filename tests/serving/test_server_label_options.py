"""What else labels can be, asked of real servers: from the environment to the metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from model_server import contract, keys
from model_server.contract import Env, Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.model_servers import KEY

if TYPE_CHECKING:
    from tests.serving.conftest import StartServer
    from tests.serving.model_servers import ModelServer

FRESH = "cd" * 32


@pytest.fixture(scope="module")
def servers(shared: StartServer) -> tuple[ModelServer, ModelServer]:
    """One that tells three classes apart, and one that predicts the sum of two numbers."""
    classes = {Env.TOP_K: "2", Env.AUDIT_FRACTION: "1", Env.SLICE_FIELD: "country", Env.LABEL_MATURITY: "3"}
    values = {Env.TASK: "regression", Env.REGRESSION_TOLERANCE: "0.5", Env.AUDIT_FRACTION: "0"}
    models = {"three.keras": classes, "single.keras": values}
    started = [
        shared(model, wait=False, **{name.value: value for name, value in environment.items()})
        for model, environment in models.items()
    ]
    for server in started:
        server.wait_until_ready()
    return started[0], started[1]


def samples(server: ModelServer, *names: str) -> dict[tuple[str, ...], float]:
    """By the name and the values of the labels, which come in the order of their names."""
    page = server.admin("GET", contract.METRICS_PATH).body.decode()
    return {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
        if one.name in names
    }


def test_classes_are_told_by_the_best_by_slices_and_when_they_are_old_enough(
    servers: tuple[ModelServer, ModelServer],
) -> None:
    server, _ = servers
    body = {"instances": [[5, 1], [1, 5], [-1, -2]], "parameters": {"country": "de"}}
    began = time.time()
    reply = server.post(contract.PREDICT_SUFFIX, body)
    assert (reply.status, reply.headers[contract.AUDIT_HEADER.lower()]) == (200, "true")
    for index, label in enumerate((2, 0, 0)):  # The second best, the worst, the best.
        assert server.feedback(f"{reply.token}.{index}", label).status == 200
    assert server.feedback(f"{reply.token}.0", 1).status == 409
    if time.time() - began < 2:  # The machine is quick enough to see it.
        assert samples(server, Metric.LABELS_WAITING) == {(Metric.LABELS_WAITING,): 3}
        assert server.counts()["wrong"] == 0
    while server.counts()["wrong"] < 2:
        assert time.time() - began < 60
        time.sleep(0.2)
    assert (server.counts()["correct"], server.counts()["wrong"]) == (1, 2)
    wanted = (Metric.LABELS_WAITING, Metric.AUDITED_PREDICTIONS, Metric.AUDITED_LABELS, Metric.TOP_K_LABELS)
    assert samples(server, *wanted, Metric.SLICE_LABELS, Metric.IDS) == {
        (Metric.IDS,): 3,
        (Metric.LABELS_WAITING,): 0,
        (Metric.AUDITED_PREDICTIONS,): 3,
        (Metric.AUDITED_LABELS, "correct"): 1,
        (Metric.AUDITED_LABELS, "wrong"): 2,
        (Metric.TOP_K_LABELS, "2", "correct"): 2,
        (Metric.TOP_K_LABELS, "2", "wrong"): 1,
        (Metric.SLICE_LABELS, "correct", "de"): 1,
        (Metric.SLICE_LABELS, "wrong", "de"): 2,
    }


def test_values_are_right_within_the_tolerance(servers: tuple[ModelServer, ModelServer]) -> None:
    _, server = servers
    reply = server.predict([[1, 2], [3, 4], [5, 6]])
    assert contract.AUDIT_HEADER.lower() not in reply.headers
    for index, label in enumerate((3, 7.25, 13)):
        assert server.feedback(f"{reply.token}.{index}", label).status == 200
    refused = server.feedback(f"{reply.token}.2", "eleven")
    assert (refused.status, refused.json()["results"][0]["reason"]) == (400, "malformed")
    assert (server.counts()["correct"], server.counts()["wrong"]) == (2, 1)
    names = (Metric.ABSOLUTE_ERROR, Metric.SQUARED_ERROR, Metric.SCORE)
    assert samples(server, *(f"{name}_sum" for name in names), f"{Metric.SCORE}_count") == {
        (f"{Metric.ABSOLUTE_ERROR}_sum",): 2.25,
        (f"{Metric.SQUARED_ERROR}_sum",): 4.0625,
        (f"{Metric.SCORE}_sum",): 1.5,
        (f"{Metric.SCORE}_count",): 3,
    }
    assert samples(server, Metric.CONFUSION) == {}


def test_keys_are_exchanged_without_a_restart(servers: tuple[ModelServer, ModelServer]) -> None:
    _, server = servers
    old = server.predict([[1, 2]]).token
    folder = server.folder
    (folder / f"{contract.VERIFYING_KEY_PREFIX}old").write_text(KEY)
    (folder / contract.FEEDBACK_KEY_FILE).write_text(FRESH)
    deadline = time.time() + 3 * keys.READ_AGAIN_SECONDS
    while "other keys" not in server.log_file.read_text():
        assert time.time() < deadline
        time.sleep(0.2)
    new = server.predict([[1, 2]]).token
    assert [server.feedback(token, 3).status for token in (old, new, old)] == [200, 200, 409]
