"""Archives that are made to harm: none takes more memory, files or bytes than is allowed, or leaves its folder."""

from __future__ import annotations

import gzip
import io
import resource
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from model_server import fetch, unpack
from model_server.contract import Env, StartFailure
from model_server.errors import StartError
from model_server.loading import format_of_file
from model_server.sources.limits import Budget
from model_server.sources.parts import Interrupted
from model_server.sources.patience import ATTEMPTS, Patience
from model_server.sources.progress import Progress


def refused(call: Any, *arguments: Any) -> str:
    with pytest.raises(StartError) as caught:
        call(*arguments)
    assert caught.value.reason is StartFailure.NOT_A_MODEL
    return caught.value.message


def tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_tar_archives_of_all_kinds(tmp_path: Path, pack: Any) -> None:
    archive = tmp_path / "model"
    archive.write_bytes(pack(tar({"m/saved_model.pb": b"pb", "m/empty": b"", "m/large": bytes(3 * 2**20)})))
    assert unpack.is_archive(archive)
    unpack.unpack(archive, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out" / "m").iterdir()) == ["empty", "large", "saved_model.pb"]


@pytest.mark.parametrize("whiteout", [".wh.models", ".wh..wh..opq"])
def test_a_layer_may_take_away_the_whole_folder(tmp_path: Path, whiteout: str) -> None:
    for number, files in enumerate(({"models/old": b"", "models/v/old": b""}, {whiteout: b"", "models/new": b""})):
        (tmp_path / f"layer-{number}").write_bytes(tar(files))
        unpack.unpack_layer(tmp_path / f"layer-{number}", tmp_path / "out", "models", 2**20)
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["new"]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_bombs_are_stopped_at_the_limit(tmp_path: Path, pack: Any) -> None:
    (tmp_path / "bomb").write_bytes(pack(tar({"a": bytes(2**26), "b": bytes(2**26)})))
    assert "over" in refused(unpack.unpack, tmp_path / "bomb", tmp_path / "out", 2**26)
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) <= 2**26


def test_a_size_that_is_a_lie_is_told(tmp_path: Path) -> None:
    data = bytearray(tar({"a": b"x" * 1000}))
    data[124:136] = b"%011o\0" % 2**30  # The size in the header of the first member,
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 8 * 32 + sum(data[156:512]))  # and the sum of that.
    (tmp_path / "a").write_bytes(data)
    message = refused(unpack.unpack, tmp_path / "a", tmp_path / "out")
    assert "cannot be unpacked" in message


def test_a_header_takes_no_memory_to_speak_of(tmp_path: Path) -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**30
    with gzip.open(tmp_path / "bomb", "wb", compresslevel=1) as file:
        file.write(info.tobuf())
        for _ in range(64):
            file.write(bytes(2**20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "a header has" in refused(unpack.unpack, tmp_path / "bomb", tmp_path / "out")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "MAX_FILES", 3)
    (tmp_path / "a").write_bytes(tar(dict.fromkeys("abcd", b"")))
    assert "over 3 files" in refused(unpack.unpack, tmp_path / "a", tmp_path / "tar")
    with zipfile.ZipFile(tmp_path / "b", "w") as archive:
        for name in "abcd":
            archive.writestr(name, "")
    assert "over 3 files" in refused(unpack.unpack, tmp_path / "b", tmp_path / "zip")


def test_a_directory_of_a_zip_is_not_read_if_it_is_large(tmp_path: Path) -> None:
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *(0,) * 9, 1, *(0,) * 6) + b"a"
    directory = entry * (5 * 2**20 // len(entry))
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), 0, 0)
    bomb = tmp_path / "bomb"
    bomb.write_bytes(b"PK\x03\x04" + directory + end)
    tracemalloc.start()
    assert format_of_file(bomb) is None
    assert unpack.is_archive(bomb)
    assert "over" in refused(unpack.unpack, bomb, tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a")])
def test_two_files_of_one_name(tmp_path: Path, names: tuple[str, str]) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    (tmp_path / "a").write_bytes(stream.getvalue())
    assert "two files of one name" in refused(unpack.unpack, tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize("cut", [100, 600, 1500])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_what_was_cut_off_is_told(tmp_path: Path, pack: Any, cut: int) -> None:
    whole = pack(tar({"a": bytes(range(256)) * 16}))
    (tmp_path / "a").write_bytes(whole[: min(cut, len(whole) // 2)])
    assert "cannot be unpacked" in refused(unpack.unpack, tmp_path / "a", tmp_path / "out")


@pytest.mark.parametrize("name", ["a\nb", "a\x00b", "", "/", "..", "a/../b", "a\\b", "n" * 1001])
def test_names_that_are_none(name: str) -> None:
    refused(unpack.safe_relative, name)


def test_pointers_of_git_lfs_are_found_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"pb")
    (tmp_path / "variables" / "data").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert "variables/data is a pointer of Git LFS" in refused(fetch.refuse_pointers, tmp_path)


async def test_patience_grows_and_ends() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    patience = Patience("a file", sleep)
    for _ in range(3):
        await patience.wait(Interrupted("reset"))
    patience.progressed()
    await patience.wait(Interrupted("busy", wait=7))
    await patience.wait(Interrupted("busy", wait=7200))
    assert waits[0] <= 0.5 <= waits[1] <= 1 <= waits[2] <= 2
    assert waits[3:] == [7, 60]
    await patience.wait(Interrupted("reset"))
    await patience.wait(Interrupted("reset"))
    with pytest.raises(StartError, match=f"a file: reset .tried {ATTEMPTS} times"):
        await patience.wait(Interrupted("reset"))


def test_a_full_volume_is_told(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"the volume at .* is full"), fetch._told(tmp_path):
        Path("/dev/full").write_bytes(b"x")
    budget = Budget(2**60, tmp_path)
    with pytest.raises(StartError, match=r"but the volume at .* free"):
        budget.expect(2**59, "s3://models/news")
    with pytest.raises(StartError, match=Env.MAX_MODEL_BYTES):
        budget.expect(2**61, "s3://models/news")


def test_progress_tells_rate_and_time_to_go() -> None:
    now = iter([100.0, 110.0])
    progress = Progress(clock=lambda: next(now))
    progress.done, progress.cached, progress.expected = 1000, 500, 2000
    line = {"bytes": 1000, "bytes_per_second": 100, "seconds": 10.0, "seconds_left": 5}
    assert progress.line() == line | {"cached_bytes": 500, "expected_bytes": 2000}
