"""Files made to harm whoever opens them: refused with a reason, and nothing read, written, called or run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from model_server import saved_model
from model_server.errors import StartError
from model_server.loading import Found, find_model
from model_server.operations import check_operations
from model_server.preparation import parent
from model_server.preparation.keras_files import check_keras_file
from model_server.preparation.limits import Limits
from model_server.preparation.parent import prepare

from tests.serving import loader_flaws
from tests.serving.loader_flaws import Bait

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = 2 * 2**30
LIMITS = Limits(memory_bytes=MEMORY, seconds=60, cpu_seconds=120)


@pytest.fixture
def bait(tmp_path: Path) -> Iterator[Bait]:
    bait = Bait(tmp_path / "bait")
    yield bait
    bait.close()


def refused(file: Path) -> str:
    """What is said of a file that is refused before Keras or TensorFlow is there."""
    found = find_model(file, None)
    with pytest.raises(StartError) as raised:
        check(found)
    assert raised.value.message
    return raised.value.message


def check(found: Found) -> None:
    if found.path.is_dir():
        check_operations(saved_model.operations(saved_model.read_document(found.path)), frozenset())
    else:
        check_keras_file(found, MEMORY)


def prepared(file: Path, limits: Limits = LIMITS, extra_ops: frozenset[str] = frozenset()) -> str:
    """What is said of a file by the process that opens it; empty if it is served."""
    try:
        prepare(find_model(file, None), file.parent / "out", extra_ops, limits)
    except StartError as error:
        return error.message
    return ""


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_the_same_files_without_a_flaw_are_served(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"model.{suffix}"
    config = loader_flaws.sequential(loader_flaws.DENSE)
    if suffix == "keras":
        loader_flaws.write_keras(file, config)
    else:
        loader_flaws.write_h5(file, config)
    assert prepared(file) == ""
    assert find_model(tmp_path / "out", None).format == "saved_model"


def test_the_same_saved_model_without_a_flaw_is_served(tmp_path: Path) -> None:
    loader_flaws.write_saved_model(tmp_path / "model", loader_flaws.document())
    assert prepared(tmp_path / "model") == ""


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_configurations(tmp_path: Path, bait: Bait, suffix: str) -> None:
    weights = tmp_path / "weights"
    loader_flaws.write_weights(weights)
    for number, (flaw, config) in enumerate(loader_flaws.keras_configs(bait)):
        file = tmp_path / f"{number}.{suffix}"
        if suffix == "keras":
            loader_flaws.write_keras(file, config, weights)
        else:
            loader_flaws.write_h5(file, config)
        assert refused(file), flaw
        assert bait.touched() == [], flaw


def test_what_is_refused_is_told_apart(tmp_path: Path, bait: Bait) -> None:
    said = {}
    for number, (flaw, config) in enumerate(loader_flaws.keras_configs(bait)):
        file = tmp_path / f"{number}.h5"
        loader_flaws.write_h5(file, config)
        said[flaw] = refused(file)
    assert "Python code" in said["CVE-2024-3660 bytecode in a Lambda layer"]
    assert "'system' of 'os'" in said["CVE-2025-1550 a function of any module"]
    assert "is to be read from a file" in said["CVE-2025-12058 a vocabulary at an address"]
    assert "'TFSMLayer'" in said["CVE-2026-1462 a program that lies elsewhere"]
    assert "nested" in said["nested three hundred deep"]


@pytest.mark.parametrize("flaw", loader_flaws.WEIGHTS)
def test_weights(tmp_path: Path, bait: Bait, flaw: str) -> None:
    config = loader_flaws.sequential(loader_flaws.DENSE)
    weights = tmp_path / "weights"
    loader_flaws.write_weights(weights)
    loader_flaws.spoil_weights(weights, flaw, bait)
    bait.touched()  # Making a virtual dataset opens its source.
    archive, file = tmp_path / "model.keras", tmp_path / "model.h5"
    loader_flaws.write_keras(archive, config, weights)
    loader_flaws.write_h5(file, config)
    loader_flaws.spoil_weights(file, flaw, bait, "model_weights/dense/dense/kernel")
    bait.touched()
    for path in (archive, file):
        assert "damaged" not in refused(path)
    assert bait.touched() == []


def test_archives(tmp_path: Path, bait: Bait) -> None:
    for flaw, path in loader_flaws.archives(tmp_path, bait):
        assert refused(path), flaw
        assert bait.touched() == [], flaw
        assert not (tmp_path / "written").exists()


def test_saved_models(tmp_path: Path, bait: Bait) -> None:
    for number, (flaw, document) in enumerate(loader_flaws.saved_models(bait)):
        folder = tmp_path / str(number)
        loader_flaws.write_saved_model(folder, document)
        said = refused(folder)
        assert flaw.partition(" ")[0] in said or "uses a name twice" in said, flaw


def test_an_operation_disguised_as_a_function(tmp_path: Path, bait: Bait) -> None:
    loader_flaws.write_saved_model(tmp_path / "model", loader_flaws.disguised(bait))
    assert "an op with the same name already exists" in prepared(tmp_path / "model")
    assert bait.touched() == []


def test_checkpoints_are_not_written_by_what_a_request_may_reach(tmp_path: Path) -> None:
    for number, (flaw, document) in enumerate(loader_flaws.checkpoints()):
        folder = tmp_path / str(number)
        loader_flaws.write_saved_model(folder, document)
        assert "SaveV2" in refused(folder), flaw


def test_the_process_refuses_the_same_before_it_imports_anything(tmp_path: Path, bait: Bait) -> None:
    config = loader_flaws.sequential(loader_flaws.lambda_layer(bait))
    loader_flaws.write_keras(tmp_path / "model.keras", config)
    loader_flaws.write_h5(tmp_path / "model.h5", config)
    made = dict(loader_flaws.saved_models(bait))["WriteFile in the open"]
    loader_flaws.write_saved_model(tmp_path / "model", made)
    assert "Python code" in prepared(tmp_path / "model.keras")
    assert "Python code" in prepared(tmp_path / "model.h5")
    assert "WriteFile" in prepared(tmp_path / "model")
    assert bait.touched() == []


def test_a_saved_model_with_a_link_out_of_its_folder(tmp_path: Path, bait: Bait) -> None:
    folder = tmp_path / "model"
    loader_flaws.write_saved_model(folder, loader_flaws.document())
    (folder / "variables").mkdir()
    (folder / "variables" / "variables.index").symlink_to(bait.secret)
    assert "is a link out of the model's folder" in prepared(folder)
    assert bait.touched() == []


def test_operations_that_are_allowed_are_not_tried(tmp_path: Path, bait: Bait) -> None:
    made = dict(loader_flaws.saved_models(bait))["WriteFile in the open"]
    loader_flaws.write_saved_model(tmp_path / "model", made)
    assert prepared(tmp_path / "model", extra_ops=frozenset({"WriteFile"})) == ""
    assert bait.touched() == []


def test_a_file_that_crashes_tensorflow_ends_only_the_process_that_tries_it(tmp_path: Path) -> None:
    loader_flaws.write_saved_model(tmp_path / "recursion", loader_flaws.recursion())
    assert prepared(tmp_path / "recursion") == "TensorFlow crashed while opening recursion (signal 11)"
    loader_flaws.write_saved_model(tmp_path / "overflow", loader_flaws.overflow())
    said = prepared(tmp_path / "overflow")
    assert said.startswith("TensorFlow crashed while opening overflow (signal 6): Check failed: ")


def test_a_file_that_never_answers_is_given_up(tmp_path: Path) -> None:
    loader_flaws.write_saved_model(tmp_path / "endless", loader_flaws.endless())
    said = prepared(tmp_path / "endless", Limits(MEMORY, seconds=4, cpu_seconds=60))
    assert said == "endless was not opened within 4 seconds"
    said = prepared(tmp_path / "endless", Limits(MEMORY, seconds=60, cpu_seconds=3))
    assert said == "endless was not opened within 3 seconds of computing"


def test_a_file_that_leads_in_circles_is_given_up(tmp_path: Path) -> None:
    file = tmp_path / "model.h5"
    loader_flaws.write_h5(file, loader_flaws.sequential(loader_flaws.DENSE))
    loader_flaws.lead_in_circles(file)
    assert prepared(file) == "model.h5 is damaged: its parts lead in circles"


def test_a_model_that_does_not_fit_into_memory(tmp_path: Path) -> None:
    file = tmp_path / "model.keras"
    config = loader_flaws.sequential(loader_flaws.DENSE)
    loader_flaws.write_keras(file, config)
    assert "more memory" in prepared(file, Limits(64 * 2**20, seconds=60, cpu_seconds=60))


_TRIES = """
import json, os, socket, subprocess, sys, threading
from pathlib import Path
from model_server.preparation import confinement

place = Path(sys.argv[1])
parts = confinement.confine([Path(sys.prefix), Path(sys.base_prefix), Path("/usr"), Path("/lib")], [place / "own"])

def outcome(action):
    try:
        return repr(action())
    except OSError as error:
        return error.errno

ran = []
thread = threading.Thread(target=ran.append, args=(1,))
thread.start()
thread.join()
print(json.dumps({
    "parts": parts,
    "internet": outcome(lambda: socket.socket(socket.AF_INET)),
    "unix": outcome(lambda: socket.socket(socket.AF_UNIX)),
    "program": outcome(lambda: subprocess.run(["/bin/true"])),
    "fork": outcome(os.fork),
    "signal": outcome(lambda: os.kill(os.getppid(), 0)),
    "read": outcome(lambda: (place / "bait" / "vocabulary.txt").read_text()),
    "environment": outcome(lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes()),
    "write": outcome(lambda: (place / "bait" / "written").write_text("x")),
    "own": outcome(lambda: (place / "own" / "file").write_text("x")),
    "thread": ran,
}), flush=True)
os.abort()
"""


def test_what_the_process_may_not_do_the_kernel_refuses(tmp_path: Path, bait: Bait) -> None:
    """Should a file get Python or TensorFlow to run what it likes all the same."""
    (tmp_path / "own").mkdir()
    ran = subprocess.run(
        [sys.executable, "-c", _TRIES, str(tmp_path)],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == -6, ran.stderr  # It could end itself.
    said = json.loads(ran.stdout)
    assert {"no_new_privs", "seccomp"} <= set(said["parts"])
    assert [said[what] for what in ("internet", "unix", "program", "fork", "signal")] == [1] * 5
    assert said["thread"] == [1]
    assert said["own"] == "1"
    if "landlock" not in said["parts"]:
        pytest.skip("the kernel has no Landlock")
    assert [said[what] for what in ("read", "environment", "write")] == [13] * 3
    assert bait.touched() == []


def test_the_process_gets_no_environment_of_the_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    seen = tmp_path / "seen"
    script = f"import os, pathlib; pathlib.Path({str(seen)!r}).write_text(repr(dict(os.environ)))"
    monkeypatch.setattr(parent, "_COMMAND", (sys.executable, "-c", script))
    loader_flaws.write_saved_model(tmp_path / "model", loader_flaws.document())
    assert "exit code 0" in prepared(tmp_path / "model")  # It says nothing, which is no answer.
    assert "PYTHONPATH" in seen.read_text()
    assert "secret" not in seen.read_text()


def test_nothing_is_left_when_a_model_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.keras"
    loader_flaws.write_keras(file, loader_flaws.sequential(loader_flaws.layer("Mine", {}, None)))
    with pytest.raises(StartError, match="Mine"):
        prepare(Found(file, find_model(file, None).format), tmp_path / "out", limits=LIMITS)
    assert list((tmp_path / "out").iterdir()) == []
