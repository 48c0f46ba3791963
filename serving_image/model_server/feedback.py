"""Scoring labels, and the numbers that come of it. Pure."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from model_server.contract import FeedbackRejection
from model_server.errors import LabelRejected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_server.prediction_id import Prediction


MAX_CLASSES: Final = 20
"""Of a model of more classes the cells of its confusion matrix are not counted: there would be too many of them."""
UNITS: Final = 2**16
"""Errors are counted in parts of the tolerance: whole numbers, so that their sums are the same in whatever order."""
MAX_ERROR: Final = 2**46
"""Larger errors, and those of predictions that are no numbers, are taken for 2^30 tolerances."""


class Outcome(StrEnum):
    """What a label said about a prediction, in one letter. With two classes, class 1 is the positive one."""

    CORRECT = "c"
    WRONG = "w"
    TRUE_POSITIVE = "P"
    FALSE_POSITIVE = "p"
    TRUE_NEGATIVE = "N"
    FALSE_NEGATIVE = "n"


_RIGHT: Final = frozenset({Outcome.CORRECT, Outcome.TRUE_POSITIVE, Outcome.TRUE_NEGATIVE})


class Label(NamedTuple):
    """One label as it came: nothing in it is checked."""

    id: object
    label: object
    """The number or the name of a class, true or false where there are two; or the value that was to be predicted."""


Result = LabelRejected | None
"""Why a label was not counted, or None if it was."""


class Cell(NamedTuple):
    """Of the confusion matrix: the class that a label gave, and the one that was predicted, or None for no class."""

    actual: int
    predicted: int | None


class Score(NamedTuple):
    """What a label said about a prediction."""

    outcome: Outcome
    cell: Cell | None
    """None where there are more than `MAX_CLASSES`, or none."""
    among_best: bool | None = None
    """Whether the label is one of the best classes; None where these are not known."""
    error: int | None = None
    """How far a value was off, in `UNITS` of the tolerance; None where classes are predicted."""
    slice: str | None = None
    """The part of the requests that it belongs to, if they are told apart."""
    audited: bool = False

    @property
    def is_right(self) -> bool:
        """Whether the label agrees with the prediction."""
        return self.outcome in _RIGHT


class PairOutcome(StrEnum):
    """What a label said about two predictions of one instance, for the revision that got a copy of the request."""

    WON = "won"
    """It alone was right."""
    LOST = "lost"
    """It alone was wrong."""
    TIED = "tied"


class Paired(NamedTuple):
    """One such label."""

    revision: str
    """The one that got the copy."""
    outcome: PairOutcome
    audited: bool = False


def compare(*, here: bool, there: bool) -> PairOutcome:
    """Compare whether this revision was right with whether the other was."""
    if here == there:
        return PairOutcome.TIED
    return PairOutcome.WON if there else PairOutcome.LOST


@dataclass(frozen=True, slots=True)
class Scorer:
    """Compares predictions with labels."""

    names: Sequence[str] | None = None
    """Of the classes."""
    tolerance: float = 1.0
    """By how much a value may be off and is still right."""

    def score(self, prediction: Prediction, label: object) -> Score:
        """Compare. Raises `LabelRejected` as malformed or unknown_class."""
        if prediction.value is not None:
            error = self._error(prediction.value, read_value(label))
            outcome, cell, among_best = Outcome.CORRECT if error <= UNITS else Outcome.WRONG, None, None
        else:
            truth = read_label(label, prediction.classes, self.names)
            error, among_best = None, None if prediction.best is None else truth in prediction.best
            outcome, cell = score(prediction.predicted, truth, prediction.classes)
        return Score(outcome, cell, among_best, error, prediction.slice, prediction.audited)

    def agree(self, one: Prediction, other: Prediction) -> bool:
        """Tell whether two predictions say the same: one class, or values no further apart than the tolerance."""
        if one.value is not None and other.value is not None:
            return one.value == other.value or abs(one.value - other.value) <= self.tolerance
        return (one.value, one.predicted, one.classes) == (other.value, other.predicted, other.classes)

    def _error(self, predicted: float, truth: float) -> int:
        error = abs(predicted - truth) / self.tolerance * UNITS
        return round(error) if error < MAX_ERROR else MAX_ERROR  # NaN is not less either.


def score(predicted: int | None, label: int, classes: int) -> tuple[Outcome, Cell | None]:
    """Compare a predicted class with the truth. A prediction of no class is wrong."""
    return _outcome(predicted, label, classes), Cell(label, predicted) if classes <= MAX_CLASSES else None


def _outcome(predicted: int | None, label: int, classes: int) -> Outcome:
    right = predicted == label
    if classes != 2:
        return Outcome.CORRECT if right else Outcome.WRONG
    if label == 1:
        return Outcome.TRUE_POSITIVE if right else Outcome.FALSE_NEGATIVE
    return Outcome.TRUE_NEGATIVE if right else Outcome.FALSE_POSITIVE


def read_value(label: object) -> float:
    """Read the label of a predicted value: a finite number. Raises `LabelRejected` as malformed."""
    if isinstance(label, int | float) and not isinstance(label, bool):
        try:
            value = float(label)
        except OverflowError:
            value = math.inf
        if math.isfinite(value):
            return value
    raise LabelRejected(FeedbackRejection.MALFORMED, "this model predicts values: a label is a finite number")


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


@dataclass(slots=True)
class Errors:
    """Sums over the labels of predicted values, in `UNITS` of the tolerance and whole, so that they are exact."""

    count: int = 0
    absolute: int = 0
    squared: int = 0
    scores: int = 0
    """Of max(0, 1 − error ÷ tolerance)."""

    def add(self, error: int, count: int = 1) -> None:
        """Add so many equal errors."""
        self.count += count
        self.absolute += count * error
        self.squared += count * error * error
        self.scores += count * max(0, UNITS - error)


@dataclass(slots=True)
class Tally:
    """How many labels had which outcome, and what else they said. It is added to in place."""

    by_outcome: Counter[Outcome] = field(default_factory=Counter)
    by_cell: Counter[Cell] = field(default_factory=Counter)
    by_slice: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """By the slice, and whether the prediction was right."""
    audited: Counter[bool] = field(default_factory=Counter)
    """Of audited predictions: by whether the prediction was right."""
    among_best: Counter[bool] = field(default_factory=Counter)
    errors: Errors = field(default_factory=Errors)
    unjudged: int = 0
    """Labels that count for nothing else, because only those of audited predictions do."""
    pairs: Counter[tuple[str, PairOutcome]] = field(default_factory=Counter)
    """By the other revision."""

    def add(self, score: Score, count: int = 1) -> None:
        """Add so many equal labels."""
        self.by_outcome[score.outcome] += count
        if score.cell is not None:
            self.by_cell[score.cell] += count
        if score.slice is not None:
            self.by_slice[score.slice, score.is_right] += count
        if score.audited:
            self.audited[score.is_right] += count
        if score.among_best is not None:
            self.among_best[score.among_best] += count
        if score.error is not None:
            self.errors.add(score.error, count)

    def add_pair(self, paired: Paired, count: int = 1) -> None:
        """Add so many equal pairs."""
        self.pairs[paired.revision, paired.outcome] += count

    def merge(self, other: Tally) -> None:
        """Add all of another tally."""
        self.by_outcome.update(other.by_outcome)
        self.by_cell.update(other.by_cell)
        self.by_slice.update(other.by_slice)
        self.audited.update(other.audited)
        self.among_best.update(other.among_best)
        mine, theirs = self.errors, other.errors
        self.errors = Errors(
            mine.count + theirs.count,
            mine.absolute + theirs.absolute,
            mine.squared + theirs.squared,
            mine.scores + theirs.scores,
        )
        self.unjudged += other.unjudged
        self.pairs.update(other.pairs)

    def of(self, *outcomes: Outcome) -> int:
        """Sum over some outcomes."""
        return sum(self.by_outcome[outcome] for outcome in outcomes)

    @property
    def correct(self) -> int:
        """Labels that agree with the prediction."""
        return self.of(*_RIGHT)

    @property
    def wrong(self) -> int:
        """Labels that disagree."""
        return self.of(Outcome.WRONG, Outcome.FALSE_POSITIVE, Outcome.FALSE_NEGATIVE)

    @property
    def size(self) -> int:
        """All labels in it."""
        return self.by_outcome.total() + self.unjudged

    def against_all_others(self) -> dict[int, tuple[int, int, int]]:
        """Return by class its true positives, false positives and false negatives; of too many classes none."""
        right, claimed, missed = Counter[int](), Counter[int](), Counter[int]()
        for cell, count in self.by_cell.items():
            if cell.actual == cell.predicted:
                right[cell.actual] += count
                continue
            missed[cell.actual] += count
            if cell.predicted is not None:
                claimed[cell.predicted] += count
        return {number: (right[number], claimed[number], missed[number]) for number in sorted(right | claimed | missed)}

    def to_json(self) -> dict[str, Any]:
        """By the outcomes' letters; all else as lists of what it is counted by, and the count."""
        return {
            "outcomes": {str(outcome): count for outcome, count in self.by_outcome.items()},
            "cells": [[*cell, count] for cell, count in self.by_cell.items()],
            "slices": [[*kind, count] for kind, count in self.by_slice.items()],
            "audited": [self.audited[False], self.audited[True]],
            "among_best": [self.among_best[False], self.among_best[True]],
            "errors": [self.errors.count, self.errors.absolute, self.errors.squared, self.errors.scores],
            "unjudged": self.unjudged,
            "pairs": [[*kind, count] for kind, count in self.pairs.items()],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tally:
        """Invert `to_json`. Raises ValueError, KeyError or TypeError."""
        count, absolute, squared, scores = map(int, data["errors"])
        return cls(
            Counter({Outcome(letter): int(count) for letter, count in data["outcomes"].items()}),
            Counter(
                {
                    Cell(int(actual), None if predicted is None else int(predicted)): int(count)
                    for actual, predicted, count in data["cells"]
                }
            ),
            Counter({(str(name), bool(right)): int(count) for name, right, count in data["slices"]}),
            _by_truth(*data["audited"]),
            _by_truth(*data["among_best"]),
            Errors(count, absolute, squared, scores),
            int(data["unjudged"]),
            Counter({(str(name), PairOutcome(outcome)): int(count) for name, outcome, count in data.get("pairs", ())}),
        )


def _by_truth(wrong: object, right: object) -> Counter[bool]:
    counted = Counter({False: int(str(wrong)), True: int(str(right))})
    return +counted


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
