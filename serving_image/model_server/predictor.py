"""Answers the body of a prediction with the body of its answer. Runs in threads of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from model_server.classes import predicted_classes
from model_server.errors import Unavailable
from model_server.protocols import tensorflow_rest

if TYPE_CHECKING:
    from model_server.prediction_id import Classes
    from model_server.tensors import Model

MAX_WAITING: Final = 1000
"""Requests that may wait for a thread."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """An answer, and what is to be remembered of it."""

    body: bytes
    instances: int
    classes: Classes | None


class Predictor:
    """Runs a model in a few threads, as many as there are processors."""

    def __init__(self, model: Model, threads: int) -> None:
        self.model = model
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._waiting = 0

    async def predict(self, body: bytes) -> Predicted:
        """Answer a request. Raises `RequestError`."""
        if self._waiting >= MAX_WAITING:
            raise Unavailable(f"{MAX_WAITING} requests are waiting already: try again")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._predict, body)
        finally:
            self._waiting -= 1

    def _predict(self, body: bytes) -> Predicted:
        request = tensorflow_rest.read_predict(body, self.model.signatures)
        outputs = self.model.predict(request.signature, request.inputs)
        classes = predicted_classes(outputs)
        size = next((len(array) for array in outputs.values() if array.ndim), 1)
        return Predicted(tensorflow_rest.write_predict(request, outputs), size, classes)
