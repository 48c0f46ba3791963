"""What the engine does while there is much to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import pytest
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.queue import Queue
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.core import kinds
from modeldeployment_operator.core.errors import ApiError, NotFoundError, RefusedError
from modeldeployment_operator.core.kinds import Kind
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.engine import Engine
from prometheus_client import CollectorRegistry


class NothingToDo:
    """Finds each ModelDeployment as it should be."""

    def __init__(self) -> None:
        self.seen = 0

    async def reconcile(self, _: Key) -> timedelta | None:
        self.seen += 1
        return None


async def test_others_have_their_turn_while_very_many_have_nothing_to_do() -> None:
    queue, reconciler = Queue(), NothingToDo()
    engine = Engine(cast("Any", None), Cache(), queue, cast("Any", reconciler), Telemetry(CollectorRegistry()), ())
    for number in range(1000):
        queue.add(Key("team", f"model-{number}"))
    engine._leads.set()
    worker = asyncio.create_task(engine.work())

    for _ in range(5):
        await asyncio.sleep(0)

    assert 0 < reconciler.seen < 10
    worker.cancel()


class OlderInstallation:
    """An API server without the kind of ModelVerdicts, or without the right to list them."""

    def __init__(self, error: ApiError) -> None:
        self.error = error

    async def pages(
        self, kind: Kind, namespace: str | None, selector: str | None, size: int
    ) -> AsyncIterator[tuple[list[dict[str, Any]], int]]:
        if kind is kinds.MODEL_VERDICT:
            raise self.error
        yield [], 1


@pytest.mark.parametrize(
    "error", [NotFoundError(404, "no such kind", ""), RefusedError(403, "not allowed", "")], ids=str
)
async def test_models_are_served_without_records(error: ApiError, caplog: pytest.LogCaptureFixture) -> None:
    api = cast("Any", OlderInstallation(error))
    engine = Engine(api, Cache(), Queue(), cast("Any", NothingToDo()), Telemetry(CollectorRegistry()), ())

    await engine.start()

    assert engine.synced
    assert "of this version" in caplog.text
