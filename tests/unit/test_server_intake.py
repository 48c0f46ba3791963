"""Where labels go: to the pod that made the prediction, or to the heir of one that is gone."""

from __future__ import annotations

import asyncio
import json
import socket
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import pytest
from model_server import contract
from model_server.book import Book
from model_server.contract import FeedbackRejection
from model_server.feedback import Label, Scorer
from model_server.intake import Intake, Others
from model_server.metrics import Metrics
from model_server.passing import Passed, Seal
from model_server.pods import Answer, Lost, PodClient, Unreachable, addresses_of
from model_server.prediction_id import Classes, Issuer, Key, KeyRing, fingerprint, pod_mark, read
from model_server.protocols.feedback_rest import read_feedback, write_results
from model_server.routing import Self, heir

if TYPE_CHECKING:
    from pathlib import Path

KEYS = KeyRing(Key.from_secret(b"k" * 32))
NOW = 1_790_000_000
A, B, C = (IPv4Address(f"10.0.0.{number}") for number in (1, 2, 3))


class Network(PodClient):
    """Pods that reach each other without a network."""

    def __init__(self) -> None:
        super().__init__()
        self.pods: dict[str, Pod] = {}
        self.broken: set[IPv4Address] = set()
        self.is_nameless = False
        self.names: set[IPv4Address] = set()
        """What the DNS name of the revision stands for."""
        self.answers: dict[str, Answer] = {}
        """Of addresses where something else listens."""

    async def send(self, method: str, address: str, path: str, **request: Any) -> Answer:
        if IPv4Address(address.partition(":")[0]) in self.broken:
            raise Lost("no answer")
        if address in self.answers:
            return self.answers[address]
        pod = self.pods.get(address)
        if pod is None:
            raise Unreachable("refused")
        assert (method, path) == ("POST", "/v1/models/m/feedback")
        header, expected = request["headers"][contract.FORWARDED_HEADER], (Passed.LABELS, Passed.INHERITED)
        passed = Seal("", KEYS).read(header, expected, request["body"])
        assert passed is not None
        labels = read_feedback(request["body"])
        code, body = write_results(labels, await pod.intake.take(labels.labels, passed))
        return Answer(code, [], body)


class Pod:
    def __init__(
        self, network: Network, folder: Path, address: IPv4Address, revision: str = "r1", uid: str | None = None
    ) -> None:
        uid = uid or str(address)
        self.book = Book(folder / f"{uid}-{revision}", revision=revision, pod_uid=uid, clock=lambda: NOW)
        self.metrics = Metrics(self.book, uid, None)
        self.rejected = self.metrics.rejected
        this = Self(fingerprint("m", revision), pod_mark(uid), address)
        self.issuer = Issuer(
            KEYS, this.fingerprint, this.pod, address, lambda: NOW, lambda size: (address.packed * 2)[:size]
        )

        async def siblings() -> set[Any]:
            if network.is_nameless:
                raise OSError("the DNS is away")
            return set(network.names)

        others = Others(network, "/v1/models/m/feedback", 8501, Seal(str(address), KEYS), siblings)
        self.intake = Intake(this, KEYS, Scorer(), self.book, self.metrics, others)
        network.pods[f"{address}:8501"] = self

    def predict(self, *classes: int) -> str:
        token, _ = self.issuer.issue(Classes(2, classes))
        assert token is not None
        return token

    async def take(self, *labels: tuple[object, object], passed: Passed | None = None) -> list[str]:
        results = await self.intake.take([Label(*label) for label in labels], passed)
        return ["accepted" if result is None else result.reason.value for result in results]


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
