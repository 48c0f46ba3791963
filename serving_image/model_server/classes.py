"""Which class a model's output stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from model_server.prediction_id import Classes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.tensors import Array, Signature

THRESHOLD: Final = 0.5
"""The least score of class 1 where one number tells two classes apart."""


def predicted_classes(outputs: Mapping[str, Array]) -> Classes | None:
    """Find the classes of a request's instances, or None where an output has none.

    - one output of shape (n,) or (n, 1) with values in 0..1, as a sigmoid gives it: class 1 from 0.5 on, else class 0;
    - one output of shape (n, k), k ≥ 2, probabilities or logits: the class with the largest value;
    - anything else (several outputs, integers, values outside 0..1): None, and the answer carries no Prediction-Id.

    An instance whose output holds NaN gets no class, and is wrong whatever its label is.
    """
    if len(outputs) != 1:
        return None
    (values,) = outputs.values()
    if values.dtype.kind != "f" or values.ndim not in (1, 2) or values.size == 0:
        return None
    if values.ndim == 2 and values.shape[1] > 1:
        best = np.argmax(values, axis=1).tolist()
        best_of_row = values.max(axis=1).astype(np.float64)  # NaN if any of the row is.
        return Classes(values.shape[1], _without_nan(best, np.isnan(best_of_row).tolist()))
    scores = values.reshape(-1).astype(np.float64)
    if ((scores < 0) | (scores > 1)).any():
        return None
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


def _without_nan(classes: list[int], missing: list[bool]) -> list[int | None]:
    if not any(missing):
        return list(classes)
    return [None if gone else c for c, gone in zip(classes, missing, strict=True)]
