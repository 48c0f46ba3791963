"""hf:// against a server of the tests that answers as the hub's documentation has it: none could be run."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest
from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.sources import patience
from model_server.sources.hub import Reference, parse

from tests.serving.stores.bring import Bringer
from tests.serving.stores.hub import TOKEN, Hub, hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = {
    "saved_model.pb": b"pb",
    "variables/data": os.urandom(20 * 2**20),
    "variables/index": b"",
    ".gitattributes": b"*.h5 filter=lfs",
    "notes/ä b.txt": b"note",
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(patience, "_FIRST_WAIT", 0.05)
    with hub("team/news", "main", FILES) as one:
        monkeypatch.setenv("HF_ENDPOINT", one.url)
        yield one


@pytest.fixture
def bring(tmp_path: Path) -> Bringer:
    return Bringer(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def refused(coroutine: Any) -> str:
    with pytest.raises(StartError) as caught:
        await coroutine
    assert caught.value.reason is StartFailure.FETCH_FAILED
    return caught.value.message


async def test_a_repository_comes_without_what_git_needs(server: Hub, bring: Bringer) -> None:
    got = await bring("hf://team/news")
    assert contents(got.path) == {name: data for name, data in FILES.items() if not name.startswith(".")}


@pytest.mark.parametrize("name", ["variables/data", "notes/%C3%A4%20b.txt"])
async def test_files(server: Hub, bring: Bringer, name: str) -> None:
    got = await bring(f"hf://team/news@main/{name}")
    assert got.digest == f"sha256:{hashlib.sha256(got.path.read_bytes()).hexdigest()}"
    assert got.path.read_bytes() in FILES.values()


async def test_folders(server: Hub, bring: Bringer) -> None:
    got = await bring("hf://team/news/variables/")
    assert contents(got.path) == {"data": FILES["variables/data"], "index": b""}


async def test_the_token_goes_to_the_hub_alone(server: Hub, bring: Bringer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.private = True
    message = await refused(bring("hf://team/news/variables/data"))
    assert "GatedRepo" in message
    assert "HF_TOKEN" in message
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    server.said.clear()
    await bring("hf://team/news/variables/data")
    assert {said for path, said in server.said if path.startswith(("/api", "/team"))} == {f"Bearer {TOKEN}"}
    assert {said for path, said in server.said if path == "/variables/data"} == {None}


@pytest.mark.parametrize("name", ["variables/data", "saved_model.pb"])
async def test_another_content_than_listed_is_refused(server: Hub, bring: Bringer, name: str) -> None:
    entry = server._entry(name)
    server._entry = lambda _: entry  # type: ignore[method-assign]
    server.files[name] = bytes(len(FILES[name]))
    assert "was damaged on its way" in await refused(bring(f"hf://team/news/{name}"))


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("hf://team/news@v2", "RevisionNotFound"),
        ("hf://team/other", "404"),
        ("hf://team/news/none", "no such path"),
    ],
)
async def test_what_is_not_there_is_told(server: Hub, bring: Bringer, uri: str, word: str) -> None:
    assert word in await refused(bring(uri))


async def test_names_stay_in_the_folder(server: Hub, bring: Bringer) -> None:
    server.files["a/../../evil"] = b"x"
    with pytest.raises(StartError, match="no name of a file"):
        await bring("hf://team/news")


def test_references() -> None:
    assert parse("hf://a/b") == Reference("a/b", "main", "")
    assert parse("hf://a/b@refs%2Fpr%2F1/c/d/") == Reference("a/b", "refs/pr/1", "c/d")
    for uri in ("hf://a", "hf://a/b@", "hf:///b", "hf://a/b c"):
        with pytest.raises(StartError) as caught:
            parse(uri)
        assert caught.value.reason is StartFailure.BAD_SETTINGS
