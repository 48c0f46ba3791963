"""The examples of TensorFlow Serving's page on its REST API, answered as the page says, and what it says besides."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from tests.serving.model_servers import HTTP_PORT, call

if TYPE_CHECKING:
    from tests.serving.conftest import StartServer
    from tests.serving.model_servers import ModelServer, Reply


def ask(server: ModelServer, path: str, body: object) -> Reply:
    return call(server.address, HTTP_PORT, "POST" if body is not None else "GET", path, body)


@pytest.fixture(scope="module")
def three(shared_classic: StartServer) -> ModelServer:
    return shared_classic("half_plus_three", MODEL_NAME="half_plus_three", MODEL_URI="s3://models/half_plus_three/123")


@pytest.fixture(scope="module")
def two(shared_classic: StartServer) -> ModelServer:
    return shared_classic("half_plus_two", MODEL_NAME="half_plus_two")


def test_status(three: ModelServer) -> None:
    reply = ask(three, "/v1/models/half_plus_three", None)
    assert reply.headers["content-type"] == "application/json"
    (status,) = reply.json()["model_version_status"]
    assert (status["version"], status["state"]) == ("123", "AVAILABLE")
    assert status["status"]["error_code"] == "OK"


@pytest.mark.parametrize("place", ["", "/versions/123"])
def test_predict(three: ModelServer, place: str) -> None:
    reply = ask(three, f"/v1/models/half_plus_three{place}:predict", {"instances": [1.0, 2.0, 5.0]})
    assert (reply.status, reply.json()) == (200, {"predictions": [3.5, 4.0, 5.5]})
    columns = ask(three, f"/v1/models/half_plus_three{place}:predict", {"inputs": [1.0, 2.0, 5.0]})
    assert columns.json() == {"outputs": [3.5, 4.0, 5.5]}


def test_regress(three: ModelServer) -> None:
    body = {"signature_name": "tensorflow/serving/regress", "examples": [{"x": 1.0}, {"x": 2.0}]}
    reply = ask(three, "/v1/models/half_plus_three:regress", body)
    assert (reply.status, reply.json()) == (200, {"results": [3.5, 4.0]})


def test_a_model_that_is_not_there(three: ModelServer) -> None:
    reply = ask(three, "/v1/models/half:predict", {"instances": [1.0, 5.0]})
    assert reply.status == 404
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["error"].startswith("Servable not found for request: Latest(half)")


def test_half_plus_two(two: ModelServer) -> None:
    """The first thing that anybody does with TensorFlow Serving."""
    reply = ask(two, "/v1/models/half_plus_two:predict", {"instances": [1.0, 2.0, 5.0]})
    assert reply.json() == {"predictions": [2.5, 3.0, 4.5]}
    by_name = ask(two, "/v1/models/half_plus_two:predict", {"instances": [{"x": [1.0]}, {"x": [2.0]}]})
    assert by_name.json() == {"predictions": [[2.5], [3.0]]}


def test_rows_that_should_be_columns_share_no_batch_with_others(two: ModelServer) -> None:
    """(n,) beside (n, 1) would be (n, n)."""
    assert ask(two, "/v1/models/half_plus_two:predict", {"inputs": 5.0}).status in {200, 400}
    for _ in range(3):
        assert ask(two, "/v1/models/half_plus_two:predict", {"inputs": [[1.0]]}).json() == {"outputs": [[2.5]]}
        assert ask(two, "/v1/models/half_plus_two:predict", {"inputs": [1.0]}).json() == {"outputs": [2.5]}


def test_classify(two: ModelServer) -> None:
    body: dict[str, Any] = {"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}, {"x": 2.0}]}
    reply = ask(two, "/v1/models/half_plus_two:classify", body)
    assert (reply.status, reply.json()) == (200, {"results": [[["", 2.5]], [["", 3.0]]]})
    named = body | {"signature_name": "classify_x_to_names", "context": {"x": 0.0}, "examples": [{}, {"x": 2.0}]}
    results = ask(two, "/v1/models/half_plus_two:classify", named).json()["results"]
    assert results[0] == [["low", 0.5], ["high", 0.5]]
    assert [label for label, _ in results[1]] == ["low", "high"]
    assert results[1][0][1] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("method", "body", "status", "message"),
    [
        ("regress", {"examples": [{"x": 1.0}]}, 400, "not for regress"),
        ("regress", {"signature_name": "regress_x2_to_y3", "examples": [{"x": 1.0}]}, 400, "tf.Example"),
        ("regress", {"signature_name": "none", "examples": [{"x": 1.0}]}, 400, "not found in signature def"),
        ("regress", {"signature_name": "regress_x_to_y", "examples": [{"x2": 1.0}]}, 400, "x"),
        ("regress", {"signature_name": "regress_x_to_y", "examples": [{"x": "a"}]}, 400, "x"),
        ("classify", {"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}]}, 400, "not for classify"),
        ("predict", {"instances": [[1.0], [1.0, 2.0]]}, 400, "ragged"),
        ("predict", {"instances": ["a"]}, 400, "text"),
        ("predict", {"instances": [[[1.0]]]}, 400, "shape"),
    ],
)
def test_what_does_not_fit_is_told(two: ModelServer, method: str, body: object, status: int, message: str) -> None:
    reply = ask(two, f"/v1/models/half_plus_two:{method}", body)
    assert reply.status == status
    assert message in reply.json()["error"]


def test_no_number_passes_both_ways(two: ModelServer) -> None:
    reply = ask(two, "/v1/models/half_plus_two:predict", b'{"instances": [NaN, -Infinity, 2]}')
    nan, low, three = reply.json()["predictions"]
    assert math.isnan(nan)
    assert (low, three) == (-math.inf, 3)
    assert b"NaN" in reply.body
    regress = b'{"signature_name": "regress_x_to_y", "examples": [{"x": Infinity}]}'
    assert ask(two, "/v1/models/half_plus_two:regress", regress).body == b'{"results":[Infinity]}'


def test_metadata_names_what_signatures_are_for(two: ModelServer) -> None:
    document = ask(two, "/v1/models/half_plus_two/metadata", None).json()
    assert document["model_spec"] == {"name": "half_plus_two", "signature_name": "", "version": "1"}
    signatures = document["metadata"]["signature_def"]["signature_def"]
    assert signatures["regress_x_to_y"]["method_name"] == "tensorflow/serving/regress"
    assert signatures["serving_default"] == {
        "inputs": {
            "x": {
                "dtype": "DT_FLOAT",
                "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}], "unknown_rank": False},
                "name": "x:0",
            }
        },
        "outputs": {
            "y": {
                "dtype": "DT_FLOAT",
                "tensor_shape": {"dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}], "unknown_rank": False},
                "name": "y:0",
            }
        },
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }


def test_ragged_rows_are_values_and_where_rows_begin(shared_classic: StartServer) -> None:
    """As TensorFlow writes a ragged input into a signature, and TensorFlow Serving takes it."""
    server = shared_classic("ragged")
    reply = server.post(":predict", {"inputs": {"x": [1.0, 2.0, 3.0], "x_1": [0, 2, 2, 3]}})
    assert (reply.status, reply.json()) == (200, {"outputs": [3.0, 0.0, 3.0]})
