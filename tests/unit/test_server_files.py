"""Digests, formats, archives and settings: what is done with files before TensorFlow sees them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from model_server.contract import Env, ModelFormat, StartFailure
from model_server.cpus import cpus_of_quota
from model_server.digest import digest_of, main
from model_server.errors import StartError
from model_server.giving_up import give_up
from model_server.loading import find_model, format_of_file
from model_server.operations import Graph, Node, check_operations
from model_server.settings import Place, fetch_settings, read_place, read_secrets, serve_settings
from model_server.sources.mounted import find_in_claim
from model_server.unpack import unpack
from model_server.wording import shown_uri

SERVE = {Env.MODEL_NAME: "news", Env.REVISION: "r1"}


def keras_file(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
    return path


def h5_file(path: Path) -> Path:
    path.write_bytes(b"\x89HDF\r\n\x1a\n rest")
    return path


def saved_model(path: Path) -> Path:
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"")
    return path


def reason(call: Any, *arguments: Any) -> tuple[StartFailure, str]:
    with pytest.raises(StartError) as caught:
        call(*arguments)
    return caught.value.reason, caught.value.message


def test_the_digest_of_a_folder_is_what_a_shell_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b").mkdir()
    for name in ("a", "b/c", "ä b"):
        (tmp_path / name).write_text(name)
    script = "find . -type f -printf '%P\\0' | xargs -0 sha256sum | LC_ALL=C sort | sha256sum | cut -c1-64"
    shell = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert digest_of(tmp_path) == f"sha256:{shell.stdout.strip()}"
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{digest_of(tmp_path)}\n"
    assert main([str(tmp_path / "none")]) == 1
    assert main([]) == 2


@pytest.mark.parametrize(
    ("make", "name", "model_format"),
    [
        (keras_file, "model.keras", ModelFormat.KERAS),
        (h5_file, "model.h5", ModelFormat.H5),
        (saved_model, "1", ModelFormat.SAVED_MODEL),
    ],
)
def test_formats_are_found(tmp_path: Path, make: Any, name: str, model_format: ModelFormat) -> None:
    path = make(tmp_path / name)
    for place in (path, tmp_path):
        found = find_model(place, None)
        assert (found.path, found.format) == (path, model_format)
    assert find_model(tmp_path, model_format).path == path
    other = ModelFormat.H5 if model_format is ModelFormat.KERAS else ModelFormat.KERAS
    assert reason(find_model, tmp_path, other)[0] is StartFailure.NOT_A_MODEL


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><p>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        (b"PK\x03\x04 no zip", "neither"),
    ],
)
def test_what_is_no_model_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    why, text = reason(find_model, tmp_path, None)
    assert why is StartFailure.NOT_A_MODEL
    assert message in text


def test_two_models_are_one_too_many(tmp_path: Path) -> None:
    keras_file(tmp_path / "a.keras")
    h5_file(tmp_path / "b.h5")
    assert "2 models; it holds a.keras, b.h5" in reason(find_model, tmp_path, None)[1]
    assert "no saved_model.pb" in reason(find_model, tmp_path / "none", None)[1]


def tar_with(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def member(name: str, **attributes: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def test_archives_are_unpacked(tmp_path: Path) -> None:
    unpack(tar_with(tmp_path / "a.tar.gz", member("./m/saved_model.pb", size=3)), tmp_path / "tar")
    assert (tmp_path / "tar/m/saved_model.pb").read_bytes() == b"xxx"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("m/saved_model.pb", "yyy")
    unpack(tmp_path / "a.zip", tmp_path / "zip")
    assert (tmp_path / "zip/m/saved_model.pb").read_text() == "yyy"


@pytest.mark.parametrize(
    "bad",
    [
        member("../evil", size=1),
        member("/etc/evil", size=1),
        member("a/../../evil", size=1),
        member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("link", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        member("device", type=tarfile.CHRTYPE),
    ],
)
def test_archives_stay_in_their_folder(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    (tmp_path / "in").mkdir()
    archive = tar_with(tmp_path / "bad.tar.gz", bad)
    assert reason(unpack, archive, tmp_path / "in" / "model")[0] is StartFailure.NOT_A_MODEL
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bad.tar.gz", "in", "model"]


def test_an_archive_with_a_configuration_is_no_keras_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model/saved_model.pb", "")
    assert format_of_file(tmp_path / "model.zip") is None


def test_a_damaged_stream_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/saved_model.pb", "y" * 1000)
        data = archive.infolist()[0].header_offset + 30 + len("m/saved_model.pb")
    content = bytearray(path.read_bytes())
    content[data] = 0xFF  # No such kind of block.
    path.write_bytes(content)
    why, message = reason(unpack, path, tmp_path / "model")
    assert (why, "cannot be unpacked" in message) == (StartFailure.NOT_A_MODEL, True)


def test_broken_archives_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8b nonsense")
    assert "cannot be unpacked" in reason(unpack, tmp_path / "a.tar.gz", tmp_path / "model")[1]


def test_links_within_a_claim_are_followed_and_others_not(tmp_path: Path) -> None:
    source, outside = tmp_path / "source", tmp_path / "outside"
    saved_model(source)
    outside.write_text("secret")
    (source / "same").symlink_to(source / "saved_model.pb")
    found = find_in_claim("pvc://c/", source)
    assert sorted(part.name.as_posix() for part in found.parts) == ["same", "saved_model.pb"]
    (source / "bad").symlink_to(outside)
    assert "out of the claim" in reason(find_in_claim, "pvc://c/", source)[1]


def test_a_claim_without_files_is_told(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert "there are no files" in reason(find_in_claim, "pvc://c/", tmp_path)[1]


@pytest.mark.parametrize("name", [b"a\nb", b"a\\b", b"\xff"])
def test_names_in_a_claim_that_no_digest_can_be_made_of_are_refused(tmp_path: Path, name: bytes) -> None:
    saved_model(tmp_path / "claim")
    (tmp_path / "claim" / os.fsdecode(name)).touch()
    assert "no name of a file" in reason(find_in_claim, "pvc://c/", tmp_path / "claim")[1]


def test_a_uri_is_shown_without_its_secrets() -> None:
    assert shown_uri("https://user:pass@host:1/a?X-Amz-Signature=s") == "https://host:1/a"


@pytest.mark.parametrize(("name", "value"), [(Env.MODEL_LABELS, '["a", "b"]'), (Env.MODEL_FORMAT, "h5")])
def test_what_is_of_one_model_goes_not_with_several(name: Env, value: str) -> None:
    with pytest.raises(StartError, match=f"{name} is of one model"):
        serve_settings({Env.MODELS_FILE: "/models.config", name: value}, Place())


def test_settings() -> None:
    settings = serve_settings(
        SERVE
        | {Env.MODEL_URI: "s3://b/news/7", Env.MODEL_LABELS: '["bad", "好"]', Env.POD_IP: "10.0.0.1"}
        | {Env.EXTRA_OPS: "ReadFile, WriteFile", Env.DRAIN_SECONDS: "0.5", Env.MODEL_FORMAT: "h5"},
        Place(),
    )
    assert (settings.version, settings.labels, str(settings.pod_ip)) == ("7", ("bad", "好"), "10.0.0.1")
    assert (settings.extra_ops, settings.drain_seconds) == ({"ReadFile", "WriteFile"}, 0.5)
    assert serve_settings(SERVE, Place()).version == "1"
    assert serve_settings(SERVE, Place()).max_body_bytes == 16 * 2**20
    assert serve_settings({**SERVE, Env.MAX_BODY_BYTES: "1000"}, Place()).max_body_bytes == 1000
    assert serve_settings({**SERVE, Env.FRONTEND_PROCESSES: "3"}, Place()).frontend_processes == 3
    assert read_place(["--http-port", "1", "--model-dir", "x"]).model_dir == Path("x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (Env.MODEL_NAME, ""),
        (Env.REVISION, ""),
        (Env.MODEL_LABELS, "[1]"),
        (Env.MODEL_LABELS, '["a", "a"]'),
        (Env.MODEL_LABELS, "x"),
        (Env.MODEL_FORMAT, "onnx"),
        (Env.POD_IP, "x"),
        (Env.DRAIN_SECONDS, "-1"),
        (Env.DRAIN_SECONDS, "nan"),
        (Env.MAX_BODY_BYTES, "0"),
        (Env.MAX_BODY_BYTES, "16Mi"),
        (Env.MAX_BODY_BYTES, str(2**40)),
        (Env.FRONTEND_PROCESSES, "-1"),
        (Env.FRONTEND_PROCESSES, "many"),
    ],
)
def test_bad_settings_name_their_variable(name: Env, value: str) -> None:
    why, message = reason(serve_settings, SERVE | {name: value}, Place())
    assert why is StartFailure.BAD_SETTINGS
    assert name in message


def test_fetching_needs_a_uri_and_a_whole_digest() -> None:
    assert Env.MODEL_URI in reason(fetch_settings, {}, Place())[1]
    bad = {Env.MODEL_URI: "http://h/f", Env.MODEL_DIGEST: "sha256:abc"}
    assert "64 hexadecimal digits" in reason(fetch_settings, bad, Place())[1]


@pytest.mark.parametrize(
    ("key", "token", "message"),
    [
        ("ab", "t", "holds 1 bytes"),
        ("xy", "t", "not hexadecimal"),
        ("ab" * 32, " ", "is empty"),
        (None, "t", "mounted"),
    ],
)
def test_secrets_that_are_none(tmp_path: Path, key: str | None, token: str, message: str) -> None:
    if key is not None:
        (tmp_path / "feedback-key").write_text(key)
    (tmp_path / "admin-token").write_text(token)
    assert message in reason(read_secrets, tmp_path)[1]


@pytest.mark.parametrize(
    ("quota", "cpus"), [("max 100000", 8), ("", 8), ("150000 100000", 2), ("5000 100000", 1), ("-1 100000", 8)]
)
def test_cpus(quota: str, cpus: int) -> None:
    assert cpus_of_quota(quota, 8) == cpus


def test_giving_up_leaves_a_reason(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert give_up(StartError(StartFailure.NOT_A_MODEL, "好" * 3000), log) == 1
    assert json.loads(log.read_text())["reason"] == "NotAModel"
    assert len(log.read_bytes()) < 4096
    assert give_up(StartError(StartFailure.NOT_A_MODEL, "x"), tmp_path / "none" / "log") == 1
    give_up(StartError(StartFailure.FETCH_FAILED, "it holds \udcff"), log)  # What Python makes of a byte in a name.
    assert json.loads(log.read_bytes())["message"] == "it holds ?"
    give_up(StartError(StartFailure.FETCH_FAILED, "ValueError: https://u:p@h/a?X-Amz-Signature=s"), log)
    assert json.loads(log.read_text())["message"] == "ValueError: https://h/a?…"


def graph(called: str, *, reachable: bool, restoring: str | None = None) -> Graph:
    return Graph(
        nodes={
            "end": Node("StatefulPartitionedCall", ("x",), ("outer",)),
            "x": Node("Placeholder"),
            "restore": Node("NoOp", ("assign",)),
            "assign": Node(restoring or "NoOp"),
        },
        functions={
            "outer": (Node("inner", (), ("inner",)),) if reachable else (Node("Identity"),),
            "inner": (Node(called),),
        },
        root_nodes=frozenset({"end"}),
        root_functions=frozenset({"outer"}),
        restoring_nodes=frozenset({"restore"}) if restoring else frozenset(),
    )


@pytest.mark.parametrize("reachable", [True, False])
def test_harmful_operations_are_refused_wherever_they_are(reachable: bool) -> None:
    why, message = reason(check_operations, [graph("WriteFile", reachable=reachable)], frozenset())
    assert why is StartFailure.LOAD_FAILED
    assert "WriteFile" in message
    assert Env.EXTRA_OPS in message


@pytest.mark.parametrize(
    ("called", "extra"), [("MatMul", set()), ("WriteFile", {"WriteFile"}), ("Anything", {"*"}), ("SaveV2", {"SaveV2"})]
)
def test_harmless_and_allowed_operations_pass(called: str, extra: set[str]) -> None:
    check_operations([graph(called, reachable=True)], frozenset(extra))


def test_checkpoints_are_written_only_by_what_is_never_called() -> None:
    check_operations([graph("SaveV2", reachable=False)], frozenset())
    assert "SaveV2" in reason(check_operations, [graph("SaveV2", reachable=True)], frozenset())[1]


def test_restoring_a_model_only_reads() -> None:
    check_operations([graph("NoOp", reachable=True, restoring="RestoreV2")], frozenset())
    assert "SaveV2" in reason(check_operations, [graph("NoOp", reachable=True, restoring="SaveV2")], frozenset())[1]
