"""A call is spread over all threads where a lone one is done clearly sooner, and nowhere else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from model_server.contract import StartFailure
from model_server.errors import InvalidArgument, StartError
from model_server.spreading import CLEARLY, LARGE_BYTES, LONG_SECONDS, QUICK_SECONDS, all_are_better, open_fastest
from model_server.tensors import Signature, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

SMALL = 1000


class Sleeper:
    """A model that takes so many seconds for each call, and takes rows of this shape."""

    def __init__(self, seconds: float, *shape: int | None, refused: bool = False) -> None:
        self.signatures: Mapping[str, Signature] = {
            "serving_default": Signature({"x": TensorSpec("x", "DT_FLOAT", (None, *shape))}, {})
        }
        self.batchable = frozenset({"serving_default"})
        self.quick: Mapping[str, int] = {}
        self.seconds = seconds
        self.refused = refused
        self.asked: set[tuple[int, ...]] = set()
        self.closed = False

    def predict(self, signature_name: str, inputs: Any) -> dict[str, Any]:
        assert not self.closed
        if self.refused:
            raise InvalidArgument("no picture")
        self.asked.add(inputs["x"].shape)
        time.sleep(self.seconds)
        return {"y": np.zeros(len(inputs["x"]))}

    def close(self) -> None:
        self.closed = True


def opened(models: dict[int, Sleeper], processors: int = 8, size: int = SMALL, rows: int = 1) -> int:
    """On how many threads what was chosen runs; all others that were opened have to be closed."""
    used = []

    def open_one(threads: int) -> Sleeper:
        if threads not in models:
            raise StartError(StartFailure.LOAD_FAILED, "no memory")
        used.append(threads)
        return models[threads]

    kept = open_fastest(open_one, processors, size, rows)
    assert [threads for threads in used if not models[threads].closed] == [kept_on(models, kept)]
    return kept_on(models, kept)


def kept_on(models: dict[int, Sleeper], kept: Sleeper) -> int:
    return next(threads for threads, model in models.items() if model is kept)


@pytest.mark.parametrize(
    ("on_one", "on_all", "is_better"),
    [
        (0.010, 0.002, True),
        (0.010, 0.010 / CLEARLY, True),
        (0.010, 0.0085, False),
        (0.010, 0.015, False),
        (QUICK_SECONDS / 2, QUICK_SECONDS / 8, False),
    ],
)
def test_all_threads_are_for_what_takes_long_and_is_clearly_faster_on_them(
    on_one: float, on_all: float, *, is_better: bool
) -> None:
    assert all_are_better(on_one, on_all) is is_better


def test_a_quick_model_is_opened_once_with_one_thread() -> None:
    assert opened({1: Sleeper(0)}) == 1


def test_a_slow_model_gets_what_is_faster() -> None:
    assert opened({1: Sleeper(0.02), 8: Sleeper(0.002)}) == 8
    assert opened({1: Sleeper(0.002), 8: Sleeper(0.02)}) == 1


def test_a_model_that_takes_very_long_gets_all_threads_without_a_comparison() -> None:
    every = Sleeper(0)
    assert opened({1: Sleeper(2 * LONG_SECONDS), 8: every}) == 8
    assert not every.asked


def test_one_processor_leaves_no_choice() -> None:
    assert opened({1: Sleeper(0.01)}, processors=1) == 1


def test_a_large_model_is_never_there_twice() -> None:
    assert opened({8: Sleeper(0)}, size=LARGE_BYTES + 1) == 8


def test_what_refuses_made_up_requests_gets_all_threads() -> None:
    assert opened({1: Sleeper(0, refused=True), 8: Sleeper(0, refused=True)}) == 8


def test_without_memory_for_a_second_one_the_first_is_kept() -> None:
    assert opened({1: Sleeper(2 * QUICK_SECONDS)}) == 1


@pytest.mark.parametrize(
    ("shape", "rows", "asked"),
    [
        ((4,), 1, (1, 4)),
        ((4,), 16, (16, 4)),
        ((None, None, 3), 1, (1, 224, 224, 3)),
        ((None, 512, 256), 1, (1, 1, 512, 256)),
    ],
)
def test_a_lone_call_is_tried_with_rows_as_large_as_real_ones(
    shape: tuple[int | None, ...], rows: int, asked: tuple[int, ...]
) -> None:
    model = Sleeper(0, *shape)
    opened({1: model, 8: Sleeper(0)}, rows=rows)
    assert model.asked == {asked}
