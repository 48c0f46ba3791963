"""The operator exposes what operator/METRICS.md says, no less and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession
from modeldeployment_operator.adapters import web
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.fleet import Fleet, Led
from modeldeployment_operator.adapters.observe import Memory
from modeldeployment_operator.adapters.queue import Queue
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.api.policies import Action, Situation
from modeldeployment_operator.api.status import ModelDeploymentStatus, SituationStatus
from modeldeployment_operator.core import kinds
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.status import document
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open_metrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.golden.command_line import rolling_out
from tests.support import debian, fleets, metrics_page
from tests.support.metrics_page import OPERATOR
from tests.support.observations import ago

OPEN_METRICS = "application/openmetrics-text"


class Operator:
    """What the operator knows, and its port."""

    def __init__(self) -> None:
        self.cache, self.telemetry = Cache(), Telemetry(CollectorRegistry())
        self.memories: dict[Key, Memory] = {}
        self.url = ""
        self.leads = True

    def knows(self, name: str, status: ModelDeploymentStatus, version: int = 1) -> None:
        self.cache.put(kinds.MODEL_DEPLOYMENT, fleets.body(name, status, version))

    async def scrape(self, accept: str = "") -> str:
        headers = {"Accept": accept, "Accept-Encoding": "gzip"}  # As Prometheus asks.
        async with ClientSession() as session, session.get(self.url, headers=headers) as response:
            assert response.status == 200
            assert response.headers["Content-Type"].startswith(accept or "text/plain; version=0.0.4")
            assert response.headers["Content-Encoding"] == "gzip"
            return await response.text()


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    operator = Operator()
    led = Led(Fleet(operator.cache, operator.memories), lambda: operator.leads)
    runner = await web.serve(operator.telemetry, led, lambda: True, list, "127.0.0.1", 0)
    host, port = runner.addresses[0][:2]
    operator.url = f"http://{host}:{port}/metrics"
    yield operator
    await runner.cleanup()


def under_way() -> ModelDeploymentStatus:
    """A rollout, and a situation that a policy speaks of."""
    status = rolling_out("canary", {"strategy": "Canary", "steps": [{"weight": 25, "hold": {"approval": True}}]})
    held = SituationStatus(
        situation=Situation.SOURCE_DOWN,
        revision=status.candidate_revision or "",
        since=ago(hours=1),
        action=Action.HOLD,
    )
    return status.model_copy(update={"situations": [held]})


@pytest.fixture
def told(operator: Operator) -> Operator:
    """An operator that has something to tell of every metric."""
    operator.knows("news", fleets.rolled_back())
    operator.knows("canary", under_way())
    telemetry = operator.telemetry
    telemetry.api_requests.labels("get", "leases", "200").inc()
    telemetry.api_request_seconds.labels("get").observe(0.01)
    telemetry.loop_lag_seconds.labels("operator").observe(0.001)
    telemetry.follow(Queue(), operator.cache, lambda: operator.leads, workers=10)
    return operator


async def test_everything_on_the_page_is_exposed_with_its_labels_and_nothing_else(told: Operator) -> None:
    exposed = metrics_page.exposed(list(read_text(await told.scrape())))

    assert exposed == metrics_page.described(OPERATOR)


async def test_the_process_tells_of_itself(told: Operator) -> None:
    names = {metric.name for metric in read_text(await told.scrape())}

    assert {"process_resident_memory_bytes", "process_cpu_seconds", "python_gc_collections"} <= names


async def test_open_metrics_for_who_asks(told: Operator) -> None:
    text = await told.scrape(OPEN_METRICS)

    assert text.endswith("# EOF\n")
    assert metrics_page.exposed(list(read_open_metrics(text))) == metrics_page.described(OPERATOR)


async def test_promtool_finds_nothing_to_mend(told: Operator) -> None:
    promtool = debian.command("promtool")
    pipe = asyncio.subprocess.PIPE
    check = await asyncio.create_subprocess_exec(promtool, "check", "metrics", stdin=pipe, stdout=pipe, stderr=pipe)
    found, errors = await check.communicate((await told.scrape()).encode())

    assert (found, errors, check.returncode) == (b"", b"", 0)


async def test_statuses_are_told_before_the_first_reconcile_and_as_they_are_in_memory_after(
    operator: Operator,
) -> None:
    persisted = fleets.rolled_back(labels=100)
    operator.knows("news", persisted)
    assert await labels(operator) == 100

    parsed = ModelDeploymentStatus.parse(document(persisted))
    operator.memories[Key("team", "news")] = Memory(parsed, fleets.rolled_back(labels=150), 0.0)
    assert await labels(operator) == 150

    operator.knows("news", fleets.rolled_back(labels=7), version=2)  # Somebody else wrote it.
    assert await labels(operator) == 7


async def test_the_series_of_a_model_go_with_it(told: Operator) -> None:
    assert 'model="news"' in await told.scrape()

    told.cache.remove(kinds.MODEL_DEPLOYMENT, fleets.body("news", ModelDeploymentStatus(), 2))
    assert "news" not in await told.scrape()


async def test_a_replica_that_stands_by_tells_of_itself_and_of_no_model(told: Operator) -> None:
    told.leads = False
    families = {metric.name: metric for metric in read_text(await told.scrape())}

    assert [name for name, family in families.items() for sample in family.samples if "model" in sample.labels] == []
    assert families["modeldeployment_operator_leader"].samples[0].value == 0
    known = {sample.labels["resource"]: sample.value for sample in families["modeldeployment_cache_objects"].samples}
    assert known["modeldeployments"] == 2


async def labels(operator: Operator) -> float:
    families = {metric.name: metric for metric in read_text(await operator.scrape())}
    (sample,) = families["modeldeployment_accuracy_labels"].samples
    return sample.value
