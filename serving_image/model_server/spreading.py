"""Finds over how many threads a model's calls are best spread: over one, or over as many as there are processors.

A small matrix product is done sooner than its parts are handed out, and threads that wait for parts keep processors
busy that other calls could use. A large one, or a convolution, is done sooner by all processors if a call is alone.
Which of them a model is made of shows in how long made-up requests take (decision 0015).
"""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from model_server.errors import RequestError, StartError
from model_server.independence import made_up
from model_server.logs import event
from model_server.tensors import DEFAULT_SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from model_server.tensors import Array, Model, TensorSpec

QUICK_SECONDS: Final = 0.001
"""A call that takes no longer has little to gain."""
LONG_SECONDS: Final = 0.03
"""A call that takes longer is made of parts so large that to hand them out is nothing: a comparison would only tell how
busy the machine was."""
CLEARLY: Final = 1.25
"""So many times as fast a call must be on all threads: they take more processor time for the same work."""
LARGE_BYTES: Final = 64 * 2**20
"""A model of more is not there twice at once, as it has to be for a comparison."""
SIZES: Final = (224, 32, 8, 1)
"""Tried in this order for dimensions of unknown size: of a picture, or a text. A small one would say too little."""
MOST_VALUES: Final = 2**18
"""Of one row: a picture of 224 by 224 fits."""
_ROUNDS: Final = 5
_TRIALS: Final = 3
_ROUNDS_SECONDS: Final = 0.4

AModel = TypeVar("AModel", bound="Model")
Result = TypeVar("Result")


def open_fastest(opened: Callable[[int], AModel], processors: int, size: int, rows: int) -> AModel:
    """Open a model of so many bytes with the better number of threads; `rows`: what a lone call is filled up to.

    What refuses made-up requests, as a model for pictures in JPEG does, is left to all threads, as TensorFlow does.
    """
    if processors == 1:
        return opened(1)
    if size > LARGE_BYTES:
        return _told(opened(processors), processors, f"the model is too large to compare, {size >> 20} MiB")
    one = opened(1)
    try:
        inputs, seconds = _in_own_thread(partial(_lone_call, one, rows))
    except RequestError as error:
        one.close()
        return _told(opened(processors), processors, f"the model refuses a made-up request: {error}")
    if seconds < QUICK_SECONDS:
        return _told(one, 1, f"a call takes {1000 * seconds:.2g} ms on one thread")
    if seconds > LONG_SECONDS:
        one.close()
        return _told(opened(processors), processors, f"a call takes {1000 * seconds:.3g} ms on one thread")
    try:
        every = opened(processors)
    except StartError:  # It was opened before: what is missing now is memory.
        return _told(one, 1, "there is no memory to compare")
    seconds, on_all = _least_seconds((one, every), inputs)
    is_faster = all_are_better(seconds, on_all)
    (one if is_faster else every).close()
    said = f"a call takes {1000 * seconds:.3g} ms on one thread, {1000 * on_all:.3g} on {processors}"
    return _told(every, processors, said) if is_faster else _told(one, 1, said)


def all_are_better(seconds: float, on_all: float) -> bool:
    """Tell whether calls should be spread over all threads, of the seconds that a lone one takes on one, and on all."""
    return seconds >= QUICK_SECONDS and seconds >= CLEARLY * on_all


def _told(model: AModel, threads: int, reason: str) -> AModel:
    event("chose how many threads a call is spread over", threads=threads, reason=reason)
    return model


def _lone_call(model: Model, rows: int) -> tuple[dict[str, Array], float]:
    """Make up a request that the model answers; with the seconds that it takes. Raises `RequestError`."""
    signature = model.signatures[DEFAULT_SIGNATURE]
    rows = rows if DEFAULT_SIGNATURE in model.batchable else 1
    sizes = [size for size in SIZES if all(_values(spec, size) <= MOST_VALUES for spec in signature.inputs.values())]
    for size in sizes or SIZES[-1:]:
        inputs = made_up(signature, rows, size)
        try:
            return inputs, _seconds(model, inputs)
        except RequestError as error:
            refused = error
    raise refused


def _values(spec: TensorSpec, size: int) -> int:
    return math.prod(size if dimension is None else dimension for dimension in (spec.shape or ())[1:])


def _least_seconds(models: tuple[Model, Model], inputs: Mapping[str, Array]) -> tuple[float, float]:
    """Time both in turns: others who use the processors too then slow down the one as much as the other."""
    times, until = [], time.perf_counter() + _ROUNDS_SECONDS
    for _ in range(_ROUNDS):
        times.append([_in_own_thread(partial(_seconds, model, inputs)) for model in models])
        if time.perf_counter() > until:
            break
    return min(one for one, _ in times), min(every for _, every in times)


def _seconds(model: Model, inputs: Mapping[str, Array]) -> float:
    model.predict(DEFAULT_SIGNATURE, inputs)  # The first call makes what the thread keeps for the next ones.
    return min(_once(model, inputs) for _ in range(_TRIALS))


def _once(model: Model, inputs: Mapping[str, Array]) -> float:
    began = time.perf_counter()
    model.predict(DEFAULT_SIGNATURE, inputs)
    return time.perf_counter() - began


def _in_own_thread(work: Callable[[], Result]) -> Result:
    """Do it in a new thread. Raises what it raises.

    oneDNN keeps for each thread how it does a convolution, with the number of threads of the model that needed it
    first: in the same thread both models would use as many.
    """
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # It is raised again, by the one who waits.
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result()
