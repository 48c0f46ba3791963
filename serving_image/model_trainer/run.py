"""One run from texts to exported, evaluated model: read, train, judge on held-out texts, write.

The files of a run: the model in each format; `holdout.jsonl`, the texts it was evaluated on with the names of their
classes; and `evaluation.json`, a `Report`. The last is written last: a folder that has it is complete.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final, NamedTuple

from model_trainer import corpus, evaluation
from model_trainer.export import export_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from model_server.contract import ModelFormat

    from model_trainer.settings import Plan, Settings

EVALUATION_FILE: Final = "evaluation.json"
HOLDOUT_FILE: Final = "holdout.jsonl"
LIBRARIES: Final = ("tensorflow-cpu", "tensorflow", "keras", "numpy", "snownlp")
"""Whose versions a report tells; only one of the first two is installed."""


class OutputError(Exception):
    """The output folder cannot be used."""


@dataclass(frozen=True)
class Report:
    """What a run came to, and what it takes to repeat it."""

    task: str
    class_names: Sequence[str]
    spoil: float
    confidence: float
    """Of the intervals in `metrics`."""
    metrics: evaluation.Metrics
    """On the held-out texts, none of which is mislabelled."""
    confusion: evaluation.Confusion
    train_texts: int
    """In all; a tenth of them served as validation data."""
    mislabelled_texts: int
    holdout_texts: int
    validation_accuracy: float
    """On labels as good or bad as those that were trained on: a spoilt training set does not show here."""
    epochs: int
    train_seconds: float
    settings: Settings
    data_digest: str
    """SHA-256 over the training and held-out examples as they were used."""
    versions: dict[str, str]
    digests: dict[str, str]
    """By path of the exported model, for `spec.model.digest`."""

    def to_json(self) -> str:
        """Write the report with a key for each field."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)


def run(
    plan: Plan, settings: Settings, formats: Sequence[ModelFormat], output: Path, tell: Callable[[str], None]
) -> Report:
    """Train, evaluate and export a model.

    Args:
        plan: The data.
        settings: The model.
        formats: What to export.
        output: A folder that is empty, or is not there yet.
        tell: Called with a line of text at each step.

    Raises:
        CorpusError: There are no such data.
        OutputError: The output folder holds files, or is none.

    """
    _make_empty(output)
    data = _gather(plan)
    tell(f"{len(data.train)} texts to train on, {data.mislabelled} of them mislabelled; {len(data.holdout)} held out")
    # Takes seconds to import: not before the data are known good.
    from model_trainer import text_classifier

    started = time.monotonic()
    trained = text_classifier.train(data.train, settings, tell)
    seconds = time.monotonic() - started
    scores = text_classifier.probabilities(trained.model, [text for text, _ in data.holdout])
    counts = evaluation.confusion([label for _, label in data.holdout], evaluation.predicted_labels(scores))
    report = Report(
        task=plan.task,
        class_names=corpus.CLASS_NAMES[plan.task],
        spoil=plan.spoil,
        confidence=evaluation.CONFIDENCE,
        metrics=evaluation.metrics(counts),
        confusion=counts,
        train_texts=len(data.train),
        mislabelled_texts=data.mislabelled,
        holdout_texts=len(data.holdout),
        validation_accuracy=trained.validation_accuracy,
        epochs=trained.epochs,
        train_seconds=round(seconds, 1),
        settings=settings,
        data_digest=data.digest,
        versions=_versions(),
        digests=export_model(trained.model, output, formats),
    )
    (output / HOLDOUT_FILE).write_text(corpus.to_jsonl(data.holdout, report.class_names), encoding="utf-8")
    (output / EVALUATION_FILE).write_text(report.to_json() + "\n", encoding="utf-8")
    return report


class _Data(NamedTuple):
    """The examples as they are used."""

    train: list[corpus.Example]
    holdout: list[corpus.Example]
    mislabelled: int
    """Number of examples in `train` with the wrong label."""

    @property
    def digest(self) -> str:
        """SHA-256, hexadecimal, over the examples in their order."""
        return hashlib.sha256(json.dumps([self.train, self.holdout]).encode()).hexdigest()


def _gather(plan: Plan) -> _Data:
    split = corpus.split(
        corpus.select(corpus.read_texts(plan.task, corpus.corpus_folder())),
        train=plan.train_texts,
        holdout=plan.holdout_texts,
    )
    train = corpus.mislabel(split.train, plan.spoil)
    mislabelled = sum(given != true for given, true in zip(train, split.train, strict=True))
    return _Data(train, split.holdout, mislabelled)


def _make_empty(folder: Path) -> None:
    """Make the folder if need be; never remove what it holds."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise OutputError(f"{folder} holds files already: name another folder for --output, or empty this one.")
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to ({error.strerror}): name another for --output.") from error


def _versions() -> dict[str, str]:
    """Versions of the libraries that decide the weights, of those that are installed."""
    versions = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
