"""The queue of what is to be looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from modeldeployment_operator.adapters.queue import FIRST_BACKOFF, LONGEST_BACKOFF, Queue
from modeldeployment_operator.core.observation import Key

A, B = Key("team", "a"), Key("team", "b")
SOON = 0.01


@pytest.fixture
async def queue() -> AsyncIterator[Queue]:
    queue = Queue()
    yield queue
    assert await is_idle(queue)


async def is_idle(queue: Queue, seconds: float = SOON) -> bool:
    try:
        await asyncio.wait_for(queue.get(), seconds)
    except TimeoutError:
        return True
    return False


async def test_first_come_first_served(queue: Queue) -> None:
    queue.add(B)
    queue.add(A)

    assert [await queue.get(), await queue.get()] == [B, A]


async def test_a_key_stands_in_it_once(queue: Queue) -> None:
    queue.add(A)
    queue.add(A)

    assert len(queue) == 1
    assert await queue.get() == A


async def test_a_key_is_never_with_two_workers(queue: Queue) -> None:
    queue.add(A)
    await queue.get()
    queue.add(A)
    queue.add(A)

    assert await is_idle(queue)
    assert len(queue) == 1
    queue.done(A)
    assert await queue.get() == A
    queue.done(A)


async def test_who_waits_is_woken(queue: Queue) -> None:
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add(A)
    queue.add(B)

    assert sorted(await asyncio.gather(*waiting)) == [A, B]


async def test_a_key_is_due_when_its_time_has_come(queue: Queue) -> None:
    queue.schedule(A, 2 * SOON)

    assert await is_idle(queue)
    assert await asyncio.wait_for(queue.get(), 1) == A


async def test_the_last_time_set_counts(queue: Queue) -> None:
    queue.schedule(A, 0)
    queue.schedule(A, 100)
    queue.schedule(B, 100)
    queue.schedule(B, 0)

    assert await asyncio.wait_for(queue.get(), 1) == B
    queue.schedule(A, 0)
    queue.schedule(A, None)
    assert await is_idle(queue)


async def test_a_time_that_comes_while_it_is_worked_on_makes_it_due_again(queue: Queue) -> None:
    queue.add(A)
    await queue.get()
    queue.schedule(A, 0)

    assert await is_idle(queue)
    queue.done(A)
    assert await asyncio.wait_for(queue.get(), 1) == A


async def test_failures_wait_longer_each_time_up_to_a_limit() -> None:
    queue = Queue()
    delays = [queue.failed(A) for _ in range(12)]

    for number, delay in enumerate(delays):
        assert delay == pytest.approx(min(LONGEST_BACKOFF, FIRST_BACKOFF * 2**number), rel=0.26)
    queue.succeeded(A)
    assert queue.failed(A) < 2 * FIRST_BACKOFF


async def test_failures_may_go_on_for_months() -> None:
    queue = Queue()
    for _ in range(2000):
        delay = queue.failed(A)

    assert 0 < delay <= 1.25 * LONGEST_BACKOFF


async def test_an_event_does_not_wait_for_the_delay_after_a_failure(queue: Queue) -> None:
    queue.failed(A)
    queue.add(A)

    assert await queue.get() == A
    queue.forget(A)


async def test_what_is_forgotten_does_not_come_back(queue: Queue) -> None:
    queue.schedule(A, 0)
    queue.forget(A)

    assert await is_idle(queue)


async def test_it_tells_who_waits_and_who_is_worked_on_for_longest(queue: Queue) -> None:
    assert (queue.oldest, queue.working, queue.slowest) == (0, 0, (None, 0))
    queue.add(A)
    await asyncio.sleep(SOON)
    queue.add(B)
    queue.add(A)
    assert queue.oldest >= SOON, "what is added once more has waited since the first time"

    assert await queue.get() == A
    await asyncio.sleep(SOON)
    key, seconds = queue.slowest
    assert (key, queue.working) == (A, 1)
    assert seconds >= SOON

    queue.add(A)
    assert await queue.get() == B
    await asyncio.sleep(SOON)
    assert queue.oldest >= SOON, "it waits for its own reconcile to end"
    queue.done(B)
    queue.done(A)
    assert queue.oldest >= SOON
    assert await queue.get() == A
    queue.done(A)
    assert (queue.oldest, queue.working, queue.slowest) == (0, 0, (None, 0))


@pytest.mark.parametrize("steps", range(6))
async def test_who_is_cancelled_just_when_something_comes_ends(steps: int) -> None:
    """A worker that went on would keep the process from ending, and the Lease from being given back."""
    queue = Queue()
    queue.schedule(B, 100)
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0.01)
    queue.add(A)
    for _ in range(steps):
        await asyncio.sleep(0)

    heard = waiting.cancel()
    await asyncio.wait([waiting])

    assert waiting.cancelled() is heard
