"""The init container as a process: from a server, a bucket or a mount to a model that can be served, or to a reason."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from model_server import contract
from model_server.contract import Env, Metric, StartFailure
from model_server.digest import digest_of
from moto.server import ThreadedMotoServer
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.stores.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.serving.conftest import StartServer

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}


class Handler(SimpleHTTPRequestHandler):
    """Serves files; /flaky/… fails the first time, /moved/… leads elsewhere, /round/… to itself."""

    failed: set[str] = set()  # noqa: RUF012  # Shared by intent: a handler lives for one request.
    go_on = threading.Event()
    """Lets /waiting/… end what it has begun."""

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
        elif path.startswith("/waiting/"):
            self.send_response(200)
            self.send_header("Content-Length", "2000")
            self.end_headers()
            self.wfile.write(bytes(1000))
            if self.headers["Range"] is None:
                self.go_on.wait(30)
                self.wfile.write(bytes(1000))
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

    def __init__(self, folder: Path, source: Path, *more: str, **environment: str) -> None:
        folder.mkdir(exist_ok=True)
        self.models = folder / "models"
        self.models.mkdir(exist_ok=True)
        log = folder / "termination"
        arguments = ["--model-dir", self.models, "--source-dir", source, "--termination-log", log, *more]
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
        ("moved/text.tar.gz?X-Amz-Signature=secret", None, "model"),
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


def test_s3(s3: dict[str, str], models: Path, tmp_path: Path) -> None:
    settings = {Env.MODEL_URI: "s3://models/news/3/text", Env.MODEL_DIGEST: digest_of(models / "text")}
    fetched = Fetched(tmp_path, tmp_path, **settings, **s3)
    assert (fetched.code, fetched.found) == (0, ["model"]), fetched.log


def test_s3_failures(s3: dict[str, str], tmp_path: Path) -> None:
    fetched = Fetched(tmp_path, tmp_path, **{Env.MODEL_URI: "s3://nobody/news"}, **s3)
    assert fetched.failure["reason"] == StartFailure.FETCH_FAILED
    assert "no such bucket" in fetched.failure["message"]


def test_claims(models: Path, tmp_path: Path) -> None:
    settings = {Env.MODEL_URI: "pvc://claim/text", Env.MODEL_DIGEST: digest_of(models / "text")}
    fetched = Fetched(tmp_path, models, **settings)
    assert (fetched.code, fetched.found) == (0, ["model"]), fetched.log


def test_a_key_of_a_configmap(models: Path, tmp_path: Path) -> None:
    """The kubelet mounts keys as links into a folder that it swaps."""
    mounted = tmp_path / "mounted"
    (mounted / "..2026").mkdir(parents=True)
    shutil.copy(models / "text.h5", mounted / "..2026" / "news.h5")
    (mounted / "..data").symlink_to("..2026")
    (mounted / "news.h5").symlink_to("..data/news.h5")
    settings = {Env.MODEL_URI: "configmap://news/news.h5", Env.MODEL_DIGEST: digest_of(models / "text.h5")}
    fetched = Fetched(tmp_path, mounted, **settings)
    assert (fetched.code, fetched.found) == (0, ["prepared"]), fetched.log
    fetched = Fetched(tmp_path, mounted, **{Env.MODEL_URI: "configmap://news/other"})
    assert "Its root holds news.h5" in fetched.failure["message"]


def test_pods_that_share_a_cache_fetch_once(models: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    archive = Path(shutil.make_archive(str(tmp_path / "model"), "gztar", models / "text"))
    settings = {
        Env.MODEL_URI: f"pvc://claim/{archive.name}",
        Env.MODEL_DIGEST: digest_of(archive),
        Env.CACHE_DIR: str(tmp_path / "cache"),
    }
    with ThreadPoolExecutor() as pool:
        pods = list(pool.map(lambda name: Fetched(tmp_path / name, tmp_path, **settings), ("a", "b")))
    assert [pod.code for pod in pods] == [0, 0], pods[0].log + pods[1].log
    reports = [json.loads((pod.models / contract.FETCH_REPORT_FILE).read_text()) for pod in pods]
    size = archive.stat().st_size
    assert sorted((one["done"], one["cached"]) for one in reports) == [(0, size), (size, 0)]


def test_progress_is_a_metric_meanwhile(website: str, tmp_path: Path) -> None:
    port = free_port()
    settings = {Env.MODEL_URI: f"{website}/waiting/model", "no_proxy": "*"}
    with ThreadPoolExecutor() as pool:
        pod = pool.submit(Fetched, tmp_path, tmp_path, "--admin-port", str(port), "--host", "127.0.0.1", **settings)
        try:
            lines = wait_for_metrics(f"http://127.0.0.1:{port}{contract.METRICS_PATH}", pod)
        finally:
            Handler.go_on.set()
        assert pod.result().failure["reason"] == StartFailure.NOT_A_MODEL  # It is 2000 times nothing.
    assert lines[Metric.FETCH_BYTES] == 1000
    assert lines[Metric.FETCH_EXPECTED_BYTES] == 2000
    assert lines[Metric.FETCH_SECONDS] >= 1


def wait_for_metrics(url: str, pod: Future[Fetched]) -> dict[str, float]:
    deadline = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            return {sample.name: sample.value for family in families for sample in family.samples}
        assert not pod.done(), pod.result().log
        assert time.monotonic() < deadline
        time.sleep(0.05)


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
