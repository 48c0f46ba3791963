"""Decides what is remembered of each answer in its id: classes or values, slices, and whether it is audited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from model_server.classes import predicted_classes, predicted_values
from model_server.errors import NotAClassifier
from model_server.label_options import Task
from model_server.logs import warning
from model_server.prediction_id import MAX_SLICE_BYTES, OTHER_SLICE, Issued
from model_server.tensors import DEFAULT_SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.dataplane.question import Question
    from model_server.label_options import LabelOptions
    from model_server.prediction_id import Classes, Issuer, Values
    from model_server.tensors import Array

NO_ID: Final = Issued(None, audited=False)


class Marker:
    """Gives the answers of one revision their ids, until the model has shown that labels would measure nothing."""

    def __init__(self, issuer: Issuer, options: LabelOptions, *, named: bool) -> None:
        self._issuer = issuer
        self._options = options
        self._named = named
        self.no_ids: str | None = None
        """Why this model's predictions get no ids any more."""

    def look(self, signature: str, outputs: Mapping[str, Array]) -> Classes | Values | None:
        """Find what was predicted in all outputs of a signature; None where labels could not be compared with them.

        For any thread.
        """
        if signature != DEFAULT_SIGNATURE or self.no_ids is not None:
            return None
        try:
            return self._predicted(outputs)
        except NotAClassifier as error:
            self.no_ids = str(error)
            warning("predictions get no ids any more", reason=str(error))
            return None

    def mark(self, question: Question, predicted: Classes | Values | None) -> Issued:
        """Make the id of an answer, of what was found in its outputs."""
        if predicted is None or self.no_ids is not None:
            return NO_ID
        slices = self._slices(question, len(predicted.predicted)) if self._options.slice_field is not None else None
        return self._issuer.issue(predicted, slices)

    def _predicted(self, outputs: Mapping[str, Array]) -> Classes | Values | None:
        if self._options.task is Task.REGRESSION:
            return predicted_values(outputs, self._options.tolerance)
        return predicted_classes(outputs, named=self._named, top=self._options.top)

    def _slices(self, question: Question, count: int) -> list[str]:
        """Name the slice of each instance: by a parameter of the request, or an input with one value for each."""
        field = self._options.slice_field or ""
        if field in question.parameters:
            return [self._name(question.parameters[field])] * count
        column = question.inputs.get(field)
        if column is None or column.size != count or column.ndim == 0:
            return [OTHER_SLICE] * count
        return [self._name(value) for value in column.reshape(-1).tolist()]

    def _name(self, value: object) -> str:
        """Name a slice by a text, a whole number or a truth value; all else is the other one."""
        if isinstance(value, bytes):
            value = value.decode(errors="replace")
        elif isinstance(value, bool):
            value = str(value).lower()
        elif isinstance(value, int):
            value = str(value)
        if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= MAX_SLICE_BYTES:
            return OTHER_SLICE
        if self._options.slices is not None:
            return value if value in self._options.slices else OTHER_SLICE
        return value if len(value.encode()) <= MAX_SLICE_BYTES else OTHER_SLICE
