"""Answers the body of a prediction with the body of its answer. Runs in threads of its own."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from model_server.busy import Busy
from model_server.classes import predicted_classes
from model_server.errors import NotAClassifier, Unavailable
from model_server.logs import warning
from model_server.protocols import tensorflow_rest
from model_server.tensors import DEFAULT_SIGNATURE
from model_server.traces import NO_TRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from model_server.prediction_id import Classes
    from model_server.tensors import Array, Model
    from model_server.traces import Trace

MAX_WAITING: Final = 1000
"""Requests that may wait for a thread."""
MAX_WAIT_SECONDS: Final = 30.0
"""What waited longer is not computed: its client has given up, or will before the queue is short again."""


class ClientGone(Exception):  # noqa: N818  # A fact about the client.
    """Nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """An answer, and what is to be remembered of it."""

    body: bytes
    instances: int
    classes: Classes | None


class Predictor:
    """Runs a model in a few threads, as many as there are processors."""

    def __init__(
        self, model: Model, threads: int, *, named: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.model = model
        self.no_ids: str | None = None
        """Why this model's predictions get no ids any more."""
        self._named = named
        self._clock = clock
        self.threads = threads
        self.busy = Busy(clock)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._asked = 0
        """Requests that wait or are worked on."""

    @property
    def waiting(self) -> int:
        """Requests that wait for a thread."""
        return max(0, self._asked - self.threads)

    async def predict(
        self,
        read: Callable[[], bytes],
        until_gone: Callable[[], Coroutine[Any, Any, object]],
        trace: Trace = NO_TRACE,
    ) -> Predicted:
        """Answer a request; `read` gives its body, in the thread that works on it.

        Raises `RequestError`, or `ClientGone` if `until_gone` ends before it was begun.
        """
        if self._asked >= MAX_WAITING:
            raise Unavailable(f"{MAX_WAITING} requests are waiting already: try again")
        self._asked += 1
        try:
            work = asyncio.get_running_loop().run_in_executor(self._pool, self._predict, read, trace, self._clock())
            if self.waiting:  # The others are begun at once: to watch their clients would cost more.
                await self._watch(work, until_gone)
            return await work
        finally:
            self._asked -= 1

    async def _watch(
        self, work: asyncio.Future[Predicted], until_gone: Callable[[], Coroutine[Any, Any, object]]
    ) -> None:
        gone = asyncio.create_task(until_gone())
        waiting: set[asyncio.Future[Any]] = {work, gone}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        if not work.done():
            work.cancel()
            raise ClientGone

    def _predict(self, read: Callable[[], bytes], trace: Trace, came: float) -> Predicted:
        if self._clock() - came > MAX_WAIT_SECONDS:
            raise Unavailable(f"the request waited for over {MAX_WAIT_SECONDS:g} s for a processor: try again")
        with self.busy:
            request = tensorflow_rest.read_predict(read(), self.model.signatures)
            with trace.stage("call model"):
                outputs = self.model.predict(request.signature, request.inputs)
            classes = self._classes(request.signature, outputs)
            size = next((len(array) for array in outputs.values() if array.ndim), 1)
            return Predicted(tensorflow_rest.write_predict(request, outputs), size, classes)

    def _classes(self, signature: str, outputs: Mapping[str, Array]) -> Classes | None:
        """Find the classes, until the model has shown that it has none: then labels would measure nothing."""
        if signature != DEFAULT_SIGNATURE or self.no_ids is not None:
            return None
        try:
            return predicted_classes(outputs, named=self._named)
        except NotAClassifier as error:
            self.no_ids = str(error)
            warning("predictions get no ids any more", reason=str(error))
            return None
