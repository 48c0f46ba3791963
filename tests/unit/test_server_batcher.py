"""Requests wait for threads, go together, leave, and get their own answers or errors."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_server.dataplane import batcher as module
from model_server.dataplane.batch_settings import BatchSettings
from model_server.dataplane.batcher import Batcher, Called, Share
from model_server.dataplane.question import Question
from model_server.errors import DeadlineExceeded, InvalidArgument, RequestError, Unavailable
from model_server.prediction_id import Classes
from model_server.running import Run

if TYPE_CHECKING:
    from model_server.tensors import Array

SECONDS = 10.0


class Model:
    """Doubles numbers, refuses those below zero, and can be held."""

    def __init__(self) -> None:
        self.calls: list[list[float]] = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.called = threading.Event()

    def __call__(self, signature: str, inputs: Mapping[str, Array]) -> Called:
        x = inputs["x"]
        self.calls.append(x.ravel().tolist())
        self.called.set()
        assert self.may_go.wait(SECONDS)
        if signature == "sums":
            return Called({"y": np.array([x.sum()])}, None)
        if (x < 0).any():
            raise InvalidArgument("a number is below zero")
        return Called({"y": x * 2}, Classes(10, x[:, 0].astype(int).tolist()))


@asynccontextmanager
async def running(
    model: Callable[..., Called],
    threads: int = 1,
    sizes: list[int] | None = None,
    quick: int = 0,
    **given: Any,
) -> AsyncIterator[Batcher]:
    batcher = Batcher(
        model,
        frozenset({"f", "sums"}),
        BatchSettings(**given),
        threads,
        (sizes if sizes is not None else []).append,
        {"f": quick},
    )
    try:
        yield batcher
    finally:
        await batcher.close()


def question(*numbers: float, signature: str = "f", deadline: float | None = None) -> Question:
    return Question(signature, {"x": np.array(numbers).reshape(-1, 1)}, deadline=deadline)


async def held(batcher: Batcher, model: Model) -> asyncio.Task[Share]:
    """Occupy the one thread."""
    model.may_go.clear()
    task = asyncio.create_task(batcher.ask(question(7)))
    assert await asyncio.to_thread(model.called.wait, SECONDS)
    return task


async def test_what_comes_while_the_thread_is_busy_goes_together() -> None:
    model, sizes = Model(), list[int]()
    async with running(model, sizes=sizes) as batcher:
        first = await held(batcher, model)
        others = [asyncio.create_task(batcher.ask(question(*numbers))) for numbers in ((1, 2), (3,), (4, 5, 6))]
        await asyncio.sleep(0.01)
        assert batcher.waiting == 3
        model.may_go.set()
        shares = await asyncio.gather(first, *others)
    assert [share.outputs["y"].ravel().tolist() for share in shares] == [[14], [2, 4], [6], [8, 10, 12]]
    assert [share.rows for share in shares] == [1, 2, 1, 3]
    assert [share.predicted.predicted for share in shares if share.predicted] == [[7], [1, 2], [3], [4, 5, 6]]
    assert model.calls == [[7], [1, 2, 3, 4, 5, 6]]
    assert sizes == [1, 6]


async def test_what_comes_at_once_goes_together_though_the_thread_is_free() -> None:
    model = Model()
    async with running(model) as batcher:
        await asyncio.gather(*(batcher.ask(question(n)) for n in range(5)))
    assert model.calls == [[0, 1, 2, 3, 4]]


async def test_a_call_has_at_most_so_many_rows_and_larger_requests_go_alone() -> None:
    model = Model()
    async with running(model, max_batch_size=3) as batcher:
        await asyncio.gather(*(batcher.ask(question(*range(size))) for size in (1, 1, 2, 5, 1)))
    assert [len(call) for call in model.calls] == [2, 2, 5, 1]


async def test_one_bad_request_does_not_spoil_the_others() -> None:
    model = Model()
    async with running(model) as batcher:
        answers = await asyncio.gather(*(batcher.ask(question(n)) for n in (1, 2, -3, 4)), return_exceptions=True)
    assert [isinstance(answer, InvalidArgument) for answer in answers] == [False, False, True, False]
    assert [answer.outputs["y"].item() for answer in answers if isinstance(answer, Share)] == [2, 4, 8]


async def test_a_model_that_gives_no_rows_is_asked_one_by_one_from_then_on() -> None:
    model = Model()
    async with running(model) as batcher:
        asked = [question(1, 2, signature="sums"), question(3, signature="sums")]
        shares = await asyncio.gather(*map(batcher.ask, asked))
        assert [share.outputs["y"].item() for share in shares] == [3, 3]
        before = len(model.calls)
        await asyncio.gather(*map(batcher.ask, asked))
    assert model.calls[before:] == [[1, 2], [3]]


async def test_a_request_that_leaves_is_never_computed() -> None:
    model = Model()
    async with running(model) as batcher:
        first = await held(batcher, model)
        gone, stays = asyncio.create_task(batcher.ask(question(1))), asyncio.create_task(batcher.ask(question(2)))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert batcher.waiting == 1
        model.may_go.set()
        await asyncio.gather(first, stays)
    assert batcher.is_idle
    assert model.calls == [[7], [2]]


async def test_a_client_that_leaves_while_its_request_is_computed_harms_nobody() -> None:
    model = Model()
    async with running(model) as batcher:
        first = await held(batcher, model)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        model.may_go.set()
        assert (await batcher.ask(question(2))).outputs["y"].item() == 4


async def test_a_full_queue_refuses_and_takes_again_what_has_room() -> None:
    model = Model()
    async with running(model, max_batch_size=2, max_enqueued_batches=2) as batcher:
        first = await held(batcher, model)
        waiting = [asyncio.create_task(batcher.ask(question(n))) for n in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="4 instances are waiting already, and 4 may"):
            await batcher.ask(question(9))
        waiting.pop().cancel()
        await asyncio.sleep(0)
        waiting.append(asyncio.create_task(batcher.ask(question(5))))
        model.may_go.set()
        await asyncio.gather(first, *waiting)


async def test_a_deadline_that_passed_is_told_without_computing() -> None:
    model = Model()
    async with running(model) as batcher:
        first = await held(batcher, model)
        late = asyncio.create_task(batcher.ask(question(1, deadline=time.monotonic() + 0.01)))
        await asyncio.sleep(0.05)
        model.may_go.set()
        with pytest.raises(DeadlineExceeded):
            await late
        await first
    assert model.calls == [[7]]


async def test_what_waited_for_too_long_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAIT_SECONDS", 0.01)
    model = Model()
    async with running(model) as batcher:
        first = await held(batcher, model)
        late = asyncio.create_task(batcher.ask(question(1)))
        await asyncio.sleep(0.05)
        model.may_go.set()
        with pytest.raises(Unavailable, match="waited for over"):
            await late
        await first


async def test_with_a_timeout_a_call_waits_for_more_rows_but_not_when_it_is_full() -> None:
    model = Model()
    async with running(model, max_batch_size=2, batch_timeout_micros=300_000) as batcher:
        began = time.monotonic()
        early = asyncio.create_task(batcher.ask(question(1)))
        await asyncio.sleep(0.02)
        await asyncio.gather(early, batcher.ask(question(2)))
        assert time.monotonic() - began < 0.25
        await batcher.ask(question(3))
        assert time.monotonic() - began > 0.3
    assert model.calls == [[1, 2], [3]]


async def test_what_need_not_wait_is_not_held_up_by_what_waits_for_more_rows() -> None:
    model = Model()
    async with running(model, max_batch_size=2, batch_timeout_micros=300_000) as batcher:
        lone = asyncio.create_task(batcher.ask(question(1)))
        await asyncio.sleep(0)
        wide = Question("f", {"x": np.array([[2.0, 2.0], [3.0, 3.0]])})
        await batcher.ask(wide)
        assert not lone.done()
        await lone
    assert model.calls == [[2, 2, 3, 3], [1]]


async def test_what_comes_after_the_end_is_told_so() -> None:
    async with running(Model()) as batcher:
        await batcher.ask(question(1))
    with pytest.raises(Unavailable, match="has been unloaded"):
        async with asyncio.timeout(1):
            await batcher.ask(question(1))


async def test_rows_of_other_forms_do_not_go_together_unless_they_are_filled_up() -> None:
    wide, narrow = np.array([[1.0, 2.0]]), np.array([[3.0]])
    for pads, calls in ((False, 2), (True, 1)):
        model = Model()
        async with running(model, pad_variable_length_inputs=pads) as batcher:
            shares = await asyncio.gather(*(batcher.ask(Question("f", {"x": x})) for x in (wide, narrow)))
        assert len(model.calls) == calls
        assert shares[0].outputs["y"].tolist() == [[2, 4]]


async def test_one_long_row_does_not_make_many_short_ones_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FILLED_UP", 20)
    shapes: list[tuple[int, ...]] = []

    def call(signature: str, inputs: Mapping[str, Array]) -> Called:
        shapes.append(inputs["x"].shape)
        return Called({"y": inputs["x"][:, :1]}, None)

    rows = [Question("f", {"x": np.ones((1, length))}) for length in (10, 2, 2, 2, 2)]
    async with running(call, pad_variable_length_inputs=True) as batcher:
        await asyncio.gather(*map(batcher.ask, rows))
    assert shapes == [(2, 10), (3, 2)]


async def test_inputs_that_are_no_rows_are_a_call_of_their_own() -> None:
    def call(signature: str, inputs: Mapping[str, Array]) -> Called:
        return Called({"y": np.asarray(inputs["x"].sum())}, None)

    async with running(call) as batcher:
        asked = Question("f", {"x": np.ones(3), "z": np.ones(2)})
        assert (await batcher.ask(asked)).rows == 1
        assert (await batcher.ask(question(1), together=False)).outputs["y"].item() == 1


async def test_a_fault_of_the_server_is_told_without_its_inside(caplog: pytest.LogCaptureFixture) -> None:
    def call(signature: str, inputs: Mapping[str, Array]) -> Called:
        raise KeyError("/secret/path")

    async with running(call) as batcher:
        with pytest.raises(RequestError) as caught:
            await batcher.ask(question(1))
    assert "/secret" not in str(caught.value)
    assert "/secret" in caplog.text


async def test_quick_calls_are_made_by_the_event_loop_and_larger_ones_by_threads() -> None:
    made_by: list[tuple[int, bool]] = []

    def call(signature: str, inputs: Mapping[str, Array]) -> Called:
        made_by.append((len(inputs["x"]), threading.current_thread() is threading.main_thread()))
        return Called({"y": inputs["x"]}, None)

    async with running(call, quick=2) as batcher:
        for rows in (1, 2, 3):
            assert (await batcher.ask(question(*range(rows)))).rows == rows
        await asyncio.gather(*(batcher.ask(question(1)) for _ in range(2)))
    assert made_by == [(1, True), (2, True), (3, False), (2, True)]


async def test_inputs_that_are_no_rows_are_quick_by_their_length() -> None:
    made_here: list[bool] = []

    def call(signature: str, inputs: Mapping[str, Array]) -> Called:
        made_here.append(threading.current_thread() is threading.main_thread())
        return Called({"y": inputs["x"]}, None)

    async with running(call, quick=2) as batcher:
        for rows in (2, 3):
            await batcher.ask(question(*range(rows)), together=False)
    assert made_here == [True, False]


async def test_who_is_told_may_ask_again_at_once() -> None:
    model = Model()

    async with running(model, quick=100, max_batch_size=2) as batcher:

        async def ask_again() -> list[float]:
            with pytest.raises(DeadlineExceeded):
                await batcher.ask(question(1, deadline=0))
            answers = [await batcher.ask(question(number)) for number in (2, 3)]
            return [float(answer.outputs["y"][0, 0]) for answer in answers]

        ended: list[Run[list[float]]] = []
        for _ in range(3):
            Run(ask_again()).begin(ended.append)
        others: list[Run[Share]] = []
        for number in (4, 5, 6):
            Run(batcher.ask(question(number))).begin(others.append)
        async with asyncio.timeout(SECONDS):
            while len(ended) + len(others) < 6:  # noqa: ASYNC110  # Tests may.
                await asyncio.sleep(0.001)
        assert [run.result for run in ended] == [[4, 6]] * 3
        assert [run.result.outputs["y"].tolist() for run in others] == [[[8]], [[10]], [[12]]]


async def test_who_asks_again_and_again_leaves_others_their_turn() -> None:
    turns: list[str] = []

    def call(signature: str, inputs: Mapping[str, Array]) -> Called:
        turns.append("call")
        return Called({"y": inputs["x"]}, None)

    async with running(call, quick=100) as batcher:

        async def ask_again() -> None:
            for _ in range(3):
                await batcher.ask(question(1))

        run = Run(ask_again())
        run.begin(lambda _: turns.append("end"))
        loop = asyncio.get_running_loop()
        for number in range(3):
            await asyncio.sleep(0)
            loop.call_soon(turns.append, f"turn {number}")
        while "end" not in turns:  # noqa: ASYNC110  # Tests may.
            await asyncio.sleep(0)
        assert turns.index("turn 0") < turns.index("end")


async def test_calls_that_prove_slow_are_left_to_threads() -> None:
    made_here: list[bool] = []

    def call(signature: str, inputs: Mapping[str, Array]) -> Called:
        made_here.append(threading.current_thread() is threading.main_thread())
        time.sleep(2 * module.SLOW_SECONDS)
        return Called({"y": inputs["x"]}, None)

    async with running(call, quick=8) as batcher:
        for _ in range(module.STRIKES + 2):
            await batcher.ask(question(1))
    assert made_here == [True] * module.STRIKES + [False, False]


async def test_calls_that_were_slow_for_a_while_come_back_to_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REST_SECONDS", 0.05)
    made_here: list[bool] = []

    def call(signature: str, inputs: Mapping[str, Array]) -> Called:
        made_here.append(threading.current_thread() is threading.main_thread())
        time.sleep(2 * module.SLOW_SECONDS if len(made_here) <= module.STRIKES else 0)
        return Called({"y": inputs["x"]}, None)

    async with running(call, quick=8) as batcher:
        for _ in range(module.STRIKES + 1):
            await batcher.ask(question(1))
        await asyncio.sleep(0.1)
        await batcher.ask(question(1))
    assert made_here == [True] * module.STRIKES + [False, True]


async def test_a_quick_call_that_fails_is_told_to_its_client() -> None:
    async with running(Model(), quick=8) as batcher:
        with pytest.raises(InvalidArgument):
            await batcher.ask(question(-1))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 8),
    st.integers(1, 3),
    st.integers(0, 4),
)
def test_everyone_gets_the_own_answer(requests: list[tuple[int, bool]], most: int, threads: int, quick: int) -> None:
    async def story() -> None:
        model = Model()
        async with running(model, threads, quick=quick, max_batch_size=most, max_enqueued_batches=1000) as batcher:
            tasks = []
            for number, (rows, leaves) in enumerate(requests):
                tasks.append(asyncio.create_task(batcher.ask(question(*[number] * rows))))
                await asyncio.sleep(0)
                if leaves:
                    tasks[-1].cancel()
            answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), SECONDS)
            for number, ((rows, leaves), answer) in enumerate(zip(requests, answers, strict=True)):
                if isinstance(answer, Share):
                    assert answer.outputs["y"].ravel().tolist() == [number * 2] * rows
                else:
                    assert leaves
                    assert isinstance(answer, asyncio.CancelledError)
        assert batcher.is_idle
        assert batcher.waiting == 0

    asyncio.run(story())
