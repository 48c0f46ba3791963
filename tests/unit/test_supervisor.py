"""What runs in a thread of its own, and is begun anew whenever it ends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from modeldeployment_operator.adapters import supervisor


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_SECONDS", 0.001)


@asynccontextmanager
async def supervised(run: Callable[[], Awaitable[None]]) -> AsyncIterator[asyncio.Task[None]]:
    async def main() -> None:
        await run()

    task = asyncio.create_task(supervisor.keep_running(main, "test"))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 10)


@pytest.mark.parametrize("error", [RuntimeError("no"), SystemExit(1), asyncio.CancelledError(), None])
async def test_it_begins_anew_however_it_ended(error: BaseException | None) -> None:
    runs, third = [], threading.Event()

    async def run() -> None:
        runs.append(1)
        if len(runs) == 3:
            third.set()
            await asyncio.sleep(60)
        if error is not None:
            raise error

    async with supervised(run):
        await until(third)


async def test_nothing_else_ends_with_it() -> None:
    """Kopf cancels all tasks of its loop that began after it."""
    ended = threading.Event()

    async def run() -> None:
        await asyncio.sleep(0.01)
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()
        ended.set()

    async with supervised(run):
        other = asyncio.create_task(asyncio.sleep(60))
        await until(ended)
        assert not other.done()
        other.cancel()


async def test_its_end_is_told_to_it() -> None:
    began, ended = threading.Event(), threading.Event()

    async def run() -> None:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with supervised(run) as task:
        await until(began)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert ended.is_set()


async def test_one_that_does_not_end_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_FAREWELL_SECONDS", 0.01)
    began, release = threading.Event(), threading.Event()

    async def run() -> None:
        began.set()
        release.wait(10)  # It blocks its loop.

    async with supervised(run) as task:
        await until(began)
        task.cancel()
        await asyncio.wait_for(asyncio.wait([task]), 5)
        assert task.cancelled()
        release.set()
