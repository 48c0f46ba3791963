"""Servers that cannot start say why; those that start are not ready before their model has answered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from model_server import contract
from model_server.contract import StartFailure

from tests.serving.model_servers import ADMIN_PORT, call

if TYPE_CHECKING:
    from tests.serving.conftest import StartServer

WRITTEN = Path("/tmp/written-by-a-model")


@pytest.mark.parametrize("model", ["reads", "writes", "hides"])
def test_a_saved_model_that_touches_files_is_refused(start: StartServer, model: str) -> None:
    WRITTEN.unlink(missing_ok=True)
    server = start(model, wait=False)
    assert server.wait() == 1
    assert server.failure["reason"] == StartFailure.LOAD_FAILED
    assert ("ReadFile" if model == "reads" else "WriteFile") in server.failure["message"]
    assert not WRITTEN.exists()


def test_operations_can_be_allowed_by_name(start: StartServer) -> None:
    server = start("reads", MODEL_EXTRA_OPS="ReadFile")
    assert server.predict([1.0]).json()["predictions"][0]["file"] == Path("/etc/hostname").read_text()


@pytest.mark.parametrize("model", ["lambda.keras", "lambda.h5"])
def test_python_code_in_a_keras_file_is_refused(start: StartServer, model: str) -> None:
    server = start(model, wait=False)
    assert server.wait() == 1
    assert server.failure["reason"] == StartFailure.LOAD_FAILED
    assert "Python code" in server.failure["message"]


@pytest.mark.parametrize(
    ("environment", "reason", "message"),
    [
        ({"MODEL_FORMAT": "h5"}, StartFailure.NOT_A_MODEL, "is of the format keras"),
        ({"MODEL_LABELS": '["a", "b", "c"]'}, StartFailure.BAD_SETTINGS, "tells 2 classes apart"),
        ({"MODEL_NAME": ""}, StartFailure.BAD_SETTINGS, "MODEL_NAME"),
    ],
)
def test_settings_that_do_not_fit(
    start: StartServer, environment: dict[str, str], reason: StartFailure, message: str
) -> None:
    server = start("text.keras", wait=False, **environment)
    assert server.wait() == 1
    assert server.failure["reason"] == reason
    assert message in server.failure["message"]


def test_a_damaged_file_is_told(start: StartServer, models: Path) -> None:
    server = start("text.keras", wait=False)
    server.kill()
    (server.model_dir / "text.keras").write_bytes((models / "text.h5").read_bytes()[:5000])
    server.start()
    assert server.wait() == 1
    assert server.failure["reason"] == StartFailure.LOAD_FAILED


def test_while_it_loads_it_lives_but_is_not_ready(start: StartServer) -> None:
    server = start("text.keras", wait=False)
    answers = set()
    while not server.is_ready():
        assert server.process is not None
        assert server.process.poll() is None
        try:
            assert call(server.address, ADMIN_PORT, "GET", contract.LIVE_PATH).status == 200
            answers.add(server.predict(["好"]).status)
        except ConnectionRefusedError:
            continue
    assert 503 in answers
    assert answers <= {200, 503}
    assert server.predict(["好"]).status == 200


def test_told_to_stop_while_it_loads_it_stops(start: StartServer) -> None:
    server = start("text.keras", wait=False)
    while (
        b"oneDNN" not in server.log_file.read_bytes() and server.process is not None and server.process.poll() is None
    ):
        pass
    server.terminate()
    assert server.wait(10) == 0
