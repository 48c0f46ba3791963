"""Labels that another process counts, read by queries: from a real Prometheus, and from one that answers wrongly."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from kubernetes import client, config
from modeldeployment_operator.adapters import prometheus_api
from modeldeployment_operator.adapters import queries as module
from modeldeployment_operator.adapters.prometheus_api import Address
from modeldeployment_operator.adapters.queries import PAUSE, Queries
from modeldeployment_operator.api.query import Query
from modeldeployment_operator.core.observation import Key, Sample

from tests.integration.conftest import ControlPlane
from tests.integration.operator_process import Operator
from tests.integration.pod_stand_ins import Kubelet
from tests.integration.stories import Story
from tests.support.clock import Clock
from tests.support.observations import an_observation
from tests.support.prometheus_process import PrometheusProcess

HERE = 'namespace="$(namespace)",version="$(revision)"'
QUERY = {"correct": f'judged_total{{{HERE},result="correct"}}', "total": f"judged_total{{{HERE}}}"}
QUICK = {"minimum": 0.9, "sampleInterval": "1s", "source": "Query", "query": QUERY}

# With a real Prometheus


@dataclass
class Labeller:
    """Labels what models answered, and tells how many were right."""

    namespace: str
    counts: dict[str, list[int]] = field(default_factory=dict)
    """By revision: labels that were right, and wrong."""
    server: ThreadingHTTPServer | None = None

    def page(self) -> bytes:
        lines = ["# TYPE judged_total counter"]
        for revision, numbers in self.counts.items():
            for result, number in zip(("correct", "wrong"), numbers, strict=True):
                labels = f'namespace="{self.namespace}",version="{revision}",result="{result}"'
                lines.append(f"judged_total{{{labels}}} {number}")
        return ("\n".join(lines) + "\n").encode()

    def count(self, revision: str, *, correct: int, wrong: int) -> None:
        before = self.counts.get(revision, [0, 0])
        self.counts[revision] = [before[0] + correct, before[1] + wrong]

    @property
    def address(self) -> str:
        assert self.server is not None
        return f"127.0.0.1:{self.server.server_port}"


class Quiet(BaseHTTPRequestHandler):
    wbufsize = -1

    def answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def serve(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


@pytest.fixture
def labeller(namespace: str) -> Iterator[Labeller]:
    told = Labeller(namespace)

    class Page(Quiet):
        def do_GET(self) -> None:
            self.answer(told.page(), "text/plain; version=0.0.4")

    told.server = serve(Page)
    yield told
    told.server.shutdown()
    told.server.server_close()


@dataclass
class Watched:
    story: Story
    prometheus: PrometheusProcess
    labeller: Labeller

    def apply(self, model: int, instead_of: str | None = None) -> str:
        """Apply a model; return its revision when it serves, and its counters are read."""
        self.story.apply(model=model, accuracy=QUICK, monitoring={"serviceMonitor": {"interval": "1s"}})
        revision: str = self.story.wait_for(
            lambda status: status.get("servingRevision") != instead_of and status.get("servingRevision"), "it serves"
        )
        self.labeller.count(revision, correct=0, wrong=0)
        self.until_counted(revision)
        return revision

    def until_counted(self, revision: str) -> None:
        """Wait until labels count, all of them right: from then on each one does."""

        def counts() -> bool:
            self.labeller.count(revision, correct=10, wrong=0)
            return self.labels(revision) != (0, 0)

        self.story.wait_until(counts, "labels are read by the query")

    def labels(self, revision: str) -> tuple[int, int]:
        """Labels right and wrong; the status tells of new ones at most once a minute."""
        (found,) = (one for one in self.story.status()["revisions"] if one["name"] == revision)
        evidence = found.get("evidence", {})
        return int(evidence.get("right", 0)), int(evidence.get("wrong", 0))

    def until_wrong(self, revision: str, number: int) -> None:
        what = f"{number} wrong labels of {revision}"
        self.story.wait_until(lambda: self.labels(revision)[1] >= number, what, seconds=100)
        assert self.labels(revision)[1] == number

    def accuracy(self) -> tuple[str, str]:
        condition = self.story.condition("AccuracyHealthy")
        return condition.get("status", ""), condition.get("reason", "")


@pytest.fixture
def watched(control_plane: ControlPlane, namespace: str, labeller: Labeller, tmp_path: Path) -> Iterator[Watched]:
    config.load_kube_config(str(control_plane.kubeconfig))
    job = {"job_name": "labeller", "scrape_interval": "1s", "static_configs": [{"targets": [labeller.address]}]}
    with (
        PrometheusProcess(tmp_path / "prometheus", {"scrape_configs": [job]}) as prometheus,
        Kubelet(client.ApiClient(), namespace) as kubelet,
        Operator(
            control_plane.kubeconfig, tmp_path / "operator.log", namespace, PROMETHEUS_URL=prometheus.url
        ) as operator,
    ):
        yield Watched(Story(control_plane.in_namespace(namespace), namespace, kubelet, operator), prometheus, labeller)


def test_what_others_count_takes_a_model_back(watched: Watched) -> None:
    story, labeller = watched.story, watched.labeller
    first = watched.apply(1)
    story.count(first, correct=0, wrong=500)  # The pods' own counters say nothing here.
    labeller.count(first, correct=96, wrong=4)
    watched.until_wrong(first, 4)
    story.wait_until(lambda: watched.accuracy() == ("True", "Healthy"), "it is judged")

    second = watched.apply(2, instead_of=first)
    labeller.counts[second] = [7, 1]  # Its process has started anew.
    watched.until_wrong(second, 1)

    watched.prometheus.stop()
    story.wait_until(lambda: watched.accuracy() == ("Unknown", "SamplesUnavailable"), "it is told that none are read")
    assert "cannot be asked" in story.condition("AccuracyHealthy")["message"]
    labeller.count(second, correct=10, wrong=60)
    assert story.status()["servingRevision"] == second, "what nobody read takes nothing back"

    watched.prometheus.start()
    story.wait_for(lambda status: status["servingRevision"] == first, "the rollback")
    rejection = story.status()["rejections"][0]
    assert (rejection["revision"], rejection["wrong"]) == (second, 61)
    assert rejection["labels"] >= 10 + 8 + 70


def test_counters_that_are_not_there_are_told(watched: Watched) -> None:
    watched.story.apply(model=1, accuracy=QUICK, monitoring={"serviceMonitor": {"interval": "1s"}})
    watched.story.wait_until(lambda: watched.accuracy() == ("Unknown", "SamplesUnavailable"), "it is told")

    assert "query.correct and query.total select nothing" in watched.story.condition("AccuracyHealthy")["message"]
    assert watched.story.condition("Ready")["status"] == "True", "it serves all the same"


def test_a_gauge_is_a_plain_threshold(watched: Watched) -> None:
    story, labeller = watched.story, watched.labeller
    ratio = f'sum(judged_total{{{HERE},result="correct"}}) / sum(judged_total{{{HERE}}})'
    accuracy = {"minimum": 0.9, "sampleInterval": "1s", "source": "Query", "query": {"gauge": ratio, "for": "2s"}}

    def apply(model: int, instead_of: str | None, quality: int) -> str:
        story.apply(model=model, accuracy=accuracy, monitoring={"serviceMonitor": {"interval": "1s"}})
        revision: str = story.wait_for(
            lambda status: status.get("servingRevision") != instead_of and status.get("servingRevision"), "it serves"
        )
        labeller.counts[revision] = [quality, 100 - quality]
        return revision

    first = apply(1, None, 95)
    story.wait_until(lambda: watched.accuracy() == ("True", "Healthy"), "it is above", seconds=60)
    assert "a plain threshold on a gauge, without a bound on errors" in story.condition("AccuracyHealthy")["message"]
    second = apply(2, first, 85)
    story.wait_for(lambda status: status["servingRevision"] == first, "the rollback", seconds=60)
    rejection = story.status()["rejections"][0]
    assert (rejection["revision"], rejection["metric"], rejection["estimate"]) == (second, "gauge", "0.85")


# With one that answers as it is told

MODEL = an_observation(accuracy=QUICK).serving("m-1").ready("m-1", 1, of=1).obj()
WISH = Query(**QUERY)


@dataclass
class Fake:
    """Answers as it is told, and remembers what it was asked."""

    url: str = ""
    status: int = 200
    values: dict[str, dict[float, str]] = field(default_factory=dict)
    """By result: what was scraped, by time."""
    error: str = ""
    document: dict[str, Any] | None = None
    hold: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)

    def scrape(self, time: float, correct: int, wrong: int) -> None:
        for result, number in (("correct", correct), ("wrong", wrong)):
            self.values.setdefault(result, {})[time] = str(number)

    def body(self, query: str) -> bytes:
        if self.error:
            return json.dumps({"status": "error", "error": self.error}).encode()
        if self.document is not None:
            return json.dumps(self.document).encode()
        if query == "time()":
            return json.dumps({"status": "success", "data": {"resultType": "scalar", "result": [50, "50"]}}).encode()
        some = {
            result: values for result, values in self.values.items() if 'result="' not in query or result == "correct"
        }
        found = [
            {"metric": {"__name__": "judged_total", "result": result}, "values": sorted(values.items())}
            for result, values in some.items()
        ]
        return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": found}}).encode()


@pytest.fixture
def fake() -> Iterator[Fake]:
    told = Fake()
    told.hold.set()

    class Handler(Quiet):
        def do_POST(self) -> None:
            query = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())["query"][0]
            told.asked.append(query)
            told.hold.wait()
            self.answer(told.body(query), "application/json", told.status)

    server = serve(Handler)
    told.url = f"http://127.0.0.1:{server.server_port}"
    yield told
    told.hold.set()
    server.shutdown()
    server.server_close()


@dataclass
class Reader:
    queries: Queries
    clock: Clock

    async def read(self, key: Key = MODEL.key, wish: Query = WISH) -> tuple[list[tuple[int, int]], str | None]:
        """Read once more, after a second."""
        self.clock.seconds += 1
        samples, problem = await self.queries.sample(replace(MODEL, key=key), wish, timedelta(seconds=0.5))
        return [(one.correct, one.wrong) for one in samples.values()], problem

    async def samples(self) -> dict[str, Sample]:
        self.clock.seconds += 1
        return (await self.queries.sample(MODEL, WISH, timedelta(seconds=0.5)))[0]


@pytest.fixture
async def reading() -> AsyncIterator[Callable[[str], Reader]]:
    made: list[Queries] = []

    def make(url: str) -> Reader:
        clock = Clock()
        made.append(Queries(Address(url), clock, float))
        return Reader(made[-1], clock)

    yield make
    for queries in made:
        await queries.close()


Reading = Callable[[str], Reader]


async def test_it_is_asked_for_raw_samples_of_the_revision(fake: Fake, reading: Reading) -> None:
    fake.scrape(40, 5, 1)
    reader = reading(fake.url)

    assert await reader.read() == ([(0, 0)], None)
    assert fake.asked == [
        'judged_total{namespace="team",version="m-1",result="correct"}[5m]',
        'judged_total{namespace="team",version="m-1"}[5m]',
        "time()",
    ]
    fake.scrape(70, 6, 1)
    fake.scrape(100, 8, 2)
    assert await reader.read() == ([(2, 1)], None), "from the first scrape after the first look"
    assert len(fake.asked) == 5, "the time is asked for when a process is new"
    (sample,) = (await reader.samples()).values()
    assert (sample.revision, sample.started) == ("m-1", "1970-01-01T00:00:50.000Z")


async def test_what_was_asked_a_moment_ago_is_not_asked_again(fake: Fake, reading: Reading) -> None:
    fake.scrape(40, 5, 1)
    reader = reading(fake.url)
    await reader.read()
    reader.clock.seconds -= 0.9
    assert await reader.read() == ([(0, 0)], None)
    reader.clock.seconds -= 1
    await reader.read()
    assert len(fake.asked) == 3


async def test_counters_that_are_not_there_yet_are_no_fault_and_those_that_went_are(
    fake: Fake, reading: Reading
) -> None:
    reader = reading(fake.url)
    fake.document = {"status": "success", "data": {"resultType": "matrix", "result": []}}
    _, problem = await reader.read()
    assert "select nothing" in str(problem)
    assert reader.queries.uncounted(MODEL.key) == {"m-1"}
    nothing, fake.document = fake.document, None
    fake.scrape(60, 5, 1)
    assert await reader.read() == ([(0, 0)], None)
    assert reader.queries.uncounted(MODEL.key) == frozenset()
    fake.document = nothing
    _, problem = await reader.read()
    assert "select nothing" in str(problem)
    assert reader.queries.uncounted(MODEL.key) == frozenset()


async def test_another_query_begins_anew(fake: Fake, reading: Reading) -> None:
    fake.scrape(60, 5, 1)
    fake.scrape(90, 6, 1)
    reader = reading(fake.url)
    assert await reader.read() == ([(1, 0)], None)
    other = Query(correct=QUERY["correct"], total=f'judged_total{{{HERE},result!="unsure"}}')
    fake.scrape(120, 9, 1)
    assert await reader.read(wish=other) == ([(4, 0)], None)
    reader.queries.forget(MODEL.key)
    assert fake.asked[-1] == "time()"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param({"status": 400, "error": "parse error"}, "it refuses the query: parse error", id="no query"),
        pytest.param({"status": 500, "error": "oh"}, "it answers 500", id="a fault of its own"),
        pytest.param({"status": 422, "error": "too many samples"}, "it refuses so long an answer", id="too much"),
        pytest.param({"error": "partly"}, "the answer is an error: partly", id="an error with status 200"),
    ],
)
async def test_an_answer_that_is_none_is_told_and_holds_what_was_counted(
    fake: Fake, reading: Reading, fault: dict[str, Any], words: str
) -> None:
    reader = reading(fake.url)
    fake.scrape(60, 5, 1)
    fake.scrape(90, 6, 1)
    assert await reader.read() == ([(1, 0)], None)
    sound = {"status": fake.status, "error": fake.error}
    vars(fake).update(fault)
    counts, problem = await reader.read()
    assert counts == []
    assert problem is not None
    assert problem.startswith(f"Prometheus at {fake.url}: ")
    assert words in problem
    vars(fake).update(sound)
    reader.clock.seconds += PAUSE
    fake.scrape(120, 9, 2)
    assert await reader.read() == ([(4, 1)], None), "and goes on from there"


async def test_one_that_does_not_answer_is_left_alone_for_a_moment(fake: Fake, reading: Reading) -> None:
    reader = reading(fake.url)
    fake.status, fake.error = 503, "starting"
    _, problem = await reader.read()
    assert "503" in str(problem)
    _, problem = await reader.read(Key("team", "other"))
    assert "503" in str(problem)
    assert len(fake.asked) == 1
    reader.clock.seconds += PAUSE
    await reader.read(Key("team", "other"))
    assert len(fake.asked) == 2


async def test_a_slow_answer_holds_nobody_up(fake: Fake, reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.05)
    reader = reading(fake.url)
    fake.scrape(60, 5, 1)
    fake.hold.clear()
    assert await reader.read() == ([], "Prometheus has not answered yet")
    assert await reader.read() == ([], "Prometheus has not answered yet")
    assert len(fake.asked) == 1
    fake.hold.set()
    for _ in range(200):
        if await reader.read() == ([(0, 0)], None):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never answered")


async def test_one_that_hangs_is_told(fake: Fake, reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus_api, "TIMEOUT_SECONDS", 0.1)
    reader = reading(fake.url)
    fake.hold.clear()
    _, problem = await reader.read()
    assert "it cannot be asked (TimeoutError)" in str(problem)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        pytest.param(["vector", [{"metric": {}, "value": [1, "0.85"]}]], (0.85, None), id="one of a vector"),
        pytest.param(["scalar", [1, "0.85"]], (0.85, None), id="a scalar"),
        pytest.param(["vector", []], (None, "gives 0 numbers"), id="none"),
        pytest.param(["vector", [{"value": [1, "1"]}] * 2], (None, "gives 2 numbers"), id="two"),
        pytest.param(["scalar", [1, "NaN"]], (None, "is nan, which is no number"), id="no number"),
        pytest.param(["matrix", []], (None, "of type 'matrix', not 'vector'"), id="a range"),
    ],
)
async def test_a_gauge_is_one_number(
    fake: Fake, reading: Reading, result: list[Any], told: tuple[float | None, str | None]
) -> None:
    fake.document = {"status": "success", "data": {"resultType": result[0], "result": result[1]}}
    reader = reading(fake.url)
    wish = Query.parse({"gauge": f"avg(quality{{{HERE}}})"})
    reader.clock.seconds += 1
    samples, problem = await reader.queries.sample(MODEL, wish, timedelta(seconds=0.5))

    assert fake.asked == ['avg(quality{namespace="team",version="m-1"})']
    assert [one.gauge for one in samples.values()] == ([] if told[0] is None else [told[0]])
    assert (told[1] or "") in (problem or "")
    assert (problem is None) == (told[1] is None)


async def test_without_an_address_it_is_told() -> None:
    queries = Queries(None, Clock(), float)
    assert await queries.sample(MODEL, WISH, timedelta(0)) == ({}, module.NOT_SET)
    assert not queries.is_set
    await queries.close()
