"""The dashboards on what the operator really tells Prometheus."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from modeldeployment_operator.adapters import web
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.fleet import Fleet
from modeldeployment_operator.adapters.queue import Queue
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.core import kinds
from prometheus_client import CollectorRegistry

from manifests.dashboards.__main__ import DIRECTORY
from tests.pictures import check
from tests.pictures.answers import Asker
from tests.pictures.boards import read
from tests.pictures.choices import Span, choose
from tests.support import fleets
from tests.support.prometheus import Prometheus
from tests.support.prometheus_process import PrometheusProcess

OF_OTHERS = re.compile(r"\bmodel_|namespace_model:|ALERTS|process_\w+\{")
"""What pods, rules and alerts tell; here is only the operator."""
READINGS = 3


@pytest.fixture
async def operator() -> AsyncIterator[str]:
    """An operator's page of metrics, with a model in each state; the address that it listens on."""
    cache, telemetry = Cache(), Telemetry(CollectorRegistry())
    for number, state in enumerate(fleets.ALL):
        name = f"{state.__name__.replace('_', '-')}-{number}"
        cache.put(kinds.MODEL_DEPLOYMENT, fleets.body(name, state(name)))
    telemetry.api_requests.labels("get", "leases", "200").inc()
    telemetry.api_request_seconds.labels("get").observe(0.01)
    telemetry.loop_lag_seconds.labels("operator").observe(0.001)
    telemetry.follow(Queue(), cache, lambda: True, workers=10)
    runner = await web.serve(telemetry, Fleet(cache, {}), lambda: True, list, "127.0.0.1", 0)
    host, port = runner.addresses[0][:2]
    yield f"{host}:{port}"
    await runner.cleanup()


async def test_what_the_operator_tells_fills_the_panels(operator: str, tmp_path: Path) -> None:
    scraped = {"job_name": "modeldeployment-operator", "honor_labels": True, "scrape_interval": "1s"}
    config = {"scrape_configs": [{**scraped, "static_configs": [{"targets": [operator]}]}]}

    found = await asyncio.to_thread(unanswered, config, tmp_path)

    assert found == []


def unanswered(config: Mapping[str, object], directory: Path) -> list[str]:
    """Return the queries of the operator's metrics alone that have no answer and should."""
    with PrometheusProcess(directory, config) as process:
        wait_for_readings(process.client)
        end = time.time()
        found: list[str] = []
        for name in ("fleet", "model", "operator"):
            board = read(DIRECTORY / f"{name}.json")
            span = Span(end - 10, end, 1)
            wanted = {"namespace": fleets.TEAM, "model": "rolled-back-1"}
            asking = Asker(process.client, span, choose(board, process.client, span, wanted))
            found += [
                str(empty)
                for empty in check.empty(board, asking)
                if not empty.expected and not OF_OTHERS.search(empty.query)
            ]
        return found


def wait_for_readings(prometheus: Prometheus) -> None:
    deadline = time.monotonic() + 30
    while (prometheus.value("count_over_time(modeldeployment_queue_length[1m])") or 0) < READINGS:
        assert time.monotonic() < deadline, "Prometheus does not scrape the operator"
        time.sleep(0.1)
