"""Where labels go: to the pod that made the prediction, or to the heir of one that is gone."""

from __future__ import annotations

import asyncio
import json
import socket
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import pytest
from model_server.contract import FeedbackRejection
from model_server.passing import Passed
from model_server.pods import Answer, addresses_of
from model_server.prediction_id import Key, KeyRing, read
from model_server.protocols.feedback_rest import read_feedback, write_results
from model_server.routing import heir

from tests.support.label_pods import KEY, KEYS, Network, Pod

if TYPE_CHECKING:
    from pathlib import Path

A, B, C = (IPv4Address(f"10.0.0.{number}") for number in (1, 2, 3))


@pytest.fixture
def network() -> Network:
    return Network()


async def test_own_labels_are_counted(network: Network, tmp_path: Path) -> None:
    pod = Pod(network, tmp_path, A)
    token = pod.predict(1, 0)
    results = await pod.take((token, 1), (f"{token}.1", 1), (token, 0), ("x", 1), (7, 1), (f"{token}.1", 9))
    assert results == ["accepted", "accepted", "duplicate", "malformed", "malformed", "unknown_class"]
    assert (pod.book.tally.correct, pod.book.tally.wrong) == (1, 1)
    assert pod.rejected[FeedbackRejection.MALFORMED] == 2


async def test_labels_go_to_the_pod_that_predicted(network: Network, tmp_path: Path) -> None:
    a, b = Pod(network, tmp_path, A), Pod(network, tmp_path, B)
    other_revision = Pod(network, tmp_path, C, "r2")
    token = a.predict(1, 1)
    assert await b.take((token, 1), (b.predict(0), 0)) == ["accepted", "accepted"]
    assert await other_revision.take((token, 1), (f"{token}.1", 0)) == ["duplicate", "accepted"]
    assert (a.book.tally.correct, a.book.tally.wrong, b.book.tally.correct) == (1, 1, 1)
    assert a.rejected[FeedbackRejection.DUPLICATE] == 1
    assert not b.rejected
    assert not other_revision.rejected


async def test_what_was_passed_on_is_never_passed_on_again(network: Network, tmp_path: Path) -> None:
    a, b = Pod(network, tmp_path, A), Pod(network, tmp_path, B, "r2")
    assert await b.take((a.predict(1), 1), passed=Passed.LABELS) == ["foreign"]
    assert a.book.tally.correct == 0


async def test_labels_of_a_lost_pod_go_to_one_heir(network: Network, tmp_path: Path) -> None:
    a, b, c = (Pod(network, tmp_path, address) for address in (A, B, C))
    network.names = {B, C}
    tokens = [f"{a.predict(*[1] * 20)}.{index}" for index in range(20)]
    del network.pods[f"{A}:8501"]
    assert await b.take(*((token, 1) for token in tokens)) == ["accepted"] * 20
    assert await c.take(*((token, 1) for token in tokens)) == ["duplicate"] * 20
    assert b.book.tally.correct + c.book.tally.correct == 20
    assert b.book.tally.correct
    assert c.book.tally.correct


async def test_labels_of_a_pod_that_is_only_away_wait(network: Network, tmp_path: Path) -> None:
    a, b = Pod(network, tmp_path, A), Pod(network, tmp_path, B)
    network.names = {A, B}
    token = a.predict(1)
    pod = network.pods.pop(f"{A}:8501")
    assert await b.take((token, 1)) == ["unavailable"]
    network.pods[f"{A}:8501"] = pod
    assert await b.take((token, 1)) == ["accepted"]
    assert a.book.tally.correct == 1


async def test_a_pod_that_does_not_answer_may_have_counted(network: Network, tmp_path: Path) -> None:
    a, b = Pod(network, tmp_path, A), Pod(network, tmp_path, B)
    network.broken = {A}
    assert await b.take((a.predict(1), 1)) == ["unavailable"]
    assert b.book.tally.correct == 0
    assert b.rejected[FeedbackRejection.UNAVAILABLE] == 1


async def test_an_address_that_another_revision_took_over_is_a_lost_pod(network: Network, tmp_path: Path) -> None:
    a, b = Pod(network, tmp_path, A), Pod(network, tmp_path, B)
    token = a.predict(1)
    Pod(network, tmp_path, A, "r2")
    assert await b.take((token, 1)) == ["accepted"]
    assert b.book.tally.correct == 1


async def test_an_address_that_a_new_pod_has_is_no_match(network: Network, tmp_path: Path) -> None:
    a, b = Pod(network, tmp_path, A), Pod(network, tmp_path, B)
    network.names = {A, B}
    tokens = [f"{a.predict(*[1] * 20)}.{index}" for index in range(20)]
    new = Pod(network, tmp_path, A, uid="new")
    assert await b.take(*((token, 1) for token in tokens)) == ["accepted"] * 20
    assert b.book.tally.correct > 0
    assert new.book.tally.correct > 0  # Some of them it inherits.
    # Whoever is asked again knows them.
    assert await new.take(*((token, 1) for token in tokens)) == ["duplicate"] * 20
    assert await b.take(*((token, 1) for token in tokens)) == ["duplicate"] * 20


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("revision", ["r1", "r2"])
async def test_a_pod_that_fails_is_not_gone(network: Network, tmp_path: Path, status: int, revision: str) -> None:
    a, b = Pod(network, tmp_path, A), Pod(network, tmp_path, B, revision)
    network.answers[f"{A}:8501"] = Answer(status, [], b'{"error": "internal"}')
    assert await b.take((a.predict(1), 1)) == ["unavailable"]
    assert b.book.tally.correct == 0


@pytest.mark.parametrize(
    "theirs",
    [
        Answer(404, [], b'{"error": "Servable not found"}'),
        Answer(200, [], b'{"results": [{"id": "x", "accepted": false, "reason": "forged", "message": ""}]}'),
    ],
)
async def test_an_address_of_another_model_is_a_lost_pod(network: Network, tmp_path: Path, theirs: Answer) -> None:
    a, b = Pod(network, tmp_path, A), Pod(network, tmp_path, B)
    network.answers[f"{A}:8501"] = theirs
    assert await b.take((a.predict(1), 1)) == ["accepted"]


async def test_without_dns_nobody_inherits(network: Network, tmp_path: Path) -> None:
    a, b = Pod(network, tmp_path, A), Pod(network, tmp_path, B)
    token = a.predict(1)
    del network.pods[f"{A}:8501"]
    network.is_nameless = True
    assert await b.take((token, 1)) == ["unavailable"]
    assert b.book.tally.correct == 0


@pytest.mark.parametrize(
    ("code", "addresses"), [(socket.EAI_NONAME, set()), (socket.EAI_NODATA, set()), (socket.EAI_AGAIN, None)]
)
async def test_only_a_name_that_does_not_exist_means_that_there_are_none(
    monkeypatch: pytest.MonkeyPatch, code: int, addresses: set[Any] | None
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(code, "no")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", fail)
    if addresses is None:
        with pytest.raises(OSError, match="no"):
            await addresses_of("peers")
    else:
        assert await addresses_of("peers") == addresses


async def test_a_lost_revision_is_foreign(network: Network, tmp_path: Path) -> None:
    a, b = Pod(network, tmp_path, A), Pod(network, tmp_path, B, "r2")
    del network.pods[f"{A}:8501"]
    assert await b.take((a.predict(1), 1)) == ["foreign"]
    assert b.rejected[FeedbackRejection.FOREIGN] == 1


def test_few_heirs_change_when_a_pod_goes(network: Network, tmp_path: Path) -> None:
    token = Pod(network, tmp_path, A).predict(*[1] * 200)
    digests = [read(f"{token}.{index}", KEYS).digest for index in range(200)]
    before = [heir(digest, [A, B, C]) for digest in digests]
    after = [heir(digest, [C, B]) for digest in digests]
    assert all(new == old for old, new in zip(before, after, strict=True) if old != A)
    assert all(before.count(address) > 30 for address in (A, B, C))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("[]", "feedback is"),
        ('{"labels": []}', "feedback is"),
        ('{"id": 1}', "feedback is"),
        ('{"labels": [1]}', "each"),
    ],
)
def test_other_bodies_say_what_feedback_is(body: str, message: str) -> None:
    with pytest.raises(Exception, match=message):
        read_feedback(body.encode())


async def test_a_single_label_has_its_own_code(network: Network, tmp_path: Path) -> None:
    pod = Pod(network, tmp_path, A)
    request = read_feedback(json.dumps({"id": pod.predict(1), "label": 1}).encode())
    codes = [write_results(request, await pod.intake.take(request.labels, None))[0] for _ in range(2)]
    assert codes == [200, 409]


async def test_labels_of_another_revision_of_this_process_are_counted_there(network: Network, tmp_path: Path) -> None:
    here: dict[bytes, Any] = {}
    old, new = (Pod(network, tmp_path, A, revision, "uid", here=here) for revision in ("r1", "r2"))
    token = old.predict(1, 0)
    assert await new.take((token, 1), (new.predict(1), 1), (f"{token}.1", 1)) == ["accepted"] * 3
    assert await old.take((token, 1)) == ["duplicate"]
    assert [(pod.book.tally.correct, pod.book.tally.wrong) for pod in (old, new)] == [(1, 1), (1, 0)]


async def test_pods_with_keys_of_different_ages_count_each_other_s_labels(network: Network, tmp_path: Path) -> None:
    fresh = Key.from_secret(b"f" * 32)
    a = Pod(network, tmp_path, A, keys=KeyRing(fresh, [KEY]))
    b = Pod(network, tmp_path, B, keys=KeyRing(KEY, [fresh]))
    tokens = [a.predict(1), b.predict(1)]
    assert await b.take(*((token, 1) for token in tokens)) == ["accepted", "accepted"]
    assert await a.take(*((token, 1) for token in tokens)) == ["duplicate", "duplicate"]
    assert [pod.book.tally.correct for pod in (a, b)] == [1, 1]
    a.keys.replace(fresh, [])
    assert await a.take((b.predict(1), 1)) == ["forged"]
