"""Copies of requests: how many there may be, how they are sent, and what is understood of their answers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from model_server import contract, copying
from model_server.app import PredictionApp
from model_server.copying import BURST, CALL_COST, MOST, MOST_A_SECOND, MOST_BYTES, Copier
from model_server.feedback import Label
from model_server.http import asking
from model_server.http.access import Access
from model_server.http.asking import Asking, Reply
from model_server.http.messages import Response
from model_server.intake import Others
from model_server.passing import Copied, Passed, Seal
from model_server.pods import Answer, PodClient, Unreachable
from model_server.prediction_id import Key, KeyRing
from model_server.relay import AT_ONCE, Relay
from model_server.relay import MOST as MOST_LABELS
from model_server.rotation import Passing
from model_server.shadows import Witnessed

from tests.serving.in_process import a_head, answer, serving_parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SEAL = Seal("10.0.0.1", KeyRing(Key.from_secret(b"k" * 32)))
OK = b"HTTP/1.1 200 OK\r\nPrediction-Id: ToKen\r\nmodel-revision:  r2 \r\nContent-Length: 4\r\n\r\nbody"
PREDICT = contract.MODEL_PATH_TEMPLATE.format(model="m") + contract.PREDICT_SUFFIX


class Other:
    """A server that says what it was told to, piece by piece."""

    def __init__(self, *answers: list[bytes]) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []
        self.connections = 0
        self.target = ""

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self.answers:
            head = await reader.readuntil(b"\r\n\r\n")
            size = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
            )
            self.asked.append(head + await reader.readexactly(size))
            for piece in self.answers.pop(0):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()


@asynccontextmanager
async def other(*answers: list[bytes]) -> AsyncIterator[Other]:
    one = Other(*answers)
    server = await asyncio.start_server(one.meet, "127.0.0.1", 0)
    one.target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield one
    server.close()


async def asked(client: Asking, target: str, seconds: float = 10.0) -> tuple[Reply | None, bool]:
    result = asyncio.get_running_loop().create_future()
    client.ask(target, b"GET / HTTP/1.1\r\n\r\n", seconds, lambda reply, is_there: result.set_result((reply, is_there)))
    found: tuple[Reply | None, bool] = await result
    return found


def client() -> Asking:
    return Asking(lambda: None)


async def test_a_connection_is_kept_and_headers_are_found() -> None:
    one = client()
    async with other([OK], [OK[:30], OK[30:60], OK[60:]], [b"HTTP/1.1 100 Continue\r\n\r\n" + OK]) as server:
        for _ in range(3):
            reply, is_there = await asked(one, server.target)
            assert reply is not None
            assert is_there
            assert (reply.status, reply.header(b"prediction-id"), reply.header(b"model-revision")) == (
                200,
                "ToKen",
                "r2",
            )
            assert reply.header(b"revision") is None
        assert server.connections == 1
        one.close()


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"], 200),
        ([b"HTTP/1.1 503 no\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno"], 503),
        ([b"what?\r\n\r\n"], None),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"], None),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab"], None),
        ([b"HTTP/1.1 200 OK\r\nx: " + b"a" * asking.MOST_HEAD_BYTES], None),
    ],
)
async def test_after_what_cannot_be_followed_there_is_another_connection(pieces: list[bytes], status: int) -> None:
    one = client()
    async with other(pieces, [OK]) as server:
        reply, is_there = await asked(one, server.target)
        assert (reply and reply.status, is_there) == (status, True)
        reply, _ = await asked(one, server.target)
        assert reply is not None
        assert reply.status == 200
        assert server.connections == 2
        one.close()


async def test_who_does_not_answer_is_given_up() -> None:
    one = client()
    async with other([b"HTTP/1.1 200 OK\r\n"]) as server:
        assert await asked(one, server.target, 0.05) == (None, True)
    assert await asked(one, "127.0.0.1:9") == (None, False)
    assert await asked(one, "127.0.0.1:99999") == (None, False)
    one.close()


class Log:
    """A `Witness`, and a counter."""

    def __init__(self) -> None:
        self.outcomes: Counter[Copied] = Counter()
        self.expected: list[str] = []
        self.settled: list[tuple[str, Witnessed | None]] = []

    def expect(self, token: str) -> None:
        self.expected.append(token)

    def settle(self, token: str, witnessed: Witnessed | None) -> None:
        self.settled.append((token, witnessed))

    def count(self, outcome: Copied, number: int) -> None:
        self.outcomes[outcome] += number


async def until(true: Any) -> None:
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110  # What is waited for knows of no event.
            await asyncio.sleep(0.01)


async def test_a_copy_is_the_request_with_a_mark_of_its_own() -> None:
    log = Log()
    copier = Copier(Access(), SEAL, log, log.count)
    async with other([OK]) as server:
        headers = [
            (b"host", b"client's"),
            (b"x-a", b"1"),
            (b"connection", b"close"),
            (b"model-forwarded-by", b"forged"),
        ]
        assert copier.admits(server.target, 2)
        copier.copy_request(server.target, "/p?q", headers, b"{}", "token")
        await until(lambda: log.settled)
    mark = SEAL.mark(Passed.COPY, b"{}")
    assert server.asked == [
        f"POST /p?q HTTP/1.1\r\nhost: {server.target}\r\nx-a: 1\r\nmodel-forwarded-by: {mark}\r\n"
        "content-length: 2\r\n\r\n{}".encode()
    ]
    assert (log.expected, log.settled) == (["token"], [("token", Witnessed("ToKen", "r2"))])
    assert log.outcomes == {Copied.ANSWERED: 1}
    copier.close()


async def test_a_refusal_is_no_answer() -> None:
    refusal = OK.replace(b"200 OK", b"400 no")
    log = Log()
    copier = Copier(Access(), SEAL, log, log.count)
    async with other([refusal]) as server:
        assert copier.admits(server.target, 0)
        copier.copy_request(server.target, "/", [], b"", "token")
        await until(lambda: log.settled)
    assert log.settled == [("token", None)]
    assert log.outcomes == {Copied.FAILED: 1}
    copier.close()


async def test_while_nobody_is_there_nothing_is_tried() -> None:
    log, now = Log(), [0.0]
    copier = Copier(Access(), SEAL, log, log.count, lambda: now[0])
    target = "127.0.0.1:9"
    assert copier.admits(target, 0)
    copier.copy_request(target, "/", [], b"", "token")
    await until(lambda: log.settled)
    assert not copier.admits(target, 0)
    assert log.outcomes == {Copied.FAILED: 2}
    now[0] = copying.REST_SECONDS
    assert copier.admits(target, 0)


async def test_more_copies_than_there_may_be_are_dropped_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "TELL_SECONDS", 0.0)
    log, now = Log(), [0.0]
    copier = Copier(Access(), SEAL, log, log.count, lambda: now[0])
    assert [copier.admits("h:1", 1) for _ in range(MOST + 1)] == [True] * MOST + [False]  # Under way.
    now[0] = 100.0
    roomy = Copier(Access(), SEAL, log, log.count, lambda: now[0])
    monkeypatch.setattr(copying, "MOST", 10**6)
    assert sum(roomy.admits("h:1", 1) for _ in range(1000)) == BURST
    now[0] += 10.5 / MOST_A_SECOND
    assert sum(roomy.admits("h:1", 1) for _ in range(1000)) == 10
    now[0] += 100.0
    assert sum(roomy.admits("h:1", 1, CALL_COST) for _ in range(1000)) == BURST / CALL_COST
    now[0] += 100.0
    assert roomy.admits("h:1", MOST_BYTES // 2)
    assert not roomy.admits("h:1", MOST_BYTES // 2 + 1)
    await until(lambda: log.outcomes[Copied.DROPPED] == 1 + 900 + 990 + 980 + 1)


@pytest.fixture
async def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, list[tuple[Any, ...]]]:
    parts = serving_parts(tmp_path)
    made: list[tuple[Any, ...]] = []
    monkeypatch.setattr(parts.copier, "copy_request", lambda *request: made.append(request))
    return parts, made


async def ask(parts: Any, path: str, body: object, method: str = "POST", **headers: str) -> Response:
    content = b"" if body is None else json.dumps(body).encode()
    response = await answer(PredictionApp(parts), a_head(method, path, headers), content)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return response


async def test_predictions_that_were_answered_are_copied_and_nothing_else(
    copies: tuple[Any, list[tuple[Any, ...]]],
) -> None:
    parts, made = copies
    parts.state.rotate(Passing("there:1", copy=True))
    body = {"instances": [1]}
    response = await ask(parts, PREDICT, body)
    assert (response.status, response.close) == (200, False)
    token = dict(response.headers)[contract.PREDICTION_ID_HEADER]
    assert made == [("there:1", PREDICT, [], json.dumps(body).encode(), token)]
    assert (await ask(parts, PREDICT, {"instances": ["?"]})).status == 400
    assert (await ask(parts, "/v1/models/m/feedback", {"id": token, "label": 1})).status == 200
    assert (await ask(parts, "/v1/models/m", None, "GET")).status == 200
    assert len(made) == 1


async def test_a_share_of_predictions_is_copied(copies: tuple[Any, list[tuple[Any, ...]]]) -> None:
    parts, made = copies
    parts.state.rotate(Passing("there:1", 0.25, copy=True))
    for chance in (0.0, 0.2499, 0.25, 0.99):
        parts.chance = lambda chance=chance: chance
        await ask(parts, PREDICT, {"instances": [1]})
    assert len(made) == 2


@pytest.mark.parametrize("passing", [Passing("there:1", copy=True), Passing("there:1"), Passing()])
async def test_a_copy_is_answered_here_and_told_apart(
    copies: tuple[Any, list[tuple[Any, ...]]], passing: Passing
) -> None:
    parts, made = copies
    parts.state.rotate(passing)
    body = {"instances": [1]}
    mark = {contract.FORWARDED_HEADER: parts.seal.mark(Passed.COPY, json.dumps(body).encode())}
    response = await ask(parts, PREDICT, body, **mark)
    assert dict(response.headers)[contract.REVISION_HEADER] == "r1"
    assert made == []
    page = parts.metrics.expose("")[0].decode()
    assert '\nmodel_request_duration_seconds_count{code="200",method="copy"} 1.0\n' in page
    assert 'method="predict"' not in page


async def test_what_was_passed_on_by_others_is_copied_too(copies: tuple[Any, list[tuple[Any, ...]]]) -> None:
    parts, made = copies
    parts.state.rotate(Passing("there:1", copy=True))
    body = {"instances": [1]}
    mark = {contract.FORWARDED_HEADER: parts.seal.mark(Passed.REQUEST, json.dumps(body).encode())}
    await ask(parts, PREDICT, body, **mark)
    assert len(made) == 1


class Pod(PodClient):
    """Takes labels, or does not."""

    def __init__(self, *script: int | None) -> None:
        super().__init__()
        self.script = list(script)
        self.taken: list[tuple[str, list[dict[str, Any]]]] = []

    async def send(self, method: str, address: str, path: str, **request: Any) -> Answer:
        status = self.script.pop(0) if self.script else 200
        if status is None:
            raise Unreachable("refused")
        mark = dict(request["headers"])[contract.FORWARDED_HEADER]
        assert SEAL.read(mark, tuple(Passed), request["body"]) is Passed.LABELS
        if status == 200:
            self.taken.append((f"{method} {address}{path}", json.loads(request["body"])["labels"]))
        return Answer(status, [], b"")


def relay(pod: Pod) -> Relay:
    async def nobody() -> set[Any]:
        return set()

    return Relay(Others(pod, "/feedback", 8501, SEAL, nobody))


async def test_labels_are_passed_on_together_and_again_if_the_pod_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_server.relay._PAUSE_SECONDS", 0.0)
    pod = Pod(None, 503)
    one = relay(pod)
    labels = [Label(f"id{number}", number) for number in range(AT_ONCE + 1)]
    for label in labels:
        one.send("10.0.0.2", label)  # type: ignore[arg-type]
    one.send("10.0.0.3", labels[0])  # type: ignore[arg-type]
    await until(lambda: len(pod.taken) == 3)
    documents = [label._asdict() for label in labels]
    assert pod.taken == [
        ("POST 10.0.0.2:8501/feedback", documents[:AT_ONCE]),
        ("POST 10.0.0.2:8501/feedback", documents[AT_ONCE:]),
        ("POST 10.0.0.3:8501/feedback", documents[:1]),
    ]
    assert one.lost == 0


async def test_labels_that_nobody_takes_are_lost_and_the_next_are_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("model_server.relay._PAUSE_SECONDS", 0.0)
    pod = Pod(None, None, None)
    one = relay(pod)
    one.send("10.0.0.2", Label("a", 1))  # type: ignore[arg-type]
    await until(lambda: one.lost == 1)
    assert "could not be passed" in caplog.text
    await until(lambda: one._task is None)
    for number in range(MOST_LABELS + 5):
        one.send("10.0.0.2", Label(str(number), 1))  # type: ignore[arg-type]
    assert one.lost == 1 + 5
    await until(lambda: sum(len(labels) for _, labels in pod.taken) == MOST_LABELS)
