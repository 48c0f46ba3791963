"""Several models in one server, and versions that come and go under load."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from model_server.contract import Env

from tests.serving.model_servers import ADMIN_PORT, HTTP_PORT, ModelServer, Reply, call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 60.0
FILE = """
model_config_list {
  config { name: "times" base_path: "%(folder)s/times" }
  config {
    name: "both"
    base_path: "%(folder)s/both"
    model_version_policy { all {} }
    version_labels { key: "stable" value: 1 }
  }
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, engine_models: Path) -> Path:
    """Where the server looks: one version of `times`, two of `both`."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(engine_models / "times" / "1", folder / "times" / "1")
    shutil.copytree(engine_models / "times", folder / "both")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[ModelServer]:
    file = folder / "models.config"
    file.write_text(FILE % {"folder": folder})
    server = ModelServer(tmp_path_factory.mktemp("pod"), folder, environment={Env.MODELS_FILE: str(file)})
    server.start()
    server.wait_until_ready()
    yield server
    server.kill()


def ask(server: ModelServer, path: str, x: float = 1.0) -> Reply:
    return call(server.address, HTTP_PORT, "POST", f"/v1/models/{path}:predict", {"instances": [x]})


def states(server: ModelServer, model: str) -> dict[str, str]:
    document = call(server.address, HTTP_PORT, "GET", f"/v1/models/{model}").json()
    return {status["version"]: status["state"] for status in document["model_version_status"]}


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("times", 0.5),
        ("times/versions/1", 0.5),
        ("both", 0.25),
        ("both/versions/1", 0.5),
        ("both/versions/2", 0.25),
        ("both/labels/stable", 0.5),
    ],
)
def test_each_version_is_found(server: ModelServer, path: str, answer: float) -> None:
    assert ask(server, path).json() == {"predictions": [answer]}


@pytest.mark.parametrize(
    ("path", "code", "complaint"),
    [
        ("other", 404, "this server has times, both"),
        ("both/versions/7", 404, "Specific(both, 7)"),
        ("both/labels/canary", 400, "Unrecognized servable version label: canary; both has stable"),
    ],
)
def test_what_is_not_there_is_told(server: ModelServer, path: str, code: int, complaint: str) -> None:
    reply = ask(server, path)
    assert reply.status == code
    assert complaint in reply.json()["error"]


def test_the_status_tells_of_all_versions(server: ModelServer) -> None:
    assert states(server, "both") == {"2": "AVAILABLE", "1": "AVAILABLE"}


def test_labels_are_counted_by_model_and_version(server: ModelServer) -> None:
    token = ask(server, "both/versions/1").token
    body = {"id": token, "label": 1}
    for model, code in (("both", 200), ("both", 409)):
        assert call(server.address, HTTP_PORT, "POST", f"/v1/models/{model}/feedback", body).status == code
    page = call(server.address, ADMIN_PORT, "GET", "/metrics").body.decode()
    counted = [line for line in page.splitlines() if line.startswith("model_labels_total") and line.endswith(" 1.0")]
    (line,) = counted
    assert all(part in line for part in ('model="both"', 'version="1"', 'outcome="correct"'))


def test_recorded_requests_warm_a_version_up(server: ModelServer) -> None:
    lines = [json.loads(line) for line in server.log_file.read_text().splitlines() if line.startswith("{")]
    warmed = [line for line in lines if line["message"] == "warmed up with recorded requests"]
    assert [line["requests"] for line in warmed[:3]] == [1, 1, 1]
    refused = [line["reason"] for line in lines if line["message"] == "a recorded request could not be asked"]
    assert "z" in refused[0]


def test_a_new_version_takes_over_without_a_failed_request(
    server: ModelServer, folder: Path, engine_models: Path
) -> None:
    seen: Counter[Any] = Counter()
    stop = threading.Event()

    def client() -> None:
        while not stop.is_set():
            reply = ask(server, "times")
            seen[reply.status, reply.json().get("predictions", [None])[0]] += 1

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: seen[200, 0.5] > 20)
        # As one writes beside and renames: a version is there as a whole or not at all.
        shutil.copytree(engine_models / "times" / "2", folder / "coming")
        (folder / "coming").rename(folder / "times" / "2")
        until(lambda: seen[200, 0.25] > 20)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(seen) == {(200, 0.5), (200, 0.25)}
    until(lambda: states(server, "times") == {"2": "AVAILABLE", "1": "END"})
    page = call(server.address, ADMIN_PORT, "GET", "/metrics").body.decode()
    assert 'model_threads{model="times",version="2"}' in page
    assert 'model_threads{model="times",version="1"}' not in page


def test_a_broken_version_is_told_and_the_good_one_serves(server: ModelServer, folder: Path) -> None:
    broken = folder / "both" / "3"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"no model")
    until(lambda: states(server, "both").get("3") == "END")
    document = call(server.address, HTTP_PORT, "GET", "/v1/models/both/versions/3").json()
    assert "no SavedModel" in document["model_version_status"][0]["status"]["error_message"]
    assert ask(server, "both").json() == {"predictions": [0.25]}


def test_labels_of_a_version_that_is_gone_count_after_a_restart_as_well(server: ModelServer, folder: Path) -> None:
    token = ask(server, "both/versions/1").token
    shutil.rmtree(folder / "both" / "3")
    shutil.rmtree(folder / "both" / "1")
    until(lambda: states(server, "both").get("1") == "END")
    server.kill()
    server.start()
    server.wait_until_ready()
    body = {"id": token, "label": 1}
    codes = [call(server.address, HTTP_PORT, "POST", "/v1/models/both/feedback", body).status for _ in range(2)]
    assert codes == [200, 409]


def test_a_wrong_file_ends_the_start_with_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "models.config"
    file.write_text("model_config_list {")
    server = ModelServer(tmp_path / "pod", tmp_path, environment={Env.MODELS_FILE: str(file)})
    server.start()
    assert server.wait() == 1
    assert server.failure["reason"] == "BadSettings"
    assert "models.config" in server.failure["message"]
