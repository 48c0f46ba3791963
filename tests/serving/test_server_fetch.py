"""The init container against real servers: S3 (by moto), HTTP, and a mounted claim."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from model_server import contract
from model_server.contract import Env, StartFailure
from model_server.digest import digest_of
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.serving.conftest import StartServer

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}


class Handler(SimpleHTTPRequestHandler):
    """Serves files; /flaky/… fails the first time, /moved/… leads elsewhere, /round/… to itself."""

    failed: set[str] = set()  # noqa: RUF012  # Shared by intent: a handler lives for one request.

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/flaky/") and path not in self.failed:
            self.failed.add(path)
            self.send_error(503)
        elif path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", path.removeprefix("/moved"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path.startswith("/round/"):
            self.send_response(302)
            self.send_header("Location", self.path)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path.startswith("/private/"):
            self.send_error(403)
        else:
            self.path = self.path.removeprefix("/flaky")
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture(scope="module")
def website(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("website")
    shutil.copytree(models, folder, dirs_exist_ok=True)
    shutil.make_archive(str(folder / "text"), "gztar", models / "text")
    shutil.make_archive(str(folder / "text"), "zip", models, "text")
    (folder / "page").write_text("<!doctype html><p>Sign in</p>")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def s3(models: Path) -> Iterator[dict[str, str]]:
    """A bucket `models` with `news/3/…`; gives the environment to reach it."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    )
    client.create_bucket(Bucket="models")
    for file in (path for path in models.rglob("*") if path.is_file()):
        client.upload_file(str(file), "models", f"news/3/{file.relative_to(models)}")
    client.close()
    yield {"AWS_ENDPOINT_URL": endpoint, **CREDENTIALS}
    server.stop()


class Fetched:
    """One run of the init container."""

    def __init__(self, folder: Path, source: Path, **environment: str) -> None:
        folder.mkdir(exist_ok=True)
        self.models = folder / "models"
        self.models.mkdir(exist_ok=True)
        log = folder / "termination"
        arguments = ["--model-dir", self.models, "--source-dir", source, "--termination-log", log]
        done = subprocess.run(
            [sys.executable, *contract.FETCH_COMMAND[1:], *map(str, arguments)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        self.code = done.returncode
        self.log = done.stderr
        self.failure: dict[str, str] = json.loads(log.read_text()) if log.exists() else {}
        self.found = sorted({path.name for path in self.models.iterdir()} - {contract.FETCH_REPORT_FILE})


@pytest.mark.parametrize(
    ("path", "digest_of_what", "found"),
    [
        ("flaky/text.keras", "text.keras", "prepared"),
        ("moved/text.h5?X-Amz-Signature=secret", "text.h5", "prepared"),
        ("text.tar.gz", None, "model"),
        ("text.zip", None, "model"),
    ],
)
def test_http(website: str, models: Path, tmp_path: Path, path: str, digest_of_what: str | None, found: str) -> None:
    digest = {Env.MODEL_DIGEST: digest_of(models / digest_of_what)} if digest_of_what else {}
    fetched = Fetched(tmp_path, tmp_path, **{Env.MODEL_URI: f"{website}/{path}"}, **digest)
    assert (fetched.code, fetched.found) == (0, [found]), fetched.log
    assert "secret" not in fetched.log


@pytest.mark.parametrize(
    ("path", "reason", "message"),
    [
        ("none.keras", StartFailure.FETCH_FAILED, "404"),
        ("private/x?secret", StartFailure.FETCH_FAILED, "403"),
        ("page", StartFailure.NOT_A_MODEL, "web page"),
        ("round/x?X-Amz-Signature=secret", StartFailure.FETCH_FAILED, "TooManyRedirects"),
    ],
)
def test_http_failures(website: str, tmp_path: Path, path: str, reason: StartFailure, message: str) -> None:
    fetched = Fetched(tmp_path, tmp_path, **{Env.MODEL_URI: f"{website}/{path}"})
    assert fetched.code == 1
    assert fetched.failure["reason"] == reason
    assert message in fetched.failure["message"]
    assert "secret" not in fetched.log


def test_a_wrong_digest_is_told_and_nothing_is_left(website: str, models: Path, tmp_path: Path) -> None:
    uri, wrong = f"{website}/text.tar.gz", "sha256:" + "0" * 64
    fetched = Fetched(tmp_path, tmp_path, **{Env.MODEL_URI: uri, Env.MODEL_DIGEST: wrong})
    assert fetched.code == 1
    assert fetched.failure["reason"] == StartFailure.DIGEST_MISMATCH
    assert wrong in fetched.failure["message"]
    assert fetched.found == [".incoming"]  # It was not unpacked.
    again = Fetched(tmp_path, tmp_path, **{Env.MODEL_URI: uri})
    assert (again.code, again.found) == (0, ["model"])


@pytest.mark.parametrize(("key", "found"), [("text.keras", "prepared"), ("text", "model"), ("text/", "model")])
def test_s3(s3: dict[str, str], models: Path, tmp_path: Path, key: str, found: str) -> None:
    settings = {Env.MODEL_URI: f"s3://models/news/3/{key}", Env.MODEL_DIGEST: digest_of(models / key)}
    fetched = Fetched(tmp_path, tmp_path, **settings, **s3)
    assert (fetched.code, fetched.found) == (0, [found]), fetched.log


@pytest.mark.parametrize(
    ("uri", "message"), [("s3://models/news/4", "no such object"), ("s3://nobody/news", "no such bucket")]
)
def test_s3_failures(s3: dict[str, str], tmp_path: Path, uri: str, message: str) -> None:
    fetched = Fetched(tmp_path, tmp_path, **{Env.MODEL_URI: uri}, **s3)
    assert fetched.failure["reason"] == StartFailure.FETCH_FAILED
    assert message in fetched.failure["message"]


@pytest.mark.parametrize(("path", "found"), [("text.h5", "prepared"), ("text", "model")])
def test_claims(models: Path, tmp_path: Path, path: str, found: str) -> None:
    settings = {Env.MODEL_URI: f"pvc://claim/{path}", Env.MODEL_DIGEST: digest_of(models / path)}
    fetched = Fetched(tmp_path, models, **settings)
    assert (fetched.code, fetched.found) == (0, [found]), fetched.log


def test_a_claim_without_the_path_says_what_it_holds(tmp_path: Path) -> None:
    source = tmp_path / "claim"
    (source / "news").mkdir(parents=True)
    fetched = Fetched(tmp_path, source, **{Env.MODEL_URI: "pvc://claim/nwes"})
    assert "Its root holds news" in fetched.failure["message"]


def test_fetching_imports_no_tensorflow() -> None:
    script = "import sys, model_server.fetch; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_what_was_fetched_is_served(website: str, start: StartServer, tmp_path: Path) -> None:
    fetched = Fetched(tmp_path / "fetch", tmp_path, **{Env.MODEL_URI: f"{website}/text.tar.gz"})
    server = start("text.keras", wait=False)
    server.kill()
    server.model_dir = fetched.models
    server.start()
    server.wait_until_ready()
    assert server.predict(["好"]).status == 200
