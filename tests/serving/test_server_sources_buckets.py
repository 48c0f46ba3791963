"""s3://, gs:// and az:// against moto, fake-gcs-server and Azurite.

Azurite verifies signatures. moto asks nobody for a valid one, and fake-gcs-server lets everybody in, so that
signing in to Google's storage is tested nowhere.
"""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import obstore
import pytest
import requests
from model_server.cache import Cache
from model_server.contract import StartFailure
from model_server.digest import digest_of
from model_server.errors import StartError
from model_server.sources import patience
from moto.server import ThreadedMotoServer
from obstore.store import AzureStore

from tests.serving.stores.bring import Bringer
from tests.serving.stores.broken_wire import broken_wire
from tests.serving.stores.built import AZURE_ACCOUNT, AZURE_KEY, azure, google, make_container

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = {"saved_model.pb": b"pb", "variables/data": os.urandom(20 * 2**20), "variables/index": b"", "ä b#%?": b"x"}
BUCKET = "buckets-of-tests"  # Of its own: all servers of moto in one process share what they hold.
SCHEMES = ("s3", "gs", "az")


def folder_of_files(folder: Path) -> Path:
    for name, data in FILES.items():
        path = folder / "news" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / "news"


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> str:
    return digest_of(folder_of_files(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client(
        "s3", endpoint_url=endpoint, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    )
    client.create_bucket(Bucket=BUCKET)
    for name, data in FILES.items():
        client.put_object(Bucket=BUCKET, Key=f"news/3/{name}", Body=data)
    client.close()
    yield endpoint
    server.stop()


@pytest.fixture(scope="module")
def gs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with google(tmp_path_factory.mktemp("google")) as endpoint:
        made = requests.post(f"{endpoint}/storage/v1/b?project=p", json={"name": BUCKET}, timeout=10)
        made.raise_for_status()
        for name, data in FILES.items():
            params = {"uploadType": "media", "name": f"news/3/{name}"}
            url = f"{endpoint}/upload/storage/v1/b/{BUCKET}/o"
            requests.post(url, params=params, data=data, timeout=10).raise_for_status()
        yield endpoint


@pytest.fixture(scope="module")
def az(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with azure(tmp_path_factory.mktemp("azure")) as endpoint:
        make_container(endpoint, BUCKET)
        login: Any = {"account_name": AZURE_ACCOUNT, "account_key": AZURE_KEY, "endpoint": endpoint}
        store = AzureStore(BUCKET, client_options={"allow_http": True}, **login)
        for name, data in FILES.items():
            obstore.put(store, f"news/3/{name}", data)
        yield endpoint


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def endpoint(scheme: str, request: pytest.FixtureRequest) -> str:
    """The URL of the scheme's server."""
    return str(request.getfixturevalue(scheme))


def reach(monkeypatch: pytest.MonkeyPatch, scheme: str, endpoint: str) -> None:
    """Set the environment as a Secret of the cloud would."""
    variables = {
        "s3": {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
        "gs": {"GOOGLE_BASE_URL": endpoint, "GOOGLE_SKIP_SIGNATURE": "true"},
        "az": {
            "AZURE_STORAGE_ENDPOINT": endpoint,
            "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
        },
    }
    for name, value in (variables[scheme] | ({"AWS_REGION": "us-east-1"} if scheme == "s3" else {})).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def bring(scheme: str, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bringer:
    monkeypatch.setattr(patience, "_FIRST_WAIT", 0.05)
    reach(monkeypatch, scheme, endpoint)
    return Bringer(tmp_path)


async def refused(coroutine: Any, reason: StartFailure = StartFailure.FETCH_FAILED) -> str:
    with pytest.raises(StartError) as caught:
        await coroutine
    assert caught.value.reason is reason
    return caught.value.message


@pytest.mark.parametrize("ending", ["", "/"])
async def test_folders(scheme: str, bring: Bringer, digest: str, ending: str) -> None:
    got = await bring(f"{scheme}://{BUCKET}/news/3{ending}")
    assert got.digest == digest == digest_of(got.path)
    assert bring.progress.done == sum(map(len, FILES.values()))


@pytest.mark.parametrize("name", FILES)
async def test_objects(scheme: str, bring: Bringer, name: str) -> None:
    quoted = name.replace("%", "%25").replace("#", "%23").replace("?", "%3F")
    got = await bring(f"{scheme}://{BUCKET}/news/3/{quoted}")
    assert got.path.read_bytes() == FILES[name]
    assert got.digest == digest_of(got.path)


@pytest.mark.parametrize("scheme", ["s3", "az"])  # fake-gcs-server answers nobody who calls it by another address.
async def test_a_broken_connection_goes_on_where_it_broke(
    scheme: str, endpoint: str, bring: Bringer, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(endpoint)
    with broken_wire(parts.port or 0, after=2**20, times=4) as wire:
        reach(monkeypatch, scheme, f"http://127.0.0.1:{wire.port}{parts.path}")
        got = await bring(f"{scheme}://{BUCKET}/news/3/variables/data")
        assert wire.cuts >= 3
    assert got.path.read_bytes() == FILES["variables/data"]


async def test_the_cache_saves_the_way(
    scheme: str, bring: Bringer, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    cache = Cache(tmp_path / "cache", 2**30)
    await bring(f"{scheme}://{BUCKET}/news/3", digest=digest, cache=cache)
    reach(monkeypatch, scheme, "http://127.0.0.1:1")  # Nobody listens there.
    got = await bring(f"{scheme}://{BUCKET}/news/3", digest=digest, cache=cache)
    assert digest_of(got.path) == digest
    assert (bring.progress.done, bring.progress.cached) == (0, sum(map(len, FILES.values())))
    cache.close()


async def test_what_is_not_there_is_told(scheme: str, bring: Bringer) -> None:
    assert "no such object" in await refused(bring(f"{scheme}://{BUCKET}/news/4"))


@pytest.mark.parametrize("scheme", ["s3", "az"])  # fake-gcs-server answers 500.
async def test_a_bucket_that_is_not_there_is_told(scheme: str, bring: Bringer) -> None:
    assert "there is no such bucket" in await refused(bring(f"{scheme}://nobody/news"))


@pytest.mark.parametrize("scheme", ["az"])
async def test_a_wrong_key_is_told_at_once(scheme: str, bring: Bringer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
    for uri in (f"{scheme}://{BUCKET}/news/3", f"{scheme}://{BUCKET}/"):
        message = await refused(bring(uri))
        assert "access denied" in message
        assert "c2VjcmV0" not in message


async def test_a_host_that_is_none_is_told(scheme: str, bring: Bringer, monkeypatch: pytest.MonkeyPatch) -> None:
    reach(monkeypatch, scheme, "http://nobody.invalid")
    assert "nobody.invalid" in await refused(bring(f"{scheme}://{BUCKET}/news/3"))


KEY_FILE = json.dumps({"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----" + "secret" * 300})


@pytest.mark.parametrize(
    ("scheme", "name", "value", "told"),
    [
        ("s3", "AWS_ACCESS_KEY_ID", "secret-id\n", "AWS_ACCESS_KEY_ID holds a line break"),
        ("s3", "AWS_ENDPOINT_URL", "secret store:9000", "AWS_ENDPOINT_URL is no URL"),
        ("gs", "GOOGLE_SERVICE_ACCOUNT_KEY", json.dumps(KEY_FILE), "settings of the store"),
        (
            "gs",
            "GOOGLE_SERVICE_ACCOUNT_KEY",
            json.dumps({"private_key": [KEY_FILE]}),
            "settings of the store",
        ),
    ],
)
async def test_settings_that_are_wrong_are_told_and_not_shown(
    bring: Bringer, monkeypatch: pytest.MonkeyPatch, scheme: str, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    message = await refused(bring(f"{scheme}://{BUCKET}/news/3"), StartFailure.BAD_SETTINGS)
    assert told in message
    assert "secret" not in message


class RefusesTokens(BaseHTTPRequestHandler):
    """Answers as S3 does to a session token that is none."""

    def do_HEAD(self) -> None:
        self.send_response(404)
        self.end_headers()

    def do_GET(self) -> None:
        token = self.headers["x-amz-security-token"]
        body = (
            f"<Error><Code>InvalidToken</Code><Message>malformed</Message><Token-0>{token}</Token-0></Error>".encode()
        )
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("scheme", ["s3"])
async def test_a_token_that_a_store_repeats_is_not_shown(
    scheme: str, bring: Bringer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), RefusesTokens) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        reach(monkeypatch, scheme, f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "token-that-is-secret")
        message = await refused(bring(f"{scheme}://{BUCKET}/news/3"))
        server.shutdown()
    assert "InvalidToken" in message
    assert "secret" not in message


async def test_a_key_that_cannot_be_asked_for_is_told(scheme: str, bring: Bringer) -> None:
    assert "empty path segment" in await refused(bring(f"{scheme}://{BUCKET}/a//b"), StartFailure.BAD_SETTINGS)
