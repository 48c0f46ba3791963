"""The HTTP port when things go wrong, or are about to end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from model_server import contract
from model_server.app import PredictionApp
from model_server.contract import Env
from model_server.errors import BodyTooLarge, InvalidArgument
from model_server.http.limits import FEEDBACK_BYTES, SMALL_BYTES
from model_server.passing import Passed
from model_server.pods import Answer, PodClient, Unreachable
from model_server.rotation import Passing
from model_server.state import Phase

from tests.serving.in_process import Half, a_head, begin, call, serving_parts

if TYPE_CHECKING:
    from pathlib import Path

    from model_server.parts import Parts

PREDICT = "/v1/models/m:predict"
BODY = {"instances": [1]}


@pytest.fixture
async def parts(tmp_path: Path) -> Parts:
    return serving_parts(tmp_path)


async def test_an_unforeseen_error_is_no_secret_and_no_traceback(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Half):
        def predict(self, signature_name: str, inputs: Any) -> dict[str, Any]:
            raise RuntimeError("the inside")

    begin(parts, Broken())
    status, _, body = await call(PredictionApp(parts), "POST", PREDICT, BODY)
    assert status == 500
    assert b"the inside" not in body
    assert "the inside" in caplog.text


async def test_while_loading_it_asks_for_patience(parts: Parts) -> None:
    parts.content.catalog.loaded, parts.state.phase = None, Phase.LOADING  # type: ignore[attr-defined]
    status, _, body = await call(PredictionApp(parts), "POST", PREDICT, BODY)
    assert (status, "loading" in json.loads(body)["error"]) == (503, True)
    _, _, body = await call(PredictionApp(parts), "GET", "/v1/models/m")
    assert json.loads(body)["model_version_status"][0]["state"] == "LOADING"


async def test_a_model_that_shows_to_be_no_classifier_gives_no_ids_any_more(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    class Identity(Half):
        def predict(self, signature_name: str, inputs: Any) -> dict[str, Any]:
            return {"y": inputs["x"]}

    begin(parts, Identity())
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
    begin(parts, half)
    status, headers, _ = await call(PredictionApp(parts), "POST", PREDICT, {**BODY, "signature_name": "other"})
    assert (status, "prediction-id" in headers) == (200, False)


async def test_each_path_has_its_limit(tmp_path: Path) -> None:
    app = PredictionApp(serving_parts(tmp_path, environment={Env.MAX_BODY_BYTES: "10"}))
    paths = {
        ("POST", PREDICT): 10,
        ("POST", "/v1/models/m/feedback"): FEEDBACK_BYTES,
        ("GET", "/v1/models/m"): SMALL_BYTES,
    }
    for (method, path), limit in paths.items():
        assert app.limit(a_head(method, path)) == limit


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nowhere", 404, None),
        ("GET", "/v1/models/m:nothing", 404, None),
        ("GET", PREDICT, 405, "POST"),
        ("POST", "/v1/models/m", 405, "GET, HEAD"),
        ("HEAD", "/v1/models/m/metadata", 200, None),
        ("POST", "/v1/models/m/versions/1/feedback", 404, None),
        ("POST", "/v1/models/m/versions/x:predict", 404, None),
    ],
)
async def test_what_is_not_there_or_not_so(
    parts: Parts, method: str, path: str, status: int, allow: str | None
) -> None:
    code, headers, body = await call(PredictionApp(parts), method, path)
    assert (code, headers.get("allow")) == (status, allow)
    assert status == 200 or json.loads(body).keys() == {"error"}
    assert headers["model-revision"] == "r1"


async def test_what_is_no_http_is_told_as_json(parts: Parts) -> None:
    response = PredictionApp(parts).refuse(None, InvalidArgument("no HTTP"))
    assert (response.status, json.loads(response.body)) == (400, {"error": "no HTTP"})


async def test_refusals_are_counted(parts: Parts) -> None:
    app, head = PredictionApp(parts), a_head("POST", PREDICT)
    app.limit(head)
    assert app.refuse(head, BodyTooLarge("too large")).status == 413
    page = parts.metrics.expose("")[0].decode()
    assert '\nmodel_request_duration_seconds_count{code="413",method="predict"} 1.0\n' in page


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
        assert "content-length" not in dict(request["headers"])
        if address == "gone:1":
            raise Unreachable("refused")
        headers = [("Model-Revision", "r2"), ("Prediction-Id", "t"), ("Content-Type", "a/b"), ("Connection", "x")]
        return Answer(418, headers, f"{method} {path} {request['body'].decode()}".encode())


async def test_a_forwarded_answer_is_passed_back_whole(tmp_path: Path) -> None:
    parts = serving_parts(tmp_path, Elsewhere())
    parts.state.rotate(Passing("there:1"))
    status, headers, body = await call(PredictionApp(parts), "POST", PREDICT, BODY)
    assert (status, body) == (418, b'POST /v1/models/m:predict {"instances": [1]}')
    assert headers == {
        "model-revision": "r2",
        "prediction-id": "t",
        "content-type": "a/b",
        "connection": "close",
    }
    assert parts.book.predictions.made == 0
    page = parts.metrics.expose("")[0].decode()
    assert '\nmodel_requests_forwarded_total{outcome="answered"} 1.0\n' in page
    assert "\nmodel_request_duration_seconds_count" not in page  # The pod that answered measures it.


async def test_a_path_is_passed_on_as_it_came(tmp_path: Path) -> None:
    parts = serving_parts(tmp_path, Elsewhere())
    parts.state.rotate(Passing("there:1"))
    body = (await call(PredictionApp(parts), "GET", "/v1/models/a b?%23?x=%20"))[2]
    assert body == b"GET /v1/models/a%20b?%23?x=%20 "


async def test_a_client_cannot_pretend_to_be_a_pod(tmp_path: Path) -> None:
    parts = serving_parts(tmp_path, Elsewhere())
    parts.state.rotate(Passing("there:1"))
    labels_mark = parts.seal.mark(Passed.LABELS, json.dumps(BODY).encode())
    for value in ("x", "10.0.0.1." + "0" * 64, labels_mark):
        _, headers, _ = await call(PredictionApp(parts), "POST", PREDICT, BODY, {contract.FORWARDED_HEADER: value})
        assert headers["model-revision"] == "r2"


@pytest.mark.parametrize("forward_to", ["gone:1", "there:1"])
async def test_what_stays_here_says_so(tmp_path: Path, forward_to: str) -> None:
    parts = serving_parts(tmp_path, Elsewhere())
    parts.state.rotate(Passing(forward_to))
    mark = parts.seal.mark(Passed.REQUEST, json.dumps(BODY).encode())
    passed_on = {contract.FORWARDED_HEADER: mark} if forward_to == "there:1" else {}
    status, headers, _ = await call(PredictionApp(parts), "POST", PREDICT, BODY, passed_on)
    assert (status, headers["model-revision"], headers["connection"]) == (200, "r1", "close")
    labels = {"id": headers["prediction-id"], "label": 1}
    assert (await call(PredictionApp(parts), "POST", "/v1/models/m/feedback", labels))[0] == 200
    assert parts.book.tally.correct == 1
    page = parts.metrics.expose("")[0].decode()
    for line in (
        f'model_requests_forwarded_total{{outcome="unreachable"}} {float(forward_to == "gone:1")}',
        'model_requests_forwarded_total{outcome="answered"} 0.0',
        'model_request_duration_seconds_count{code="200",method="predict"} 1.0',
        "model_batch_size_sum 1.0",
        "model_label_delay_seconds_count 1.0",
    ):
        assert f"\n{line}\n" in page
