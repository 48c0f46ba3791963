"""The HTTP port when things go wrong, or are about to end."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from model_server import contract, predictor
from model_server.app import PredictionApp
from model_server.bodies import FEEDBACK_BYTES, Bodies
from model_server.contract import Env
from model_server.errors import Unavailable
from model_server.passing import Passed
from model_server.pods import Answer, PodClient, Unreachable
from model_server.state import Phase

from tests.serving.asgi import Half, call, serving_parts

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.app import Parts

PREDICT = "/v1/models/m:predict"
BODY = {"instances": [1]}


class Slow(Half):
    """Answers when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.calls = 0

    def predict(self, signature_name: str, inputs: Any) -> dict[str, Any]:
        self.calls += 1
        self.begun.set()
        assert self.may_end.wait(10)
        return super().predict(signature_name, inputs)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return serving_parts(tmp_path)


async def test_an_unforeseen_error_is_no_secret_and_no_traceback(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Half):
        def predict(self, signature_name: str, inputs: Any) -> dict[str, Any]:
            raise RuntimeError("the inside")

    parts.predictor = predictor.Predictor(Broken(), 1)
    status, _, body = await call(PredictionApp(parts), "POST", PREDICT, BODY)
    assert status == 500
    assert b"the inside" not in body
    assert "the inside" in caplog.text


async def test_while_loading_it_asks_for_patience(parts: Parts) -> None:
    parts.predictor, parts.state.phase = None, Phase.LOADING
    status, _, body = await call(PredictionApp(parts), "POST", PREDICT, BODY)
    assert (status, "loading" in json.loads(body)["error"]) == (503, True)
    _, _, body = await call(PredictionApp(parts), "GET", "/v1/models/m")
    assert json.loads(body)["model_version_status"][0]["state"] == "LOADING"


async def test_a_full_queue_is_told(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor, "MAX_WAITING", 0)
    assert (await call(PredictionApp(parts), "POST", PREDICT, BODY))[0] == 503


async def test_what_waited_too_long_is_not_computed() -> None:
    now = [0.0]
    slow = Slow()
    queue = predictor.Predictor(slow, 1, clock=lambda: now[0])

    async def ask() -> predictor.Predicted:
        return await queue.predict(json.dumps(BODY).encode, asyncio.Event().wait)

    first, second = asyncio.create_task(ask()), asyncio.create_task(ask())
    await asyncio.to_thread(slow.begun.wait, 10)
    now[0] = predictor.MAX_WAIT_SECONDS + 1
    slow.may_end.set()
    assert (await first).instances == 1
    with pytest.raises(Unavailable, match="waited for over 30 s"):
        await second
    assert slow.calls == 1


async def test_what_nobody_waits_for_is_not_computed() -> None:
    slow = Slow()
    queue = predictor.Predictor(slow, 1)
    gone = asyncio.Event()

    async def ask() -> predictor.Predicted:
        return await queue.predict(json.dumps(BODY).encode, gone.wait)

    first, second = asyncio.create_task(ask()), asyncio.create_task(ask())
    await asyncio.to_thread(slow.begun.wait, 10)
    gone.set()
    with pytest.raises(predictor.ClientGone):
        await second
    slow.may_end.set()
    assert (await first).instances == 1
    assert slow.calls == 1


async def test_a_model_that_shows_to_be_no_classifier_gives_no_ids_any_more(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    class Identity(Half):
        def predict(self, signature_name: str, inputs: Any) -> dict[str, Any]:
            return {"y": inputs["x"]}

    parts.predictor = predictor.Predictor(Identity(), 1)
    app = PredictionApp(parts)
    given = []
    for value in (0.25, 7, 0.25, 7):
        status, headers, _ = await call(app, "POST", PREDICT, {"instances": [value]})
        assert status == 200
        given.append("prediction-id" in headers)
    assert given == [True, False, False, False]
    assert caplog.text.count("predictions get no ids any more") == 1
    _, _, body = await call(app, "GET", "/v1/models/m")
    assert "outside 0..1" in json.loads(body)["model_version_status"][0]["status"]["error_message"]


async def test_only_the_default_signature_gives_ids(parts: Parts) -> None:
    half = Half()
    half.signatures = {**half.signatures, "other": half.signatures["serving_default"]}
    parts.predictor = predictor.Predictor(half, 1)
    status, headers, _ = await call(PredictionApp(parts), "POST", PREDICT, {**BODY, "signature_name": "other"})
    assert (status, "prediction-id" in headers) == (200, False)


async def test_all_bodies_together_are_bounded(parts: Parts) -> None:
    parts.bodies = Bodies(100)
    app = PredictionApp(parts)
    for _ in range(2):  # What is answered makes room.
        assert (await call(app, "POST", PREDICT, BODY))[0] == 200
        status, _, body = await call(app, "POST", PREDICT, [b"never read"], {"Content-Length": "101"})
        assert (status, json.loads(body)["error"]) == (503, "requests of over 100 bytes are in memory: try again")
        assert (await call(app, "POST", PREDICT, [b"1" * 60, b"1" * 60, b"never read"]))[0] == 503


async def test_bodies_of_labels_are_small(parts: Parts) -> None:
    length = {"Content-Length": str(FEEDBACK_BYTES + 1)}
    status, _, body = await call(PredictionApp(parts), "POST", "/v1/models/m/feedback", [b"never read"], length)
    assert (status, "4 MiB" in json.loads(body)["error"]) == (413, True)


async def test_a_body_without_a_length_is_bounded_as_well(tmp_path: Path) -> None:
    app = PredictionApp(serving_parts(tmp_path, environment={Env.MAX_BODY_BYTES: "10"}))
    assert (await call(app, "POST", PREDICT, [b"12345", b"678901", b"never read"]))[0] == 413
    assert (await call(app, "POST", PREDICT, None, {"Content-Length": "11"}))[0] == 413
    assert (await call(app, "POST", PREDICT, None, {"Content-Length": "x"}))[0] == 400


@pytest.mark.parametrize("path", [PREDICT, "/v1/models/m/feedback"])
async def test_bodies_may_be_packed(tmp_path: Path, path: str) -> None:
    app = PredictionApp(serving_parts(tmp_path, environment={Env.MAX_BODY_BYTES: str(FEEDBACK_BYTES)}))
    _, headers, _ = await call(app, "POST", PREDICT, BODY)
    whole = json.dumps(BODY if path == PREDICT else {"id": headers["prediction-id"], "label": 1}).encode()
    packed, bomb = gzip.compress(whole), gzip.compress(b" " * (FEEDBACK_BYTES + 1))
    for body, encoding, status in (
        (packed, "gzip", 200),
        (packed[:-5], "gzip", 400),
        (b"[]", "gzip", 400),
        (packed, "br", 400),
        (bomb, "gzip", 413),
    ):
        assert (await call(app, "POST", path, [body], {"Content-Encoding": encoding}))[0] == status


async def test_a_client_that_hangs_up_gets_no_answer(parts: Parts) -> None:
    assert (await call(PredictionApp(parts), "POST", PREDICT, [b"{", None]))[0] == 0


async def test_while_draining_every_answer_closes_its_connection(parts: Parts) -> None:
    app = PredictionApp(parts)
    assert "connection" not in (await call(app, "POST", PREDICT, BODY))[1]
    parts.state.phase = Phase.DRAINING
    for path, status in ((PREDICT, 200), ("/nowhere", 404)):
        code, headers, _ = await call(app, "POST", path, BODY)
        assert (code, headers["connection"]) == (status, "close")


class Elsewhere(PodClient):
    """Another revision."""

    async def send(self, method: str, address: str, path: str, **request: Any) -> Answer:
        if address == "gone:1":
            raise Unreachable("refused")
        headers = [("Model-Revision", "r2"), ("Prediction-Id", "t"), ("Content-Type", "a/b"), ("Connection", "x")]
        return Answer(418, headers, f"{method} {path} {request['body'].decode()}".encode())


async def test_a_forwarded_answer_is_passed_back_whole(tmp_path: Path) -> None:
    parts = serving_parts(tmp_path, Elsewhere())
    parts.state.rotate("there:1")
    status, headers, body = await call(PredictionApp(parts), "POST", PREDICT, BODY)
    assert (status, body) == (418, b'POST /v1/models/m:predict {"instances": [1]}')
    assert headers == {
        "content-length": str(len(body)),
        "model-revision": "r2",
        "prediction-id": "t",
        "content-type": "a/b",
        "connection": "close",
    }
    assert parts.book.predictions == 0
    page = parts.metrics.expose("")[0].decode()
    assert "\nmodel_requests_forwarded_total 1.0\n" in page
    assert "\nmodel_request_duration_seconds_count" not in page  # The pod that answered measures it.


async def test_a_client_cannot_pretend_to_be_a_pod(tmp_path: Path) -> None:
    parts = serving_parts(tmp_path, Elsewhere())
    parts.state.rotate("there:1")
    labels_mark = parts.seal.mark(Passed.LABELS, json.dumps(BODY).encode())
    for value in ("x", "10.0.0.1." + "0" * 64, labels_mark):
        _, headers, _ = await call(PredictionApp(parts), "POST", PREDICT, BODY, {contract.FORWARDED_HEADER: value})
        assert headers["model-revision"] == "r2"


@pytest.mark.parametrize("forward_to", ["gone:1", "there:1"])
async def test_what_stays_here_says_so(tmp_path: Path, forward_to: str) -> None:
    parts = serving_parts(tmp_path, Elsewhere())
    parts.state.rotate(forward_to)
    mark = parts.seal.mark(Passed.REQUEST, json.dumps(BODY).encode())
    passed_on = {contract.FORWARDED_HEADER: mark} if forward_to == "there:1" else {}
    status, headers, _ = await call(PredictionApp(parts), "POST", PREDICT, BODY, passed_on)
    assert (status, headers["model-revision"], headers["connection"]) == (200, "r1", "close")
    labels = {"id": headers["prediction-id"], "label": 1}
    assert (await call(PredictionApp(parts), "POST", "/v1/models/m/feedback", labels))[0] == 200
    assert parts.book.tally.correct == 1
    page = parts.metrics.expose("")[0].decode()
    for line in (
        "model_requests_forwarded_total 0.0",
        'model_request_duration_seconds_count{code="200",method="predict"} 1.0',
        "model_batch_size_sum 1.0",
        "model_label_delay_seconds_count 1.0",
    ):
        assert f"\n{line}\n" in page
