"""Requests that came with a model, to warm it up with: TensorFlow Serving's `assets.extra/tf_serving_warmup_requests`.

A TFRecord file of `PredictionLog` messages. What they ask is what users will ask, so that the first of these does not
wait for memory and kernels.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError

from model_server import tensorflow_package
from model_server.errors import RequestError
from model_server.logs import event, warning
from model_server.protocols import tensorflow_grpc
from model_server.protocols.examples import Task

tensorflow_package.enter()

from tensorflow.python.framework import errors_impl as tf_errors  # noqa: E402
from tensorflow.python.lib.io import _pywrap_record_io  # noqa: E402
from tensorflow_serving.apis import prediction_log_pb2  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model_server.dataplane.question import Question
    from model_server.engine import LoadedModel

FILE: Final = "assets.extra/tf_serving_warmup_requests"
MOST: Final = 1000
"""TensorFlow Serving's own limit."""


def replay(model: LoadedModel, folder: Path) -> None:
    """Ask what was recorded, if anything was. What the model refuses is told, and no reason not to serve it."""
    file = folder / FILE
    if not file.is_file():
        return
    asked = 0
    try:
        for log in islice(_records(file), MOST):
            question = _question(log, model)
            if question is not None:
                model.predict(question.signature, question.inputs)
                asked += 1
    except (RequestError, RuntimeError, ValueError, tf_errors.OpError, DecodeError) as error:
        warning("a recorded request could not be asked", number=asked, reason=str(error))
    event("warmed up with recorded requests", requests=asked)


def _records(file: Path) -> Iterator[Any]:
    for record in _pywrap_record_io.RecordIterator(str(file), ""):
        yield prediction_log_pb2.PredictionLog.FromString(record)


def _question(log: Any, model: Any) -> Question | None:
    """Understand one record; None if it is of a kind that is not asked here. Raises `RequestError`."""
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        return tensorflow_grpc.read_predict(log.predict_log.request, model)
    if kind == "classify_log":
        return tensorflow_grpc.read_examples(Task.CLASSIFY, log.classify_log.request, model)
    if kind == "regress_log":
        return tensorflow_grpc.read_examples(Task.REGRESS, log.regress_log.request, model)
    return None
