"""What metrics cost: the pages of a model server and of the operator, and what a prediction pays for being counted.

Times of a machine mean little, so each stands beside a floor that was measured in turns with it: a page of metrics
beside a page of as many bytes that is there already, from the same kind of server; a prediction that is counted and
traced beside one that is not. The model is made up and takes no time, so a real prediction pays a smaller share.
Run by `make bench-metrics`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
from aiohttp import web
from model_server import contract, tracing
from model_server.admin import AdminApp
from model_server.app import PredictionApp
from model_server.contract import Env
from model_server.feedback import Cell, Outcome, Score
from model_server.http.messages import Head, Response
from model_server.http.server import listening
from model_server.listening import bind
from model_server.metrics import Metrics
from model_server.traces import NO_TRACE, Trace
from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.fleet import Fleet
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.adapters.web import serve
from modeldeployment_operator.core import kinds
from prometheus_client import CollectorRegistry

from tests.serving.in_process import TOKEN, call, serving_parts
from tests.serving.otlp_receiver import Receiver
from tests.support import fleets
from tests.support.observations import a_revision

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from model_server.http.messages import Request
    from model_server.parts import ServerParts

SCRAPES, ROUNDS, PREDICTIONS = 60, 40, 50
MODELS, HISTORY = 100, 10
LIMIT = 1.25
"""What a prediction of a model that takes no time may take, as a multiple of one that is not counted."""
RESULT = Path("build/bench/metrics.json")
PREDICT = contract.MODEL_PATH_TEMPLATE.format(model="m") + contract.PREDICT_SUFFIX
FORMATS = {"text": "text/plain", "OpenMetrics": "application/openmetrics-text; version=1.0.0"}


@dataclass(frozen=True)
class Page:
    """A page of metrics, and how long it takes to get it."""

    series: int
    size: int
    seconds: float
    floor_seconds: float

    @property
    def ratio(self) -> float:
        return self.seconds / self.floor_seconds


def main() -> None:
    """Print the figures and write them down."""
    figures: dict[str, float] = {}
    for classes, cells in ((2, 4), (20, 400)):
        for form, accept in FORMATS.items():
            figures |= _page_figures(f"pod, {classes} classes, {form}", pod_page(classes, cells, accept))
    figures |= _page_figures(f"operator, {MODELS} models, text", asyncio.run(operator_page(MODELS)))
    one, ten = (asyncio.run(operator_page(count)).series for count in (1, 11))
    figures[f"operator, series for each model of {HISTORY + 2} revisions"] = (ten - one) / 10
    figures |= asyncio.run(prediction_costs())
    for what, figure in figures.items():
        print(f"{what:62} {figure:10.4g}")
    value = figures["prediction, counted: ratio to one that is not"]
    goal = {"name": "cost of metrics on a prediction", "value": value, "goal": LIMIT, "met": value <= LIMIT}
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"figures": figures, "goals": [goal]}, indent=2) + "\n", encoding="utf-8")


def _page_figures(what: str, page: Page) -> dict[str, float]:
    return {
        f"{what}: series": page.series,
        f"{what}: KiB": page.size / 1024,
        f"{what}: milliseconds of a scrape": page.seconds * 1000,
        f"{what}: ratio to a page that is there already": page.ratio,
    }


def pod_page(classes: int, cells: int, accept: str) -> Page:
    """Scrape a model server that has counted labels in so many cells, and answered in some ways."""
    with tempfile.TemporaryDirectory() as folder:
        names = [f"class {number}" for number in range(classes)]
        parts = asyncio.run(_counting_parts(Path(folder), names))
        assert parts.book is not None
        for number in range(cells):
            parts.book.tally.add(Score(Outcome.WRONG, Cell(*divmod(number, classes))), number + 1)
        for method, code in (("predict", 200), ("predict", 400), ("predict", 503), ("feedback", 200), ("status", 200)):
            parts.metrics.observe_request(method, code, 0.01, NO_TRACE)
        with _pages(parts) as port:
            return _scraped("127.0.0.1", port, accept)


async def _counting_parts(folder: Path, names: list[str]) -> ServerParts:
    """Nothing is asked of its model, so that the loop it is made in need not last."""
    return serving_parts(folder, environment={Env.MODEL_LABELS: json.dumps(names)})


@contextlib.contextmanager
def _pages(parts: ServerParts) -> Iterator[int]:
    """Serve the admin port, and `/floor` with as many bytes as were asked for."""
    listener = bind("127.0.0.1", 0)
    ready = threading.Event()
    end: list[Callable[[], object]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        end.append(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
        async with listening(PageAndFloor(parts, TOKEN.encode()), listener):
            ready.set()
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve())

    port = listener.getsockname()[1]
    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    yield port
    end[0]()
    thread.join()


class PageAndFloor(AdminApp):
    """The admin port, and `/floor/SIZE`."""

    def limit(self, head: Head) -> int:
        return 0 if head.path.startswith("/floor/") else super().limit(head)

    def answer(self, request: Request) -> Response:
        if request.head.path.startswith("/floor/"):
            return Response(b"x" * int(request.head.path.removeprefix("/floor/")), content_type="text/plain")
        return super().answer(request)


async def operator_page(count: int) -> Page:
    """Scrape an operator that knows so many models, in all states, each with a history."""
    cache = Cache()
    for key, status in fleets.many(count):
        past = [a_revision(f"{key.name}-past-{number}") for number in range(HISTORY)]
        long = status.model_copy(update={"revisions": [*status.revisions, *past]})
        cache.put(kinds.MODEL_DEPLOYMENT, fleets.body(key, long))
    runner = await serve(Telemetry(CollectorRegistry()), Fleet(cache, {}), lambda: True, list, "127.0.0.1", 0)
    host, port = runner.addresses[0][:2]
    async with _floor() as floor:
        page = await asyncio.to_thread(_scraped, host, port, "text/plain", floor)
    await runner.cleanup()
    return page


@contextlib.asynccontextmanager
async def _floor() -> AsyncIterator[int]:
    """Serve `/floor/SIZE` as the operator serves its page; gives the port."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * int(request.match_info["size"]))

    app = web.Application()
    app.router.add_get("/floor/{size}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def _scraped(host: str, port: int, accept: str, floor_port: int | None = None) -> Page:
    """Get the page and the floor in turns, each over a connection that stays, as Prometheus does."""
    page, floor = HTTPConnection(host, port), HTTPConnection(host, floor_port or port)
    body = _get(page, contract.METRICS_PATH, accept)
    seconds: list[float] = []
    floors: list[float] = []
    for _ in range(SCRAPES):
        for connection, path, times in (
            (page, contract.METRICS_PATH, seconds),
            (floor, f"/floor/{len(body)}", floors),
        ):
            began = time.perf_counter()
            _get(connection, path, accept)
            times.append(time.perf_counter() - began)
    page.close()
    floor.close()
    series = sum(not line.startswith(b"#") for line in body.splitlines())
    return Page(series, len(body), statistics.median(seconds), statistics.median(floors))


def _get(connection: HTTPConnection, path: str, accept: str) -> bytes:
    connection.request("GET", path, headers={"Accept": accept, "Accept-Encoding": "identity"})
    response = connection.getresponse()
    assert response.status == 200
    return response.read()


class Uncounted(Metrics):
    """Counts nothing."""

    def observe_request(self, method: str, code: int, seconds: float, trace: Trace) -> None:
        pass

    def observe_batch(self, instances: int) -> None:
        pass


async def prediction_costs() -> dict[str, float]:
    """Ask for predictions in turns: not counted, and counted; then counted, and also traced, with all traces sent."""
    with tempfile.TemporaryDirectory() as folder, _collector() as url:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
        plain, counted, traced = (serving_parts(Path(folder) / name) for name in ("plain", "counted", "traced"))
        assert plain.book is not None
        plain.metrics = Uncounted(plain.book, "uid", None)
        figures = await _compared("counted", plain, counted)
        traced.tracing = tracing.start(traced.settings)
        figures |= await _compared("traced", counted, traced)
        traced.tracing.close()
    return figures


async def _compared(what: str, without: ServerParts, having: ServerParts) -> dict[str, float]:
    """Medians over rounds. Each round has both, and begins with the one that the last ended with."""
    apps = [PredictionApp(parts) for parts in (without, having)]
    pairs: list[tuple[float, float]] = []
    for number in range(ROUNDS):
        order = (0, 1) if number % 2 else (1, 0)
        taken = {one: await _seconds(apps[one]) for one in order}
        pairs.append((taken[0], taken[1]))
    return {
        f"prediction, not {what}: microseconds": statistics.median(floor for floor, _ in pairs) * 1e6,
        f"prediction, {what}: microseconds more": statistics.median(one - floor for floor, one in pairs) * 1e6,
        f"prediction, {what}: ratio to one that is not": statistics.median(one / floor for floor, one in pairs),
    }


async def _seconds(app: PredictionApp) -> float:
    began = time.perf_counter()
    for _ in range(PREDICTIONS):
        status, _, _ = await call(app, "POST", PREDICT, {"instances": [1.0]})
        assert status == 200
    return (time.perf_counter() - began) / PREDICTIONS


@contextlib.contextmanager
def _collector() -> Iterator[str]:
    """Run a collector of traces in a process of its own; gives its URL."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_collect, args=(there,))
    process.start()
    yield here.recv()
    here.send("that was all")
    process.join()


def _collect(told: Connection[Any, Any]) -> None:
    receiver = Receiver()
    told.send(receiver.url)
    told.recv()
    receiver.close()


if __name__ == "__main__":
    main()
