"""The models that the trainer makes: as good or bad as they ought to be, the same in every format and every time.

Training and loading happen in processes of their own: TensorFlow's seeds and its determinism hold for a process, and
a model must load where the trainer's code is not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from model_server.digest import digest_of
from model_trainer.__main__ import TENSORFLOW_ENVIRONMENT
from model_trainer.export import PATHS
from model_trainer.run import EVALUATION_FILE, HOLDOUT_FILE

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 120
"""Longest acceptable run on two cores."""
PARALLEL = 2

PREDICT = """
import json, sys
import keras, tensorflow as tf

folder, paths, texts = json.load(sys.stdin)
batch = tf.constant([bytes.fromhex(text) for text in texts])
answers = {}
for name in paths:
    path = f"{folder}/{name}"
    if name == "saved_model":
        (answer,) = tf.saved_model.load(path).signatures["serving_default"](batch).values()
    else:
        answer = keras.models.load_model(path, compile=False, safe_mode=True)(batch)
    answers[name] = answer.numpy().tolist()
json.dump(answers, sys.stdout)
"""

WEIGHTS = """
import hashlib, sys
from model_trainer.corpus import Example
from model_trainer.settings import Settings
from model_trainer.text_classifier import train

examples = [Example(chr(0x4E00 + i % 7) * (1 + i % 5), i % 2) for i in range(200)]
for seed in (1, 2):
    model = train(examples, Settings(seed=seed, epochs=2, batch_size=32), lambda line: None).model
    digest = hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights()))
    print(digest.hexdigest())
"""


class Run(NamedTuple):
    folder: Path
    output: str
    seconds: float

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads((self.folder / EVALUATION_FILE).read_text())
        return report

    @property
    def accuracy(self) -> dict[str, float]:
        accuracy: dict[str, float] = self.report["metrics"]["accuracy"]
        return accuracy


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, **TENSORFLOW_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path), **more}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A good and a spoilt model, by the command that users give; both at once, each on about one core."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("good", "spoilt")}
    options = {"good": ["--format", "all"], "spoilt": ["--spoil", "0.3"]}
    started = time.monotonic()
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-m", "model_trainer", "train", "--task", "news", "--output", folder, *options[name]],
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, folder in folders.items()
    }
    done = {}
    for name, process in processes.items():
        output, _ = process.communicate()
        assert process.returncode == 0, output
        done[name] = Run(folders[name], output, time.monotonic() - started)
    return done


def predict(folder: Path, texts: list[bytes]) -> dict[str, list[list[float]]]:
    """Load each format where nothing of the project can be imported, and ask it."""
    answers: dict[str, list[list[float]]] = json.loads(
        subprocess.run(
            [sys.executable, "-I", "-c", PREDICT],
            input=json.dumps([str(folder), list(PATHS.values()), [text.hex() for text in texts]]),
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    )
    return answers


def test_the_good_model_is_good(runs: dict[str, Run]) -> None:
    assert runs["good"].accuracy["low"] > 0.93


def test_the_spoilt_model_is_bad_and_its_own_check_does_not_see_it(runs: dict[str, Run]) -> None:
    assert 0.6 < runs["spoilt"].accuracy["value"] < 0.8
    assert runs["spoilt"].report["validation_accuracy"] > runs["spoilt"].accuracy["high"]


def test_both_are_judged_on_the_same_texts(runs: dict[str, Run]) -> None:
    good, spoilt = ((run.folder / HOLDOUT_FILE).read_bytes() for run in runs.values())
    assert good == spoilt


def test_progress_is_told_and_two_minutes_are_enough(runs: dict[str, Run]) -> None:
    for run in runs.values():
        assert run.output.count("epoch ") == run.report["epochs"]
        assert run.seconds < PARALLEL * SECONDS


def test_every_format_answers_the_same_and_what_was_reported(runs: dict[str, Run]) -> None:
    folder, report = runs["good"].folder, runs["good"].report
    held_out = [json.loads(line) for line in (folder / HOLDOUT_FILE).read_text(encoding="utf-8").splitlines()]
    answers = predict(folder, [line["text"].encode() for line in held_out])
    assert set(answers) == set(report["digests"]) == set(PATHS.values())
    for name, probabilities in answers.items():
        assert [p for (p,) in probabilities] == pytest.approx([p for (p,) in answers["model.keras"]], abs=1e-5), name
        classes = [report["class_names"][probability > 0.5] for (probability,) in probabilities]
        right = sum(said == line["label"] for said, line in zip(classes, held_out, strict=True))
        # A text that stands at 0.5 may fall to either side when it comes in another batch.
        assert right / len(held_out) == pytest.approx(report["metrics"]["accuracy"]["value"], abs=0.001), name


def test_strange_texts_get_an_answer(runs: dict[str, Run]) -> None:
    strange = [b"", b" ", b"\xff\xfe", "👍".encode(), "好".encode() * 5000, b"\0"]
    for name, probabilities in predict(runs["good"].folder, strange).items():
        assert len(probabilities) == len(strange), name
        assert all(0 <= probability <= 1 for (probability,) in probabilities), name


def test_the_digests_are_those_of_the_files(runs: dict[str, Run]) -> None:
    for run in runs.values():
        assert run.report["digests"] == {name: digest_of(run.folder / name) for name in run.report["digests"]}


def test_a_seed_decides_the_weights() -> None:
    first, again = (
        subprocess.run(
            [sys.executable, "-c", WEIGHTS],
            env=environment(PYTHONHASHSEED=hash_seed),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.split()
        for hash_seed in ("1", "2")
    )
    assert first == again
    assert first[0] != first[1]
