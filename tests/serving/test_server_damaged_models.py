"""Models of which a part was lost or altered: served if it does not matter, else refused with a reason."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from model_server.errors import StartError
from model_server.loading import find_model
from model_server.preparation.parent import prepare

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 120
SEED = 20
DAMAGED = ("picky", "single.h5", "single.keras", "text", "text.keras")


def test_damaged_models_are_told_and_nothing_hangs(models: Path, tmp_path: Path) -> None:
    for name in DAMAGED:
        source = models / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    ran = subprocess.run(
        [sys.executable, "-m", "tests.serving.damaged_models", str(tmp_path), str(SEED), str(COUNT)],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stderr
    came = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(came) == COUNT
    refused = [each for each in came if each["came"].startswith("refused: ")]
    # A crash ends the process that tries the model, and is told by the one that waits for it; so is HDF5 that leads in
    # circles. Anything else is a fault.
    told = {"served", "signal 6", "signal 11"}
    strange = [
        each
        for each in came
        if each["came"] not in told
        and each not in refused
        and (each["file"], each["came"]) != ("single.h5", "signal 27")
    ]
    assert strange == []
    assert len(refused) > COUNT / 2
    assert all(each["came"].removeprefix("refused: ").strip() for each in refused)


@pytest.mark.parametrize("model", ["three.keras", "text"])
def test_the_process_that_opens_them_says_the_same(models: Path, tmp_path: Path, model: str) -> None:
    source, copy = models / model, tmp_path / model
    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, copy)
    file = copy / "variables" / "variables.data-00000-of-00001" if copy.is_dir() else copy
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(StartError, match="Bad CRC-32" if copy.is_file() else "Checksum does not match"):
        prepare(find_model(copy, None), tmp_path / "out")
