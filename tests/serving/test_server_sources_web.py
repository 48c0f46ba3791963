"""http:// against nginx, a server without ranges, and servers that do what they should not."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.sources import patience, web

from tests.serving.stores.bring import Bringer
from tests.serving.stores.broken_wire import broken_wire
from tests.serving.stores.web import PASSWORD, USER, nginx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGE = 30 * 2**20
"""Four ranges."""
SMALL = 3 * 2**20


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "large").write_bytes(os.urandom(LARGE))
    (folder / "small").write_bytes(os.urandom(SMALL))
    (folder / "empty").touch()
    return folder


@pytest.fixture(scope="module")
def server(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with nginx(files, tmp_path_factory.mktemp("nginx") / "work") as port:
        yield port


@pytest.fixture
def bring(tmp_path: Path) -> Bringer:
    return Bringer(tmp_path)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST_WAIT", 0.05)
    monkeypatch.setenv("HOME", "/nonexistent")


def sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


async def refused(coroutine: Any) -> str:
    with pytest.raises(StartError) as caught:
        await coroutine
    assert caught.value.reason is StartFailure.FETCH_FAILED
    return caught.value.message


@pytest.mark.parametrize("name", ["large", "small", "empty", "weak/small", "whole/large", "whole/small"])
async def test_files_come_as_they_are(server: int, files: Path, bring: Bringer, name: str) -> None:
    got = await bring(f"http://127.0.0.1:{server}/{name}?x=1#")
    assert got.digest == sha256(got.path) == sha256(files / Path(name).name)
    assert bring.progress.done >= got.path.stat().st_size


@pytest.mark.parametrize(("name", "size"), [("large", LARGE), ("small", SMALL)])
async def test_a_broken_connection_goes_on_where_it_broke(
    server: int, files: Path, bring: Bringer, name: str, size: int
) -> None:
    with broken_wire(server, after=2**20, times=6) as wire:
        got = await bring(f"http://127.0.0.1:{wire.port}/{name}")
        assert wire.cuts >= 3
    assert got.digest == sha256(files / name)
    assert bring.progress.done == size  # Nothing was kept twice.


async def test_without_ranges_it_begins_anew(server: int, files: Path, bring: Bringer) -> None:
    with broken_wire(server, after=2**20, times=2) as wire:
        got = await bring(f"http://127.0.0.1:{wire.port}/whole/small")
        assert wire.cuts == 2
    assert got.digest == sha256(files / "small")
    assert bring.progress.done > SMALL


async def test_a_connection_that_always_breaks_is_told(server: int, bring: Bringer) -> None:
    with broken_wire(server, after=0, times=-1) as wire:
        message = await refused(bring(f"http://127.0.0.1:{wire.port}/small"))
        assert wire.cuts >= patience.ATTEMPTS
    assert "tried 5 times" in message


async def test_parts_of_two_versions_do_not_mix(server: int, files: Path, bring: Bringer) -> None:
    file = files / "changes"
    file.write_bytes(b"a" * SMALL)
    os.utime(file, (0, 0))  # nginx makes its ETags of seconds and size.
    with broken_wire(server, after=2**19, times=1) as wire:

        async def change() -> None:
            await asyncio.to_thread(wire.has_cut.wait, 10)
            file.write_bytes(b"b" * SMALL)

        changing = asyncio.create_task(change())
        message = await refused(bring(f"http://127.0.0.1:{wire.port}/changes"))
        await changing
    assert "was replaced while it was fetched" in message


@pytest.mark.parametrize("how", ["url", "environment", "netrc"])
async def test_passwords(
    server: int, bring: Bringer, how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    login = f"{USER}:{PASSWORD}@" if how == "url" else ""
    if how == "environment":
        monkeypatch.setenv(web.USER, USER)
        monkeypatch.setenv(web.PASSWORD, f"{PASSWORD}\n")  # As of a Secret that was made of a file.
    if how == "netrc":
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    got = await bring(f"http://{login}127.0.0.1:{server}/private/small")
    assert got.path.stat().st_size == SMALL


async def test_without_the_password_it_says_what_to_do(server: int, bring: Bringer) -> None:
    message = await refused(bring(f"http://x:{PASSWORD}@127.0.0.1:{server}/private/small"))
    assert "401" in message
    assert web.TOKEN in message
    assert PASSWORD not in message


async def test_what_takes_too_long_is_ended(server: int, bring: Bringer) -> None:
    message = await refused(bring(f"http://127.0.0.1:{server}/slow/small", seconds=0.5))
    assert "did not come within 0.5 s" in message
    assert "of 3.0 MiB" in message


async def test_what_is_too_large_is_not_begun(server: int, bring: Bringer) -> None:
    message = await refused(bring(f"http://127.0.0.1:{server}/large", max_bytes=2**20))
    assert "30.0 MiB, over the limit of 1.0 MiB" in message
    assert bring.progress.done == 0


async def test_a_host_that_is_none_is_told_at_once(bring: Bringer) -> None:
    message = await refused(bring("http://nobody.invalid/model.keras", seconds=20))
    assert "nobody.invalid" in message


Answer = tuple[int, dict[str, str], bytes]


@contextlib.contextmanager
def answering(answer: Callable[[str, dict[str, str]], Answer]) -> Iterator[str]:
    """A web server that answers by a function of the path and the headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, headers, body = answer(self.path, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        one.daemon_threads = True
        threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{one.server_port}"
        one.shutdown()


async def test_a_token_goes_to_its_host_alone(bring: Bringer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(web.TOKEN, "secret\n")
    seen: dict[str, str | None] = {}

    def other(path: str, headers: dict[str, str]) -> Answer:
        seen["other"] = headers.get("authorization")
        return 200, {"Content-Length": "1"}, b"x"

    with answering(other) as elsewhere:

        def first(path: str, headers: dict[str, str]) -> Answer:
            seen[path] = headers.get("authorization")
            return 302, {"Location": "/again" if path == "/model" else f"http://{elsewhere}/model"}, b""

        with answering(first) as here:
            await bring(f"http://{here}/model")
    assert seen == {"/model": "Bearer secret", "/again": "Bearer secret", "other": None}


async def test_proxies_of_the_environment_are_asked(bring: Bringer, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def proxy(path: str, headers: dict[str, str]) -> Answer:
        asked.append(path)
        return 200, {"Content-Length": "1"}, b"x"

    with answering(proxy) as address:
        monkeypatch.setenv("http_proxy", f"http://{address}")
        await bring("http://models.invalid/model")
    assert set(asked) == {"http://models.invalid/model"}


async def test_it_waits_as_long_as_it_is_asked_to(bring: Bringer, monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[float] = []

    def busy(path: str, headers: dict[str, str]) -> Answer:
        times.append(time.monotonic())
        return (429, {"Retry-After": "1"}, b"") if len(times) == 1 else (200, {"Content-Length": "1"}, b"x")

    with answering(busy) as address:
        await bring(f"http://{address}/model")
    assert times[1] - times[0] >= 1


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"Content-Length": "3", "Repr-Digest": "sha-256=:" + "A" * 43 + "=:"}, "was damaged on its way: its sha256"),
        ({"Content-Length": "3", "x-goog-hash": "md5=" + "A" * 22 + "=="}, "was damaged on its way: its md5"),
        ({"Content-Length": "4"}, "tried 5 times"),
    ],
)
async def test_what_does_not_come_as_announced_is_refused(
    bring: Bringer, headers: dict[str, str], message: str
) -> None:
    with answering(lambda path, _: (200, headers, b"abc")) as address:
        assert message in await refused(bring(f"http://{address}/model"))


async def test_endless_bodies_end(bring: Bringer) -> None:
    with answering(lambda path, _: (200, {}, b"x" * 2**22)) as address:
        assert "over the limit of 2.0 MiB" in await refused(bring(f"http://{address}/model", max_bytes=2**21))


async def test_more_than_a_range_is_refused(bring: Bringer) -> None:
    def generous(path: str, headers: dict[str, str]) -> Answer:
        if headers["range"] == "bytes=0-0":
            return 206, {"Content-Range": f"bytes 0-0/{LARGE}", "ETag": '"1"', "Content-Length": "1"}, b"x"
        start = headers["range"].removeprefix("bytes=").partition("-")[0]
        said = {"Content-Range": f"bytes {start}-{LARGE - 1}/{LARGE}", "ETag": '"1"'}
        return 206, said, b"x" * (9 * 2**20)

    with answering(generous) as address:
        assert "more than it was asked for" in await refused(bring(f"http://{address}/model"))


@pytest.mark.parametrize("path", ["/..", "/%2e%2e", "/a%2fb", "/%00", "/" + "n" * 3000])
async def test_names_stay_in_the_folder(bring: Bringer, path: str, tmp_path: Path) -> None:
    with answering(lambda _, __: (200, {"Content-Length": "1"}, b"x")) as address, contextlib.suppress(StartError):
        got = await bring(f"http://{address}{path}")
        assert got.path.parent == tmp_path / "incoming-1"
        assert got.path.read_bytes() == b"x"
