"""Coroutines that run without a task."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from model_server.running import Promise, Run


class Waiting:
    """A coroutine that waits for something, and what becomes of it."""

    def __init__(self, awaited: Any) -> None:
        self.ended: list[Run[str]] = []
        self.run = Run(self._wait(awaited))

    async def _wait(self, awaited: Any) -> str:
        return f"{await awaited}!"


def told_twice(run: Run[str]) -> None:
    raise AssertionError("it was done already")


async def a_promise() -> Promise[str]:
    return Promise(loop=asyncio.get_running_loop())


async def test_what_needs_no_waiting_is_done_at_once() -> None:
    async def nothing() -> str:
        return "done"

    run = Run(nothing())
    assert run.begin(told_twice)
    assert (run.result, run.error) == ("done", None)


async def test_what_fails_at_once_is_told() -> None:
    async def broken() -> str:
        raise ValueError("broken")

    run = Run(broken())
    assert run.begin(told_twice)
    assert isinstance(run.error, ValueError)


async def test_it_goes_on_in_the_moment_in_which_a_promise_is_kept() -> None:
    promise = await a_promise()
    waiting = Waiting(promise)
    assert not waiting.run.begin(waiting.ended.append)
    promise.keep("yes")
    assert [run.result for run in waiting.ended] == ["yes!"]


async def test_it_goes_on_after_a_promise_has_failed() -> None:
    promise = await a_promise()
    waiting = Waiting(promise)
    waiting.run.begin(waiting.ended.append)
    promise.fail(ValueError("broken"))
    assert isinstance(waiting.ended[0].error, ValueError)


async def test_a_task_may_wait_for_a_promise_as_for_any_future() -> None:
    promise = await a_promise()
    asyncio.get_running_loop().call_soon(promise.keep, "yes")
    assert await promise == "yes"


async def test_it_waits_for_other_futures_and_gives_way() -> None:
    for awaited in (asyncio.sleep(0, "slept"), asyncio.sleep(0.001, "slept"), asyncio.to_thread(lambda: "slept")):
        waiting = Waiting(awaited)
        waiting.run.begin(waiting.ended.append)
        async with asyncio.timeout(5):
            while not waiting.ended:  # noqa: ASYNC110  # Tests may.
                await asyncio.sleep(0.001)
        assert waiting.ended[0].result == "slept!"


async def test_it_is_cancelled_where_it_waits() -> None:
    promise, future = await a_promise(), asyncio.get_running_loop().create_future()
    for awaited in (promise, future):
        waiting = Waiting(awaited)
        waiting.run.begin(waiting.ended.append)
        waiting.run.cancel()
        await asyncio.sleep(0)
        assert isinstance(waiting.ended[0].error, asyncio.CancelledError)
        waiting.run.cancel()
        assert len(waiting.ended) == 1


async def test_a_failure_of_the_one_who_is_told_is_logged_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    def fail(run: Run[str]) -> None:
        raise ValueError("broken")

    promise = await a_promise()
    Waiting(promise).run.begin(fail)
    promise.keep("yes")
    assert "an answer failed" in caplog.text


async def test_it_may_be_a_part_of_a_task() -> None:
    promise = await a_promise()
    asyncio.get_running_loop().call_soon(promise.keep, "yes")
    assert await Waiting(promise).run == "yes!"
