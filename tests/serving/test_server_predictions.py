"""Predictions of all formats, and what TensorFlow Serving's clients expect around them."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING

import pytest
from model_server import contract
from model_server.http.limits import FEEDBACK_BYTES
from model_server.settings import DEFAULT_BODY_BYTES

from tests.serving.model_servers import HTTP_PORT, call

if TYPE_CHECKING:
    from tests.serving.conftest import StartServer
    from tests.serving.model_servers import ModelServer

GOOD, BAD = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))


@pytest.fixture(scope="module")
def server(shared: StartServer) -> ModelServer:
    return shared("text.keras", MODEL_URI="s3://models/news/3")


@pytest.mark.parametrize("model", ["text.keras", "text.h5", "text"])
def test_every_format_answers_alike(start: StartServer, model: str) -> None:
    reply = start(model).predict(["很好", "坏", ""])
    assert reply.status == 200
    assert [row[0] for row in reply.json()["predictions"]] == pytest.approx([GOOD, BAD, BAD], abs=1e-6)
    assert reply.headers["content-type"] == "application/json"
    assert reply.revision == "r1"
    assert reply.token


def test_columns_and_binary_texts(server: ModelServer) -> None:
    encoded = {"b64": base64.b64encode("好".encode()).decode()}
    for inputs in (["好"], [encoded], {"text": ["好"]}):
        reply = server.post(":predict", {"inputs": inputs})
        assert reply.json()["outputs"][0][0] == pytest.approx(GOOD)


def test_status_metadata_and_versions(server: ModelServer) -> None:
    assert server.get().json()["model_version_status"][0]["version"] == "3"
    assert server.get("/versions/3").status == server.get("/labels/r1").status == 200
    assert server.post("/versions/3:predict", {"instances": ["好"]}).status == 200
    signature = server.get("/metadata").json()["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["text"]["dtype"] == "DT_STRING"
    assert signature["outputs"]["output_0"]["dtype"] == "DT_FLOAT"


@pytest.mark.parametrize(
    ("suffix", "body", "status"),
    [
        (":predict", b"{", 400),
        (":predict", {"instances": [1]}, 400),
        (":predict", {"instances": [["a", "b"]]}, 400),
        ("/versions/2:predict", {"instances": ["a"]}, 404),
        ("", {}, 405),
    ],
)
def test_errors_have_the_codes_of_tensorflow_serving(
    server: ModelServer, suffix: str, body: object, status: int
) -> None:
    reply = server.post(suffix, body)
    assert reply.status == status
    assert isinstance(reply.json()["error"], str)
    assert contract.PREDICTION_ID_HEADER.lower() not in reply.headers


def test_another_model_is_not_found(server: ModelServer) -> None:
    reply = call(server.address, HTTP_PORT, "POST", "/v1/models/other:predict", {"instances": ["a"]})
    assert reply.status == 404
    assert "Servable not found" in reply.json()["error"]


def test_a_body_that_is_too_large_is_refused(server: ModelServer) -> None:
    for suffix, limit in ((":predict", DEFAULT_BODY_BYTES), (contract.FEEDBACK_SUFFIX, FEEDBACK_BYTES)):
        reply = server.post(suffix, b" " * (limit + 1))
        assert reply.status == 413
        assert f"{limit >> 20} MiB" in reply.json()["error"]
    assert server.predict(["a"] * 17_000).status == 413
    assert server.post(":predict", {}, X=("a" * 70_000)).status == 431
    assert server.predict(["好"]).status == 200


def test_metrics_tell_what_happened(server: ModelServer) -> None:
    server.predict(["好"] * 3)
    text = server.admin("GET", contract.METRICS_PATH).body.decode()
    assert 'model_request_duration_seconds_count{code="200",method="predict"}' in text
    assert "model_predictions_total " in text
    assert "model_accuracy" not in text  # Nobody knows it yet.


@pytest.mark.parametrize("path", [contract.COUNTS_PATH, contract.ROTATION_PATH])
@pytest.mark.parametrize("token", ["", "operator's toke", "operator's token2", "schlüssel"])
def test_only_the_operator_may_look_and_turn(server: ModelServer, path: str, token: str) -> None:
    reply = server.admin("PUT" if path == contract.ROTATION_PATH else "GET", path, b"{}", token)
    assert reply.status == 401
    assert server.admin("PUT", contract.ROTATION_PATH, {"forward_to": "nowhere"}).status == 400


def test_many_inputs_and_outputs(start: StartServer) -> None:
    server = start("pair.keras")
    reply = server.predict([{"left": [3], "right": [1]}, {"left": [1], "right": [5]}])
    assert reply.json() == {"predictions": [{"sum": [4], "difference": [2]}, {"sum": [6], "difference": [-4]}]}
    assert contract.PREDICTION_ID_HEADER.lower() not in reply.headers
    columns = server.post(":predict", {"inputs": {"left": [[3]], "right": [[1]]}}).json()
    assert columns == {"outputs": {"sum": [[4]], "difference": [[2]]}}
    nan = server.post(":predict", b'{"instances": [{"left": [NaN], "right": [Infinity]}]}')
    assert b"NaN" in nan.body
    assert math.isnan(json.loads(nan.body)["predictions"][0]["sum"][0])


@pytest.mark.parametrize("model", ["single.keras", "single.h5"])
def test_a_functional_model_of_one_input(start: StartServer, model: str) -> None:
    server = start(model)
    assert server.predict([[1, 2]]).json() == {"predictions": [[3]]}
    # The name is no name that a parameter of Python could have.
    assert server.predict([{"feature-1": [1, 2]}]).json() == {"predictions": [[3]]}
    signature = server.get("/metadata").json()["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert list(signature["inputs"]) == ["feature-1"]


def test_a_model_may_refuse_what_is_made_up_and_is_not_trained_by_the_way(start: StartServer) -> None:
    server = start("picky")
    assert "the model refused a made-up request" in server.log_file.read_text()
    assert server.predict(["2"]).json() == {"predictions": [2]}
    reply = server.predict(["x"])
    assert reply.status == 400
    assert reply.json()["error"] == "StringToNumberOp could not correctly convert string: x"
    assert server.post(":predict", {"instances": [0.0], "signature_name": "train"}).json() == {"predictions": [1]}
    assert server.predict(["2"]).json() == {"predictions": [3]}
