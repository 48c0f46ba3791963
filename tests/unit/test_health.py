"""What the operator tells of its own health."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from modeldeployment_operator.adapters import health, web
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.fleet import Fleet
from modeldeployment_operator.adapters.health import Heartbeat, problems
from modeldeployment_operator.adapters.queue import Queue
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.core.observation import Key
from prometheus_client import CollectorRegistry

KEY = Key("team", "m")


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(CollectorRegistry())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_BEAT_SECONDS", "_SILENT_SECONDS", "_HUNG_SECONDS"):
        monkeypatch.setattr(health, name, 0.05)


@pytest.mark.usefixtures("impatient")
async def test_a_reconcile_that_does_not_end_is_told() -> None:
    queue = Queue()
    queue.add(KEY)
    await queue.get()
    assert list(problems(queue)) == []

    await asyncio.sleep(0.1)
    (problem,) = problems(queue)
    assert problem.startswith("the reconcile of team/m has run for")

    queue.done(KEY)
    assert list(problems(queue)) == []


@pytest.mark.usefixtures("impatient")
def test_a_loop_that_has_not_begun_yet_is_not_stuck(telemetry: Telemetry) -> None:
    heartbeat = Heartbeat("watches", telemetry.loop_lag_seconds)
    time.sleep(0.1)

    assert list(problems(Queue(), heartbeat)) == []


@pytest.mark.usefixtures("impatient")
def test_a_loop_that_is_stuck_is_told_by_others_and_its_lag_when_it_turns_again(telemetry: Telemetry) -> None:
    heartbeat, stuck, go_on = Heartbeat("watches", telemetry.loop_lag_seconds), threading.Event(), threading.Event()

    async def get_stuck() -> None:
        beating = asyncio.create_task(heartbeat.keep())
        await asyncio.sleep(0)
        stuck.set()
        go_on.wait()
        await asyncio.sleep(0.1)
        beating.cancel()

    thread = threading.Thread(target=asyncio.run, args=(get_stuck(),))
    thread.start()
    stuck.wait()
    time.sleep(0.5)
    found = list(problems(Queue(), heartbeat))
    go_on.set()
    thread.join()

    assert len(found) == 1
    assert found[0].startswith("the event loop of the watches has not turned for")
    lag = telemetry.registry.get_sample_value("modeldeployment_event_loop_lag_seconds_sum", {"loop": "watches"})
    assert lag is not None
    assert lag >= 0.4


@pytest.fixture
async def told() -> list[str]:
    return []


@pytest.fixture
async def url(telemetry: Telemetry, told: list[str]) -> AsyncIterator[str]:
    runner = await web.serve(telemetry, Fleet(Cache(), {}), lambda: True, lambda: told, "127.0.0.1", 0)
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}/healthz"
    await runner.cleanup()


async def test_a_probe_fails_while_something_is_wrong_and_says_what(url: str, told: list[str]) -> None:
    async def probed() -> tuple[int, str]:
        async with ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()

    assert await probed() == (200, "ok\n")
    told += ["one thing", "another"]
    assert await probed() == (503, "one thing\nanother\n")
    told.clear()
    assert await probed() == (200, "ok\n")
