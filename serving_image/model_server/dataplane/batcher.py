"""Runs a model in a few threads, many requests at a time.

What waits is known to the event loop alone, so that a request can leave as easily as it came. A thread gets its next
call when it is done with the last one: requests that come meanwhile go together, and a lone one never waits. Calls that
take less time than to wake a thread are made by the event loop itself.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple

from model_server.busy import Busy
from model_server.dataplane import batch
from model_server.errors import DeadlineExceeded, RequestError, Unavailable
from model_server.logs import logger, warning
from model_server.running import Promise
from model_server.telling import INTERNAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from model_server.dataplane.batch_settings import BatchSettings
    from model_server.dataplane.question import Question
    from model_server.prediction_id import Classes, Values
    from model_server.tensors import Array

    Group = tuple[str, tuple[tuple[int, ...], ...]]
    """The signature, and the form of its inputs: what can go together."""

SLOW_SECONDS: Final = 0.001
"""What a quick call may take now and then: on a busy machine any may."""
STRIKES: Final = 10
"""So many in a row that take longer are left to the threads. Where others use the processors too, three in a row are no
rarity among quick ones."""
REST_SECONDS: Final = 5.0
"""How long at first."""
MOST_FILLED_UP: Final = 2**22
"""Values in rows of different lengths that go together: one long row must not make a hundred short ones as long."""
MAX_WAIT_SECONDS: Final = 30.0
"""What waited longer is not computed: its client has given up, or will before the queue is short again."""


class Called(NamedTuple):
    """What a call of the model gave."""

    outputs: Mapping[str, Array]
    predicted: Classes | Values | None
    """By all rows, where labels can be compared with it."""


class Share(NamedTuple):
    """One request's part of it."""

    outputs: Mapping[str, Array]
    rows: int
    predicted: Classes | Values | None


class _Waiting:
    """A request that waits for a thread."""

    __slots__ = ("alone", "came", "deadline", "future", "group", "inputs", "rows")

    def __init__(self, question: Question, came: float, future: Promise[Share], *, can_batch: bool) -> None:
        rows = batch.rows_of(question.inputs) if can_batch else None
        self.inputs = question.inputs
        self.rows = rows or 1
        self.alone = not rows
        """Whether it is a call of its own, as its inputs are no rows."""
        self.came = came
        self.deadline = question.deadline
        self.future = future
        self.group: Group = (question.signature, ())


class _Job(NamedTuple):
    """One call for a thread."""

    signature: str
    requests: Sequence[_Waiting]
    rows: int


class Batcher:
    """Calls a model. All methods are for the event loop's thread.

    `call` takes a signature and inputs, in any thread; it raises `RequestError`. `batchable`: the signatures whose rows
    may be put together. `quick`: how many rows each signature answers in less time than to wake a thread.
    """

    def __init__(
        self,
        call: Callable[[str, Mapping[str, Array]], Called],
        batchable: frozenset[str],
        settings: BatchSettings,
        threads: int,
        note_batch: Callable[[int], None],
        quick: Mapping[str, int] | None = None,
    ) -> None:
        self._call = call
        self._batchable = set(batchable) if settings.max_batch_size > 1 else set()
        self._settings = settings
        self._timeout = settings.batch_timeout_micros / 1e6
        self._note_batch = note_batch
        self._measured = dict(quick or {})
        self._quick = dict(self._measured)
        self._strikes = 0
        self._rest_seconds = REST_SECONDS
        self._loop = asyncio.get_running_loop()
        self._groups: dict[Group, deque[_Waiting]] = {}
        """Those that were served last come last."""
        self._rows_waiting = 0
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._closing: asyncio.Future[None] | None = None
        self._is_closed = False
        self.threads = threads
        self._free = threads
        self.busy = Busy(time.monotonic)
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        for number in range(threads):
            threading.Thread(target=self._work, name=f"call-{number}", daemon=True).start()

    @property
    def waiting(self) -> int:
        """Requests that wait for a thread."""
        return sum(map(len, self._groups.values()))

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or is worked on."""
        return not self._groups and self._free == self.threads

    async def close(self) -> None:
        """End the threads once all that was asked is answered, also what its client no longer waits for."""
        self._closing = self._loop.create_future()
        if not self.is_idle:
            await self._closing
        self._is_closed = True
        for _ in range(self.threads):
            self._jobs.put(None)

    async def ask(self, question: Question, *, together: bool = True) -> Share:
        """Have a request answered; `together`: whether its rows may go with those of others.

        Raises `RequestError`. If it is cancelled, it leaves the queue.
        """
        if self._is_closed:  # Whoever asks several times in one request may come back too late.
            raise Unavailable("this version of the model has been unloaded: try again")
        together = together and question.signature in self._batchable
        waiting = _Waiting(question, time.monotonic(), Promise(loop=self._loop), can_batch=together)
        most = self._settings.most_rows_waiting
        if self._rows_waiting and self._rows_waiting + waiting.rows > most:
            raise Unavailable(f"{self._rows_waiting} instances are waiting already, and {most} may: try again")
        self._put(waiting)
        try:
            return await waiting.future
        except asyncio.CancelledError:
            self._withdraw(waiting)
            raise

    def _put(self, waiting: _Waiting) -> None:
        pads = self._settings.pad_variable_length_inputs and not waiting.alone
        shapes = tuple((array.ndim,) for array in waiting.inputs.values()) if pads else batch.form(waiting.inputs)
        waiting.group = (waiting.group[0], shapes)
        self._groups.setdefault(waiting.group, deque()).append(waiting)
        self._rows_waiting += waiting.rows
        if self._free and not self._scheduled:
            self._scheduled = True  # Not at once: what else has come in this turn of the loop goes along.
            self._loop.call_soon(self._dispatch)

    def _withdraw(self, waiting: _Waiting) -> None:
        group = self._groups.get(waiting.group)
        if group is not None and waiting in group:
            group.remove(waiting)
            self._rows_waiting -= waiting.rows
            if not group:
                del self._groups[waiting.group]
                self._note_idle()

    def _dispatch(self) -> None:
        """Give calls to threads that are free. What is asked by those who are answered has another turn."""
        self._scheduled = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._free and self._groups and not self._scheduled:
            key, wait = self._next()
            if wait > 0:
                self._timer = self._loop.call_later(wait, self._dispatch)
                return
            requests = self._take(key)
            if not requests:
                continue
            job = _Job(key[0], requests, sum(waiting.rows for waiting in requests))
            if _length(job) <= self._quick.get(job.signature, 0):
                self._call_here(job)
            else:
                self._free -= 1
                self._jobs.put(job)
        self._note_idle()

    def _next(self) -> tuple[Group, float]:
        """Choose the group whose turn it is among those that need not wait; with how long it has to wait for more."""
        if not self._timeout:
            return next(iter(self._groups)), 0.0
        waits = {key: max(0.0, self._wait_for_more(group)) for key, group in self._groups.items()}
        return min(waits.items(), key=lambda item: item[1])

    def _wait_for_more(self, group: deque[_Waiting]) -> float:
        if not self._timeout or group[0].alone:
            return 0.0
        if sum(waiting.rows for waiting in group) >= self._settings.max_batch_size:
            return 0.0
        return group[0].came + self._timeout - time.monotonic()

    def _take(self, key: Group) -> list[_Waiting]:
        """Take from a group what goes into one call. What waited for too long is answered."""
        group, now = self._groups.pop(key), time.monotonic()
        taken: list[_Waiting] = []
        late: list[tuple[_Waiting, RequestError]] = []
        rows = 0
        shapes: batch.Shapes = ()
        while group:
            waiting = group[0]
            alone = waiting.alone or waiting.rows >= self._settings.max_batch_size
            if taken and (alone or rows + waiting.rows > self._settings.max_batch_size):
                break
            if self._settings.pad_variable_length_inputs and not alone:
                own = batch.form(waiting.inputs)
                shapes = batch.longest(shapes, own) if taken else own
                if taken and batch.values_of(rows + waiting.rows, shapes) > MOST_FILLED_UP:
                    break
            group.popleft()
            self._rows_waiting -= waiting.rows
            if waiting.future.done():
                continue
            error = _lateness(waiting, now)
            if error is not None:
                late.append((waiting, error))
                continue
            taken.append(waiting)
            rows += waiting.rows
            if alone:
                break
        if group:
            self._groups[key] = group
        for waiting, error in late:  # Now that all is in order: who is told goes on at once, and may ask again.
            waiting.future.fail(error)
        return taken

    def _call_here(self, job: _Job) -> None:
        """Make a quick call in the event loop; one that proves slow again and again is left to the threads."""
        began = time.monotonic()
        results = self._run(job.signature, job.requests)
        seconds = time.monotonic() - began
        self.busy.add(seconds)
        self._strikes = self._strikes + 1 if seconds > SLOW_SECONDS else 0
        if self._strikes == STRIKES:
            self._rest(job)
        self._tell(job, results)

    def _rest(self, job: _Job) -> None:
        """Leave calls of so many rows to the threads, for longer each time: the machine may only have been busy."""
        self._loop.call_later(self._rest_seconds, self._quick.__setitem__, job.signature, self._measured[job.signature])
        self._strikes, self._quick[job.signature] = 0, job.rows // 2
        self._rest_seconds *= 2

    def _work(self) -> None:
        """Be one of the threads."""
        while (job := self._jobs.get()) is not None:
            with self.busy:
                results = self._run(job.signature, job.requests)
            self._loop.call_soon_threadsafe(self._finish, job, results)

    def _run(self, signature: str, requests: Sequence[_Waiting]) -> list[Share | RequestError]:
        try:
            first = requests[0]
            if first.alone:
                return [_whole(self._call(signature, first.inputs))]
            counts = [waiting.rows for waiting in requests]
            size = self._settings.filled(sum(counts))
            whole = size == first.rows
            """Whether the first request is all of the call."""
            called = self._call(
                signature, first.inputs if whole else batch.join([waiting.inputs for waiting in requests], size)
            )
            if batch.are_rows(called.outputs, size):
                return [Share(called.outputs, size, called.predicted)] if whole else _shares(called, counts)
        except RequestError as error:
            if len(requests) == 1:
                return [error]
        except Exception:
            logger.exception("the model could not be called")
            return [RequestError(INTERNAL) for _ in requests]
        else:
            self._batchable.discard(signature)
            warning(
                "the outputs are not one row for each row: requests are no longer put together", signature=signature
            )
        if len(requests) == 1:
            requests[0].alone = True
            return self._run(signature, requests)
        # One request may spoil the call for all: those that are alone then are answered each for itself.
        half = len(requests) // 2
        return [*self._run(signature, requests[:half]), *self._run(signature, requests[half:])]

    def _finish(self, job: _Job, results: Sequence[Share | RequestError]) -> None:
        self._free += 1
        if self._groups and not self._scheduled:
            self._dispatch()
        self._tell(job, results)
        self._note_idle()

    def _tell(self, job: _Job, results: Sequence[Share | RequestError]) -> None:
        """Give everyone the own part."""
        self._note_batch(job.rows)
        for waiting, result in zip(job.requests, results, strict=True):
            if waiting.future.done():
                continue
            if isinstance(result, RequestError):
                waiting.future.fail(result)
            else:
                waiting.future.keep(result)

    def _note_idle(self) -> None:
        """Tell who waits for the end of all requests."""
        if self._closing is not None and self.is_idle and not self._closing.done():
            self._closing.set_result(None)


def _length(job: _Job) -> int:
    """Give the rows of a call; of inputs that are no rows the most that one of them has in its first dimension."""
    if not job.requests[0].alone:
        return job.rows
    return max((len(array) if array.ndim else 1 for array in job.requests[0].inputs.values()), default=1)


def _lateness(waiting: _Waiting, now: float) -> RequestError | None:
    """Tell why it is too late to answer it, if it is."""
    if waiting.deadline is not None and now > waiting.deadline:
        return DeadlineExceeded("the deadline passed while the request waited for a processor")
    if now - waiting.came > MAX_WAIT_SECONDS:
        return Unavailable(f"the request waited for over {MAX_WAIT_SECONDS:g} s for a processor: try again")
    return None


def _whole(called: Called) -> Share:
    """Give all of a call to one request."""
    rows = next((len(array) for array in called.outputs.values() if array.ndim), 1)
    return Share(called.outputs, rows, called.predicted)


def _shares(called: Called, counts: Sequence[int]) -> list[Share | RequestError]:
    shares: list[Share | RequestError] = []
    start = 0
    for count, outputs in zip(counts, batch.split(called.outputs, counts), strict=True):
        predicted = None if called.predicted is None else called.predicted.part(start, start + count)
        shares.append(Share(outputs, count, predicted))
        start += count
    return shares
