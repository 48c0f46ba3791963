"""Which class a model's output stands for, or which value. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from model_server.errors import NotAClassifier
from model_server.prediction_id import Classes, Values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.tensors import Array, Signature

THRESHOLD: Final = 0.5
"""The least score of class 1 where one number tells two classes apart."""
LEEWAY: Final = 0.01
"""By how much of the tolerance a value may be off for being written in 2 bytes."""
_SUM_TOLERANCE: Final = 0.02
"""By which a sum of probabilities may miss 1: numbers of 16 bits are as coarse as that."""
_FEW: Final = 64
"""Numbers up to which plain Python is quicker than NumPy."""


def predicted_classes(outputs: Mapping[str, Array], *, named: bool, top: int = 0) -> Classes | None:
    """Find the classes of a request's instances, or None where an output has none. Raises `NotAClassifier`.

    - one output of shape (n,) or (n, 1) with values in 0..1, as a sigmoid gives it: class 1 from 0.5 on, else class 0;
    - one output of shape (n, k), k ≥ 2: the class with the largest value. These are probabilities, or anything if the
      classes are `named` by the user, who says thereby that they are classes;
    - anything else of another form (several outputs, integers): None, and the answer carries no Prediction-Id;
    - other values show that this model tells no classes apart, even if most of its answers look as if it did.

    An instance whose output holds NaN gets no class, and is wrong whatever its label is. `top`: how many of the best
    classes are wanted besides; 0 for none, and so it is where there are no more classes than that.
    """
    if len(outputs) != 1:
        return None
    (values,) = outputs.values()
    if values.dtype.kind != "f" or values.ndim not in (1, 2) or values.size == 0:
        return None
    if values.ndim == 2 and values.shape[1] > 1:
        top = top if values.shape[1] > top else 0
        if values.size <= _FEW:
            return _few_rows(values.tolist(), named=named, top=top)
        return _many_rows(values, named=named, top=top)
    return Classes(2, [_side(score) for score in values.reshape(-1).tolist()])


def predicted_values(outputs: Mapping[str, Array], tolerance: float) -> Values:
    """Find the values that were predicted, one an instance. Raises `NotAClassifier` if the outputs are not such.

    They are kept as floats of 4 bytes; of 2 where an id has no room for these and it does not matter.
    """
    arrays = list(outputs.values())
    if len(arrays) != 1 or arrays[0].dtype.kind not in "fiu" or not _is_column(arrays[0]):
        raise NotAClassifier("the output is not one number for each instance, so it is no value that labels can tell")
    with np.errstate(over="ignore"):
        return Values(arrays[0].reshape(-1).astype(np.float32).tolist(), tolerance * LEEWAY)


def _is_column(values: Array) -> bool:
    return values.size > 0 and (values.ndim == 1 or (values.ndim == 2 and values.shape[1] == 1))


def _side(score: float) -> int | None:
    if 0 <= score <= 1:
        return int(score >= THRESHOLD)
    if score != score:  # NaN
        return None
    raise NotAClassifier("the output is outside 0..1, so it is no probability of a class")


def _few_rows(rows: list[list[float]], *, named: bool, top: int) -> Classes:
    predicted: list[int | None] = []
    best: list[list[int]] = []
    for row in rows:
        total = sum(row)
        if total != total and any(score != score for score in row):  # NaN; the sum of infinities may be such, too.
            predicted.append(None)
            best.append([])
            continue
        if not named and (min(row) < 0 or not abs(total - 1) <= _SUM_TOLERANCE):
            raise _no_probabilities()
        predicted.append(row.index(max(row)))
        if top:
            best.append(sorted(range(len(row)), key=row.__getitem__, reverse=True)[:top])
    return Classes(len(rows[0]), predicted, best if top else None)


def _many_rows(values: Array, *, named: bool, top: int) -> Classes:
    missing = np.isnan(values.max(axis=1)).tolist()  # NaN if any of the row is.
    if not named:
        whole = values[~np.array(missing)] if any(missing) else values
        sums = whole.sum(axis=1, dtype=np.float64)
        if whole.size and not (whole.min() >= 0 and np.abs(sums - 1).max() <= _SUM_TOLERANCE):
            raise _no_probabilities()
    predicted = _without_nan(values.argmax(axis=1).tolist(), missing)
    if not top:
        return Classes(values.shape[1], predicted)
    ranked = np.argsort(np.negative(values), axis=1, kind="stable")[:, :top].tolist()
    best = [[] if gone else row for row, gone in zip(ranked, missing, strict=True)]
    return Classes(values.shape[1], predicted, best)


def class_count(signature: Signature) -> int | None:
    """Tell how many classes the outputs of this signature tell apart, as far as its shapes say."""
    if len(signature.outputs) != 1:
        return None
    (output,) = signature.outputs.values()
    if output.shape is None or output.dtype not in {"DT_FLOAT", "DT_HALF", "DT_DOUBLE", "DT_BFLOAT16"}:
        return None
    if len(output.shape) == 1 or (len(output.shape) == 2 and output.shape[1] == 1):
        return 2
    return output.shape[1] if len(output.shape) == 2 else None


def _no_probabilities() -> NotAClassifier:
    return NotAClassifier(
        "a row of the output is no probabilities that add up to 1; if the largest value stands for a class "
        "all the same, name the classes in spec.model.labels"
    )


def _without_nan(classes: list[int], missing: list[bool]) -> list[int | None]:
    if not any(missing):
        return list(classes)
    return [None if gone else c for c, gone in zip(classes, missing, strict=True)]
