"""The Dockerfile and the contract say the same, and what is taken out of the image is what is meant."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from model_server import contract

from image import slim

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "serving_image" / "Dockerfile").read_text()
LOCKS = {name: (ROOT / "serving_image" / f"{name}.txt").read_text() for name in ("requirements", "requirements.arm64")}


def instruction(name: str) -> str:
    """The arguments of the last instruction of a kind."""
    return re.findall(rf"^{name} (.*)$", TEXT, re.MULTILINE)[-1]


def pinned(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE))


def test_it_starts_what_the_contract_names() -> None:
    assert json.loads(instruction("CMD")) == list(contract.SERVE_COMMAND)
    ports = [contract.GRPC_PORT, contract.HTTP_PORT, contract.ADMIN_PORT]
    assert instruction("EXPOSE").split() == [str(port) for port in ports]


def test_it_has_no_rights_and_the_folders_it_needs() -> None:
    assert instruction("USER") == "10001:10001"
    assert f"/out{contract.MODEL_DIR} /out{contract.STATE_DIR}" in TEXT


def test_code_comes_after_packages() -> None:
    last = TEXT[TEXT.rindex("FROM scratch") :]

    assert re.findall(r"--from=(\S+)", last) == ["system", "packages", "packages", "code"]
    assert "--require-hashes" in (ROOT / "image" / "packages.sh").read_text()


def test_every_image_has_the_same_versions() -> None:
    here, arm = pinned(LOCKS["requirements"]), pinned(LOCKS["requirements.arm64"])
    gpu = pinned((ROOT / "serving_image" / "requirements.gpu.txt").read_text())
    cpu = here.pop("tensorflow-cpu")

    assert arm.pop("tensorflow") == gpu.pop("tensorflow") == cpu
    assert arm == here
    assert gpu.items() >= here.items()
    assert all(name.startswith("nvidia-") for name in gpu.keys() - here.keys())


def test_rules_take_out_what_they_name_and_nothing_else(tmp_path: Path) -> None:
    gone = (
        "tensorflow/include/tsl/a.h",
        "clang/native/libclang.so",
        "libclang-18.1.1.dist-info/METADATA",
        "tensorflow/compiler/tf2xla/ops/_xla_ops.so",
        "pip/__init__.py",
        "distutils-precedence.pth",
        "numpy/_core/tests/test_x.py",
        "keras/src/layers/dense_test.py",
        "uvloop/loop.pyx",
        "yarl/__init__.pyi",
    )
    stay = (
        "tensorflow/libtensorflow_cc.so.2",
        "tensorflow/python/framework/test_util.py",
        "tensorflow/compiler/tf2xla/ops/gen_xla_ops.py",
        "keras/src/testing/test_case.py",
        "pip_like/__init__.py",
        "grpc/_cython/_credentials/roots.pem",
    )
    for name in (*gone, *stay):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0123456789")

    saved = sum(slim.take_out(tmp_path, rule) for rule in slim.RULES)

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(stay)
    assert saved == 10 * len(gone)


@pytest.mark.skipif(shutil.which("strip") is None, reason="the binutils are not here: they are where images are built")
def test_libraries_lose_what_debuggers_read_and_stay_as_they_are_where_others_wrote_them_anew(tmp_path: Path) -> None:
    loaded = (Path(line.split()[-1]) for line in Path("/proc/self/maps").read_text().splitlines())
    source = next(path for path in loaded if path.name.startswith("libc.so"))
    copies = [tmp_path / "a" / source.name, tmp_path / "a.libs" / source.name, tmp_path / "nvidia" / source.name]
    for copy in copies:
        copy.parent.mkdir()
        shutil.copyfile(source, copy)
        subprocess.run(["objcopy", "--add-section", f".debug_line={__file__}", copy], check=True)
    before = [copy.stat().st_size for copy in copies]

    saved = slim.strip_symbols(tmp_path, "strip")

    assert saved > 0
    assert [was - copy.stat().st_size for was, copy in zip(before, copies, strict=True)] == [saved, 0, 0]
    assert struct.unpack("4s", copies[0].read_bytes()[:4]) == (b"\x7fELF",)
