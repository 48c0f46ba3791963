"""Which class a model's output stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from model_server.errors import NotAClassifier
from model_server.prediction_id import Classes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.tensors import Array, Signature

THRESHOLD: Final = 0.5
"""The least score of class 1 where one number tells two classes apart."""
_SUM_TOLERANCE: Final = 0.02
"""By which a sum of probabilities may miss 1: numbers of 16 bits are as coarse as that."""


def predicted_classes(outputs: Mapping[str, Array], *, named: bool) -> Classes | None:
    """Find the classes of a request's instances, or None where an output has none. Raises `NotAClassifier`.

    - one output of shape (n,) or (n, 1) with values in 0..1, as a sigmoid gives it: class 1 from 0.5 on, else class 0;
    - one output of shape (n, k), k ≥ 2: the class with the largest value. These are probabilities, or anything if the
      classes are `named` by the user, who says thereby that they are classes;
    - anything else of another form (several outputs, integers): None, and the answer carries no Prediction-Id;
    - other values show that this model tells no classes apart, even if most of its answers look as if it did.

    An instance whose output holds NaN gets no class, and is wrong whatever its label is.
    """
    if len(outputs) != 1:
        return None
    (values,) = outputs.values()
    if values.dtype.kind != "f" or values.ndim not in (1, 2) or values.size == 0:
        return None
    if values.ndim == 2 and values.shape[1] > 1:
        if not named and not _are_probabilities(values):
            raise NotAClassifier(
                "a row of the output is no probabilities that add up to 1; if the largest value stands for a class "
                "all the same, name the classes in spec.model.labels"
            )
        best = np.argmax(values, axis=1).tolist()
        best_of_row = values.max(axis=1).astype(np.float64)  # NaN if any of the row is.
        return Classes(values.shape[1], _without_nan(best, np.isnan(best_of_row).tolist()))
    scores = values.reshape(-1).astype(np.float64)
    if ((scores < 0) | (scores > 1)).any():
        raise NotAClassifier("the output is outside 0..1, so it is no probability of a class")
    return Classes(2, _without_nan((scores >= THRESHOLD).astype(int).tolist(), np.isnan(scores).tolist()))


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


def _are_probabilities(rows: Array) -> bool:
    scores = rows.astype(np.float64)
    whole = scores[~np.isnan(scores).any(axis=1)]
    return bool((whole >= 0).all() and (np.abs(whole.sum(axis=1) - 1) <= _SUM_TOLERANCE).all())


def _without_nan(classes: list[int], missing: list[bool]) -> list[int | None]:
    if not any(missing):
        return list(classes)
    return [None if gone else c for c, gone in zip(classes, missing, strict=True)]
