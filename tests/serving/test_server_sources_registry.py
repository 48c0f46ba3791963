"""oci:// against the CNCF's registry: what is pushed by oras, as ModelPack and as an image; passwords and tokens."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from model_server.cache import Cache
from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.sources import patience, registry_auth
from model_server.sources.registry import PLAIN_HTTP, parse

from tests.serving.stores import registry as stores
from tests.serving.stores.bring import Bringer
from tests.serving.stores.broken_wire import broken_wire

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = os.urandom(2**20)
LARGE = os.urandom(20 * 2**20)


def packed(files: dict[str, bytes], *links: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    return stream.getvalue()


def layer(data: bytes, media_type: str = "application/octet-stream", **notes: str) -> dict[str, Any]:
    return {"mediaType": media_type, "data": data, **({"annotations": notes} if notes else {})}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def address(storage: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with stores.registry(storage, tmp_path_factory.mktemp("open") / "work") as one:
        yield one


@pytest.fixture(scope="module")
def digest(address: str) -> str:
    """Of the artifact `team/news:1`, which is one file."""
    return stores.push(address, "team/news", "1", [layer(MODEL, **{stores.TITLE: "news.keras"})])


@pytest.fixture
def bring(tmp_path: Path) -> Bringer:
    return Bringer(tmp_path)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(patience, "_FIRST_WAIT", 0.05)
    monkeypatch.setenv("HOME", str(tmp_path))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def found_below(folder: Path, pattern: str) -> list[Path]:
    return list(folder.rglob(pattern))


async def refused(coroutine: Any, reason: StartFailure = StartFailure.FETCH_FAILED) -> str:
    with pytest.raises(StartError) as caught:
        await coroutine
    assert caught.value.reason is reason
    return caught.value.message


async def test_an_artifact_of_one_file_is_that_file(address: str, digest: str, bring: Bringer) -> None:
    for reference in ("news:1", f"news@{digest}", f"news:1@{digest}"):
        got = await bring(f"oci://{address}/team/{reference}", digest=digest)
        assert (got.path.name, got.digest) == ("news.keras", digest)
        assert got.path.read_bytes() == MODEL


async def test_a_digest_finds_what_has_no_tag(address: str, digest: str, bring: Bringer) -> None:
    assert (await bring(f"oci://{address}/team/news", digest=digest)).digest == digest


async def test_files_with_titles_are_a_folder(address: str, bring: Bringer) -> None:
    files = {"saved_model.pb": b"pb", "variables/variables.index": b"", "variables/data": LARGE}
    stores.push(address, "team/files", "latest", [layer(data, **{stores.TITLE: name}) for name, data in files.items()])
    assert contents((await bring(f"oci://{address}/team/files")).path) == files


@pytest.mark.parametrize(
    ("media_type", "pack"),
    [
        (stores.TAR, gzip.compress),
        ("application/vnd.cncf.model.weight.v1.tar", bytes),
        ("application/vnd.oci.image.layer.v1.tar+zstd", zstandard.compress),
    ],
)
async def test_archives_are_unpacked(address: str, bring: Bringer, media_type: str, pack: Any) -> None:
    data = pack(packed({"news/saved_model.pb": b"pb"}))
    notes = {stores.TITLE: "news", "io.deis.oras.content.unpack": "true"} if media_type == stores.TAR else {}
    stores.push(address, "team/packed", "1", [layer(data, media_type, **notes)])
    assert contents((await bring(f"oci://{address}/team/packed:1")).path) == {"news/saved_model.pb": b"pb"}


async def test_a_titled_archive_stays_one(address: str, bring: Bringer) -> None:
    data = gzip.compress(packed({"saved_model.pb": b"pb"}))
    stores.push(address, "team/kept", "1", [layer(data, stores.TAR, **{stores.TITLE: "news.tar.gz"})])
    got = await bring(f"oci://{address}/team/kept:1")
    assert (got.path.name, got.path.read_bytes()) == ("news.tar.gz", data)


IMAGE = "application/vnd.oci.image.config.v1+json"


async def test_an_image_is_what_its_layers_leave_below_models(address: str, bring: Bringer) -> None:
    layers = [
        packed({"bin/sh": b"sh", "models/saved_model.pb": b"old", "models/gone": b"", "models/v/x": b""}, "bin/link"),
        packed({"models/saved_model.pb": b"new", "models/.wh.gone": b"", "models/v/.wh..wh..opq": b""}),
    ]
    manifest = stores.push(address, "team/car", "1", [layer(gzip.compress(one), stores.TAR) for one in layers], IMAGE)
    platform = {"os": "linux", "architecture": "amd64"}
    size = len(stores.manifest(address, "team/car", manifest))
    entry = {"mediaType": stores.MANIFEST, "digest": manifest, "size": size, "platform": platform}
    index = {"schemaVersion": 2, "mediaType": stores.INDEX, "manifests": [entry]}
    listed = stores.push_manifest(address, "team/car", "multi", index, stores.INDEX)
    for tag, digest in (("1", manifest), ("multi", listed)):
        got = await bring(f"oci://{address}/team/car:{tag}", digest=digest)
        assert contents(got.path) == {"saved_model.pb": b"new"}


@pytest.mark.parametrize(
    ("files", "links", "message"),
    [
        ({"models/../../evil": b""}, (), "no name of a file"),
        ({}, ("models/link",), "is a link"),
        ({"bin/sh": b""}, (), "nothing below /models"),
    ],
)
async def test_images_that_are_refused(
    address: str, bring: Bringer, tmp_path: Path, files: dict[str, bytes], links: tuple[str, ...], message: str
) -> None:
    stores.push(address, "team/bad", "1", [layer(gzip.compress(packed(files, *links)), stores.TAR)], IMAGE)
    with pytest.raises(StartError, match=message):
        await bring(f"oci://{address}/team/bad:1")
    assert not found_below(tmp_path, "evil")


async def test_titles_stay_in_the_folder(address: str, bring: Bringer) -> None:
    stores.push(address, "team/evil", "1", [layer(b"x", **{stores.TITLE: "../../evil"})])
    await refused(bring(f"oci://{address}/team/evil:1"), StartFailure.NOT_A_MODEL)


async def test_a_broken_connection_goes_on_where_it_broke(address: str, bring: Bringer) -> None:
    stores.push(address, "team/large", "1", [layer(LARGE, **{stores.TITLE: "large.h5"})])
    with broken_wire(int(address.partition(":")[2]), after=2**20, times=5) as wire:
        got = await bring(f"oci://127.0.0.1:{wire.port}/team/large:1")
        assert wire.cuts == 5
    assert got.path.read_bytes() == LARGE
    assert bring.progress.done == len(LARGE)


async def test_what_the_registry_damages_is_refused(address: str, storage: Path, bring: Bringer) -> None:
    data = os.urandom(1000)
    stores.push(address, "team/rotten", "1", [layer(data, **{stores.TITLE: "x.h5"})])
    hexdigest = hashlib.sha256(data).hexdigest()
    (blob,) = found_below(storage, f"{hexdigest}/data")
    blob.write_bytes(bytes(1000))
    assert "was damaged on its way" in await refused(bring(f"oci://{address}/team/rotten:1"))


async def test_another_digest_is_told_before_anything_is_fetched(address: str, digest: str, bring: Bringer) -> None:
    wrong = "sha256:" + "0" * 64
    message = await refused(bring(f"oci://{address}/team/news:1", digest=wrong), StartFailure.DIGEST_MISMATCH)
    assert digest in message
    assert bring.progress.done == 0
    assert "404" in await refused(bring(f"oci://{address}/team/news@{wrong}"))


@pytest.mark.parametrize("reference", ["none:1", "news:none"])
async def test_what_is_not_there_is_told_at_once(address: str, bring: Bringer, reference: str) -> None:
    assert "404" in await refused(bring(f"oci://{address}/team/{reference}"))


def docker_config(folder: Path, address: str, password: str) -> Path:
    folder.mkdir()
    auth = base64.b64encode(f"{stores.USER}:{password}".encode()).decode()
    auths = {"example.com": {"auth": "eDp5"}, f"https://{address}/v2/": {"auth": auth}}
    (folder / ".dockerconfigjson").write_text(json.dumps({"auths": auths}))
    return folder


async def test_passwords(
    storage: Path, digest: str, bring: Bringer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stores.registry(storage, tmp_path / "work", stores.passwords(tmp_path)) as address:
        assert "asks for a login" in await refused(bring(f"oci://{address}/team/news:1"))
        monkeypatch.setenv("DOCKER_CONFIG", str(docker_config(tmp_path / "wrong", address, "wrong")))
        message = await refused(bring(f"oci://{address}/team/news:1"))
        assert "401" in message
        monkeypatch.setenv("DOCKER_CONFIG", str(docker_config(tmp_path / "right", address, stores.PASSWORD)))
        assert (await bring(f"oci://{address}/team/news:1")).digest == digest


@pytest.mark.parametrize("anonymous", [True, False])
async def test_tokens(
    storage: Path, digest: str, bring: Bringer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anonymous: bool
) -> None:
    tokens = stores.TokenServer(tmp_path, anonymous=anonymous)
    try:
        with stores.registry(storage, tmp_path / "work", tokens.auth) as address:
            if not anonymous:
                assert "401" in await refused(bring(f"oci://{address}/team/news:1"))
                config = docker_config(tmp_path / "docker", address, stores.PASSWORD)
                monkeypatch.setattr(registry_auth, "REGISTRY_AUTH_DIR", str(config))
            assert (await bring(f"oci://{address}/team/news:1")).digest == digest
            assert tokens.given == 1
            tokens.seconds = -120  # Already over: the registry refuses it, whoever hands it out.
            assert "401" in await refused(bring(f"oci://{address}/team/news:1"))
    finally:
        tokens.close()


async def test_the_cache_keeps_manifests_and_layers(address: str, digest: str, bring: Bringer, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    cache = Cache(tmp_path / "cache", 2**30)
    for done, cached in ((len(MODEL), 0), (0, len(MODEL))):
        got = await bring(f"oci://{address}/team/news@{digest}", cache=cache)
        assert got.path.read_bytes() == MODEL
        assert (bring.progress.done, bring.progress.cached) == (done, cached)
    await bring(f"oci://127.0.0.1:1/team/news@{digest}", cache=cache)  # Nobody listens there.
    cache.close()


@pytest.mark.parametrize(
    "uri",
    [
        "oci://host",
        "oci://host/Upper",
        "oci://host/a:b:c",
        "oci://host/a@sha256:abc",
        "oci://u:p@host/a",
        "oci://h/../a",
    ],
)
def test_references_that_are_none(uri: str) -> None:
    with pytest.raises(StartError) as caught:
        parse(uri)
    assert caught.value.reason is StartFailure.BAD_SETTINGS


def test_registries_are_asked_with_tls_but_those_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLAIN_HTTP, "registry.svc:5000, other")
    bases = {uri: parse(uri).base for uri in ("oci://ghcr.io/a", "oci://registry.svc:5000/a", "oci://localhost:1/a")}
    assert list(bases.values()) == ["https://ghcr.io", "http://registry.svc:5000", "http://localhost:1"]
    assert parse("oci://docker.io/busybox").base == "https://registry-1.docker.io"
    assert parse("oci://docker.io/busybox").repository == "library/busybox"


def test_the_login_of_the_longest_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auths = {
        "ghcr.io": {"username": "a", "password": "1"},
        "ghcr.io/team": {"username": "b", "password": "2"},
        "ghcr.io/teams": {"username": "c", "password": "3"},
        "https://index.docker.io/v1/": {"auth": base64.b64encode(b"d:4").decode()},
    }
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    found = [registry_auth.login_for(*place) for place in (("ghcr.io", "x"), ("ghcr.io", "team/m"), ("docker.io", "m"))]
    assert [login.user if login else None for login in found] == ["a", "b", "d"]
    assert registry_auth.login_for("example.com", "m") is None
