"""Scoring labels, and the numbers that come of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from model_server.contract import FeedbackRejection
from model_server.errors import LabelRejected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


MAX_CLASSES: Final = 20
"""Of a model of more classes the cells of its confusion matrix are not counted: there would be too many of them."""


class Outcome(StrEnum):
    """What a label said about a prediction, in one letter. With two classes, class 1 is the positive one."""

    CORRECT = "c"
    WRONG = "w"
    TRUE_POSITIVE = "P"
    FALSE_POSITIVE = "p"
    TRUE_NEGATIVE = "N"
    FALSE_NEGATIVE = "n"


class Cell(NamedTuple):
    """Of the confusion matrix: the class that a label gave, and the one that was predicted, or None for no class."""

    actual: int
    predicted: int | None


class Score(NamedTuple):
    """What a label said about a prediction."""

    outcome: Outcome
    cell: Cell | None
    """None where there are more than `MAX_CLASSES`."""


def score(predicted: int | None, label: int, classes: int) -> Score:
    """Compare a prediction with the truth. A prediction of no class is wrong."""
    return Score(_outcome(predicted, label, classes), Cell(label, predicted) if classes <= MAX_CLASSES else None)


def _outcome(predicted: int | None, label: int, classes: int) -> Outcome:
    right = predicted == label
    if classes != 2:
        return Outcome.CORRECT if right else Outcome.WRONG
    if label == 1:
        return Outcome.TRUE_POSITIVE if right else Outcome.FALSE_NEGATIVE
    return Outcome.TRUE_NEGATIVE if right else Outcome.FALSE_POSITIVE


def read_label(label: object, classes: int, names: Sequence[str] | None) -> int:
    """Find the class that a label names: its number from 0, its name, or true/false where there are two classes.

    Raises `LabelRejected` as malformed or unknown_class.
    """
    if isinstance(label, bool):
        if classes == 2:
            return int(label)
        raise _unknown(f"true and false are for two classes, and this model has {classes}: {_known(classes, names)}")
    if isinstance(label, str):
        if names is not None and label in names:
            return names.index(label)
        raise _unknown(f"{label!r} is no class of this model: {_known(classes, names)}")
    if isinstance(label, float) and label.is_integer():
        label = int(label)  # Clients that keep labels in columns of floats send 1.0.
    if isinstance(label, int):
        if 0 <= label < classes:
            return label
        raise _unknown(f"{label} is no class of this model: {_known(classes, names)}")
    raise LabelRejected(
        FeedbackRejection.MALFORMED, f"a label is the number or the name of a class: {_known(classes, names)}"
    )


def _known(classes: int, names: Sequence[str] | None) -> str:
    numbers = f"send a number from 0 to {classes - 1}"
    return f"{numbers}, or one of {', '.join(names)}" if names else numbers


def _unknown(message: str) -> LabelRejected:
    return LabelRejected(FeedbackRejection.UNKNOWN_CLASS, message)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many labels had which outcome, and by which classes."""

    by_outcome: Mapping[Outcome, int] = field(default_factory=dict)
    by_cell: Mapping[Cell, int] = field(default_factory=dict)

    def add(self, score: Score, count: int = 1) -> Tally:
        """Return the tally with so many more."""
        outcome, cell = score
        by_cell = self.by_cell if cell is None else {**self.by_cell, cell: self.by_cell.get(cell, 0) + count}
        return Tally({**self.by_outcome, outcome: self.of(outcome) + count}, by_cell)

    def of(self, *outcomes: Outcome) -> int:
        """Sum over some outcomes."""
        return sum(self.by_outcome.get(outcome, 0) for outcome in outcomes)

    @property
    def correct(self) -> int:
        """Labels that agree with the prediction."""
        return self.of(Outcome.CORRECT, Outcome.TRUE_POSITIVE, Outcome.TRUE_NEGATIVE)

    @property
    def wrong(self) -> int:
        """Labels that disagree."""
        return self.of(Outcome.WRONG, Outcome.FALSE_POSITIVE, Outcome.FALSE_NEGATIVE)

    def to_json(self) -> dict[str, Any]:
        """By the outcomes' letters; by the cells as a list of actual, predicted, count."""
        return {
            "outcomes": {str(outcome): count for outcome, count in self.by_outcome.items()},
            "cells": [[*cell, count] for cell, count in self.by_cell.items()],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tally:
        """Invert `to_json`. Raises ValueError, KeyError or TypeError."""
        return cls(
            {Outcome(letter): int(count) for letter, count in data["outcomes"].items()},
            {
                Cell(int(actual), None if predicted is None else int(predicted)): int(count)
                for actual, predicted, count in data["cells"]
            },
        )


def ratio(part: int, *others: int) -> float | None:
    """Part of the whole, or None where the whole is 0."""
    whole = part + sum(others)
    return part / whole if whole else None


@dataclass(frozen=True, slots=True)
class Quality:
    """The usual measures; None where they are not defined."""

    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None


def quality(tally: Tally) -> Quality:
    """Accuracy of all labels; precision, recall and F1 of the positive class where there are two classes."""
    positive = tally.of(Outcome.TRUE_POSITIVE)
    over, missed = tally.of(Outcome.FALSE_POSITIVE), tally.of(Outcome.FALSE_NEGATIVE)
    return Quality(
        accuracy=ratio(tally.correct, tally.wrong),
        precision=ratio(positive, over),
        recall=ratio(positive, missed),
        f1=ratio(2 * positive, over, missed),
    )
