"""The official clients of the protocols, each as it comes, against real servers.

What the clients do is in `tests/clients`; they run in environments of their own, which are made once.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.serving.model_servers import GRPC_PORT, HTTP_PORT, ModelServer
from tests.support import environments

if TYPE_CHECKING:
    from tests.serving.conftest import StartServer

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
GOOD, BAD = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))
NAMED = {"prediction_id", "revision"}


def run(*command: str) -> Any:
    """Run a client; it prints JSON."""
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment = os.environ if command[1] == "-m" else alone
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def text(shared: StartServer) -> ModelServer:
    return shared("text", MODEL_URI="s3://models/news/3", wait=False)


@pytest.fixture(scope="module")
def types(shared_classic: StartServer) -> ModelServer:
    return shared_classic("types", MODEL_NAME="types", wait=False)


@pytest.fixture(scope="module")
def two(shared_classic: StartServer) -> ModelServer:
    return shared_classic("half_plus_two", MODEL_NAME="half_plus_two", wait=False)


@pytest.fixture(scope="module")
def three(shared_classic: StartServer) -> ModelServer:
    return shared_classic("half_plus_three", MODEL_NAME="half_plus_three", wait=False)


@pytest.fixture(scope="module")
def ready(text: ModelServer, types: ModelServer, two: ModelServer, three: ModelServer) -> None:
    """They start at the same time."""
    for server in (text, types, two, three):
        server.wait_until_ready()


@pytest.mark.usefixtures("ready")
def test_triton_over_http(types: ModelServer, text: ModelServer) -> None:
    triton = environments.python(CLIENTS / "triton.txt")
    said = run(triton, str(CLIENTS / "triton.py"), "http", types.host_port, text.host_port)
    assert said["live"] is said["ready"] is said["model_ready"] is True
    assert said["server"]["name"] == "model_server"
    assert said["other_ready"] is False
    assert said["server"]["extensions"] == ["binary_tensor_data"]
    assert said["model"]["name"] == "m"
    assert said["model"]["versions"] == ["3"]
    assert said["model"]["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert said["model"]["outputs"] == [{"name": "output_0", "datatype": "FP32", "shape": [-1, 1]}]
    for way in ("default", "binary", "json", "json_in", "gzip_in", "gzip"):
        assert said[way] == [], way
    assert [row[0] for row in said["text"]] == pytest.approx([GOOD, BAD], abs=1e-6)
    assert said["answer"]["id"] == "7"
    assert (said["answer"]["model_name"], said["answer"]["model_version"]) == ("m", "3")
    assert said["answer"]["parameters"].keys() == NAMED
    assert said["answer"]["parameters"]["revision"] == "r1"
    codes = [refusal.partition(":")[0] for refusal in said["refused"]]
    assert codes == ["404", "400", "404"]
    assert "there is no input 'bool'" in said["refused"][1]


@pytest.mark.usefixtures("ready")
def test_triton_over_grpc(types: ModelServer, text: ModelServer) -> None:
    triton = environments.python(CLIENTS / "triton.txt")
    addresses = (f"{server.address}:{GRPC_PORT}" for server in (types, text))
    said = run(triton, str(CLIENTS / "triton.py"), "grpc", *addresses)
    assert said["live"] is said["ready"] is said["model_ready"] is True
    assert said["server"]["name"] == "model_server"
    assert said["model"]["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": ["-1"]}]
    assert said["default"] == said["gzip"] == []
    assert [row[0] for row in said["text"]] == pytest.approx([GOOD, BAD], abs=1e-6)
    assert said["answer"]["id"] == "7"
    assert said["answer"]["parameters"].keys() == NAMED
    codes = [refusal.partition(":")[0] for refusal in said["refused"]]
    assert codes == ["StatusCode.NOT_FOUND", "StatusCode.INVALID_ARGUMENT", "StatusCode.NOT_FOUND"]


@pytest.mark.usefixtures("ready")
def test_kserve(text: ModelServer) -> None:
    kserve = environments.python(CLIENTS / "kserve.txt")
    said = run(kserve, str(CLIENTS / "kserve_client.py"), text.host_port, f"{text.address}:{GRPC_PORT}")
    for protocol in ("http", "grpc"):
        answers = said[protocol]
        assert answers["live"] is answers["ready"] is answers["model_ready"] is True
        for way in ("binary", "json"):
            assert answers[way]["id"] == "7"
            assert [row[0] for row in answers[way]["output"]] == pytest.approx([GOOD, BAD], abs=1e-6)
            assert set(answers[way]["parameters"]) == NAMED
    assert said["grpc"]["binary"]["version"] == "3"  # Over HTTP, its client does not look.
    assert [row[0] for row in said["http"]["v1"]["predictions"]] == pytest.approx([GOOD, BAD], abs=1e-6)
    assert "404" in said["http"]["refused"]


@pytest.mark.usefixtures("ready")
def test_tensorflow_serving(two: ModelServer, three: ModelServer, text: ModelServer) -> None:
    hosts = (server.address for server in (two, three, text))
    said = run(sys.executable, "-m", "tests.clients.tensorflow_serving", str(GRPC_PORT), str(HTTP_PORT), *hosts)
    over_grpc, over_rest = said["grpc"], said["rest"]
    assert over_grpc["predict"] == [2.5, 3.0, 4.5]
    assert over_grpc["spec"] == {"name": "half_plus_two", "version": "1", "signature_name": "serving_default"}
    assert [row[0] for row in over_grpc["text"]] == pytest.approx([GOOD, BAD], abs=1e-6)
    assert over_grpc["trailing"] == ["prediction-id"]
    assert over_grpc["regress"] == [3.5, 4.0]
    assert over_grpc["classify"][1] == [["low", pytest.approx(1 / 3)], ["high", pytest.approx(2 / 3)]]
    assert over_grpc["classify"][0][0] == ["low", pytest.approx(0.4)]
    assert over_grpc["several"] == ["regression_result", "classification_result"]
    assert over_grpc["signatures"]["regress_x_to_y"] == "tensorflow/serving/regress"
    (status,) = over_grpc["status"]["model_version_status"]
    assert (status["version"], status["state"]) == ("1", "AVAILABLE")
    codes = [code for code, _ in over_grpc["refused"]]
    assert codes == ["NOT_FOUND", "NOT_FOUND", "INVALID_ARGUMENT", "INVALID_ARGUMENT"]
    assert over_rest["predict"] == {"predictions": [2.5, 3.0, 4.5]}
    assert over_rest["status"]["model_version_status"][0]["state"] == "AVAILABLE"
    assert over_rest["metadata"]["name"] == "half_plus_two"
