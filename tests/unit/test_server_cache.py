"""The cache that pods share: what comes out is what its digest says, whoever else writes there."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from model_server import cache as module
from model_server.cache import Cache
from model_server.digest import digest_of, digest_of_files
from model_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = b"a model"
HEX = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def cache(folder: Path) -> Iterator[Cache]:
    one = Cache(folder, 1000)
    yield one
    one.close()


def stored(cache: Cache, tmp_path: Path, data: bytes = DATA) -> str:
    digest = hashlib.sha256(data).hexdigest()
    (tmp_path / "source").write_bytes(data)
    cache.keep_file(digest, tmp_path / "source")
    return digest


def test_a_file_comes_back(cache: Cache, tmp_path: Path) -> None:
    assert cache.restore(HEX, tmp_path / "before") is None
    stored(cache, tmp_path)
    assert cache.restore(HEX, tmp_path / "copy") == len(DATA)
    assert (tmp_path / "copy").read_bytes() == DATA


def test_a_folder_comes_back(cache: Cache, tmp_path: Path) -> None:
    source = tmp_path / "model"
    (source / "variables").mkdir(parents=True)
    files = {"saved_model.pb": b"pb", "variables/ä": b"x"}
    for name, data in files.items():
        (source / name).write_bytes(data)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    digest = digest_of_files(sums)
    assert digest == digest_of(source)
    cache.keep_folder(digest.partition(":")[2], source, sums)
    assert cache.restore(digest.partition(":")[2], tmp_path / "copy") == 3
    assert digest_of(tmp_path / "copy") == digest


def test_half_a_folder_is_none(cache: Cache, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a").write_bytes(DATA)
    digest = digest_of_files({"a": HEX}).partition(":")[2]
    cache.keep_folder(digest, tmp_path / "model", {"a": HEX})
    (folder / HEX).unlink()
    assert cache.restore(digest, tmp_path / "copy") is None
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("listing", [b"%s  ../../evil\n", b"%s  a\nb\n", b"%s  /etc/evil\n"])
def test_lists_lead_nowhere_else(cache: Cache, folder: Path, tmp_path: Path, listing: bytes) -> None:
    stored(cache, tmp_path)
    text = listing % HEX.encode()
    digest = hashlib.sha256(text).hexdigest()
    (folder / f"{digest}.list").write_bytes(text)
    with contextlib.suppress(StartError):
        assert cache.restore(digest, tmp_path / "in" / "copy") is None
    assert not list(tmp_path.rglob("evil"))


def test_what_was_altered_is_removed(cache: Cache, folder: Path, tmp_path: Path) -> None:
    stored(cache, tmp_path)
    (folder / HEX).write_bytes(b"another")
    assert cache.restore(HEX, tmp_path / "copy") is None
    assert not (tmp_path / "copy").exists()
    assert not (folder / HEX).exists()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_nothing_but_plain_files_is_read(cache: Cache, folder: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "outside").write_bytes(DATA)
    if kind == "link":
        (folder / HEX).symlink_to(tmp_path / "outside")
    elif kind == "pipe":
        os.mkfifo(folder / HEX)
    else:
        (folder / HEX).mkdir()
    assert cache.restore(HEX, tmp_path / "copy") is None
    assert (tmp_path / "outside").read_bytes() == DATA


def test_what_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    cache = Cache(Path("/proc/self"), 1000)  # The file `mem` there is a plain one, and its first byte none.
    assert cache.restore("mem", tmp_path / "copy") is None
    assert not (tmp_path / "copy").exists()
    cache.close()


def test_the_least_recently_used_goes_first(cache: Cache, folder: Path, tmp_path: Path) -> None:
    first, second = (stored(cache, tmp_path, letter * 400) for letter in (b"a", b"b"))
    for name, age in ((first, 100), (second, 50)):
        os.utime(folder / name, (time.time() - age,) * 2)
    assert cache.restore(first, tmp_path / "copy") == 400  # Used now.
    third = stored(cache, tmp_path, b"c" * 400)
    assert {path.name for path in folder.iterdir()} == {first, third}


def test_what_is_larger_than_the_cache_is_not_kept(cache: Cache, folder: Path, tmp_path: Path) -> None:
    small = stored(cache, tmp_path)
    stored(cache, tmp_path, b"x" * 1001)
    assert {path.name for path in folder.iterdir()} == {small}


def test_what_was_left_half_written_goes_after_a_day(cache: Cache, folder: Path, tmp_path: Path) -> None:
    old, new, foreign = (folder / name for name in (".new-" + "0" * 16, ".new-" + "1" * 16, "somebody's"))
    for path in (old, new, foreign):
        path.touch()
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    stored(cache, tmp_path)
    assert {path.name for path in folder.iterdir()} == {new.name, foreign.name, HEX}


def test_a_cache_that_cannot_be_written_is_no_failure(folder: Path, tmp_path: Path) -> None:
    cache = Cache(folder, 1000)
    folder.rename(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    stored(cache, tmp_path)
    assert cache.restore(HEX, tmp_path / "copy") is None
    cache.close()


async def test_who_wants_the_same_waits_for_the_first(folder: Path) -> None:
    first, second = Cache(folder, 1000), Cache(folder, 1000)
    order = []

    async def fetch(cache: Cache, name: str, seconds: float) -> None:
        async with cache.locked(HEX):
            order.append(f"{name} begins")
            await asyncio.sleep(seconds)
            order.append(f"{name} ends")

    task = asyncio.create_task(fetch(first, "first", 0.2))
    await asyncio.sleep(0.05)
    await fetch(second, "second", 0)
    await task
    assert order == ["first begins", "first ends", "second begins", "second ends"]
    first.close()
    second.close()


async def test_a_lock_that_is_held_for_ever_is_not_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOCK_SECONDS", 0.1)
    first, second = Cache(folder, 1000), Cache(folder, 1000)
    async with first.locked(HEX), second.locked(HEX):
        assert (folder / f".lock-{HEX[:2]}").exists()
    first.close()
    second.close()
