"""The HTTP port when things go wrong, or are about to end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from model_server import app as app_module
from model_server import contract, predictor
from model_server.app import PredictionApp
from model_server.pods import Answer, PodClient, Unreachable
from model_server.state import Phase

from tests.serving.asgi import Half, call, serving_parts

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.app import Parts

PREDICT = "/v1/models/m:predict"
BODY = {"instances": [1]}


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


async def test_a_body_without_a_length_is_bounded_as_well(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "MAX_BODY_BYTES", 10)
    app = PredictionApp(parts)
    assert (await call(app, "POST", PREDICT, [b"12345", b"678901", b"never read"]))[0] == 413
    assert (await call(app, "POST", PREDICT, None, {"Content-Length": "11"}))[0] == 413
    assert (await call(app, "POST", PREDICT, None, {"Content-Length": "x"}))[0] == 400


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


@pytest.mark.parametrize("forward_to", ["gone:1", "there:1"])
async def test_what_stays_here_says_so(tmp_path: Path, forward_to: str) -> None:
    parts = serving_parts(tmp_path, Elsewhere())
    parts.state.rotate(forward_to)
    passed_on = {contract.FORWARDED_HEADER: "x"} if forward_to == "there:1" else {}
    status, headers, _ = await call(PredictionApp(parts), "POST", PREDICT, BODY, passed_on)
    assert (status, headers["model-revision"], headers["connection"]) == (200, "r1", "close")
    labels = {"id": headers["prediction-id"], "label": 1}
    assert (await call(PredictionApp(parts), "POST", "/v1/models/m/feedback", labels))[0] == 200
    assert parts.book.tally.correct == 1
