"""What reading the labels of many models costs the operator: from Prometheus, and from their pods.

`python -m tests.benchmarks.prometheus_source [MODELS]`, with four pods a model. A real Prometheus scrapes one page that
has the series of all pods as a ServiceMonitor would label them; the pods are one server in a process of its own that
answers for all of them on loopback. Costs are the operator's own: seconds of its processor for a look at every model.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from model_server import contract
from modeldeployment_operator.adapters.pods import Pods
from modeldeployment_operator.adapters.prometheus import MODELS_A_QUERY, Prometheus
from modeldeployment_operator.adapters.prometheus_api import Address
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.api.status import ModelDeploymentStatus
from modeldeployment_operator.core.observation import Key, Observation, Pod
from modeldeployment_operator.core.revisions import snapshot_of
from modeldeployment_operator.settings import WORKERS

from tests.support.clock import Clock
from tests.support.observations import NOW
from tests.support.prometheus_process import PrometheusProcess

PODS_A_MODEL: Final = 4
STARTED: Final = "2026-01-02T11:00:00.123456+00:00"
ROUNDS: Final = 3
RESULT: Final = Path("build/bench/prometheus_source.json")
ADDRESSES: Final = [f"127.30.0.{number}" for number in range(1, PODS_A_MODEL + 1)]
"""The first pods of all models have the first one, and so on."""


def model(name: str) -> Observation:
    """Return a model whose pods run."""
    document = {"model": {"uri": "http://h/m"}, "accuracy": {"minimum": 0.9, "source": "Prometheus"}}
    spec = ModelDeploymentSpec.parse(document)
    wish = snapshot_of(name, spec, "server:1")
    return Observation(
        key=Key("team", name),
        uid=name,
        generation=1,
        version="1",
        spec=spec,
        desired=wish,
        status=ModelDeploymentStatus(),
        pods=tuple(
            Pod(f"{wish.name}-6d9c7b5f4d-{ip[-1:] * 5}", uid_of(ip), wish.name, ip, running=True, ready=True)
            for ip in ADDRESSES
        ),
        now=NOW,
    )


def uid_of(ip: str) -> str:
    """Return the UID of the pods with an address."""
    return f"00000000-0000-0000-0000-{ip:0>12}"


def page(fleet: list[Observation]) -> bytes:
    """Return what Prometheus scrapes: the labels of the targets stand in the lines."""
    labels, infos = ["# TYPE model_labels_total counter"], ["# TYPE model_counting_info gauge"]
    for one in fleet:
        for pod in one.pods:
            target = (
                f'namespace="team",pod="{pod.name}",model="{one.key.name}",revision="{pod.revision}",job="team/model",'
                f'service="{pod.revision}",container="server",endpoint="admin",instance="{pod.ip}:8502"'
            )
            labels += [f'model_labels_total{{outcome="{outcome}",{target}}} 4711' for outcome in ("correct", "wrong")]
            infos.append(f'model_counting_info{{pod_uid="{pod.uid}",started="{STARTED}",{target}}} 1')
    return "\n".join([*labels, *infos, ""]).encode()


def serve(body: bytes) -> ThreadingHTTPServer:
    """Answer with a page on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def answer_for_pods() -> None:
    """Answer for all pods, for ever."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counts = {"revision": "r", "pod_uid": uid_of(writer.get_extra_info("sockname")[0]), "started": STARTED}
        numbers = ("correct", "wrong", "true_positive", "false_positive", "true_negative", "false_negative")
        rotation = contract.Rotation(forward_to=None, share=1.0, copy=False)
        others = {"predictions": 9999, "rotation": rotation, "classes": [], "slices": [], "pairs": []}
        body = json.dumps(counts | dict.fromkeys(numbers, 4711) | others).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        while await reader.read(4096):
            writer.write(head + body)

    async def run() -> None:
        server = await asyncio.start_server(answer, ADDRESSES, contract.ADMIN_PORT)
        await server.serve_forever()

    asyncio.run(run())


async def cost(look: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Return the least seconds of processor and of time that a look takes."""
    best = (float("inf"), float("inf"))
    for _ in range(ROUNDS):
        cpu, wall = time.process_time(), time.perf_counter()
        await look()
        best = min(best, (time.process_time() - cpu, time.perf_counter() - wall))
    return best


async def longest_wait(stop: asyncio.Event) -> float:
    """Return for how long the event loop could do nothing else, at most, until it is told to stop."""
    longest, pause = 0.0, 0.002
    while not stop.is_set():
        began = time.perf_counter()
        await asyncio.sleep(pause)
        longest = max(longest, time.perf_counter() - began - pause)
    return longest


async def from_prometheus(fleet: list[Observation], url: str) -> tuple[float, float, float, float]:
    """Return the cost of a look by way of Prometheus, its duration, the longest wait, and the mean of a query."""
    clock, durations, answered = Clock(), list[float](), asyncio.Semaphore(0)

    def observe(seconds: float) -> None:
        durations.append(seconds)
        answered.release()

    prometheus = Prometheus(Address(url), lambda: clock.seconds + time.monotonic(), observe)
    for one in fleet:
        prometheus.wish(one)

    async def look() -> None:
        clock.seconds += 1000  # Whatever it said before is old now.
        await prometheus.sample(fleet[0])
        for _ in range(0, len(fleet), MODELS_A_QUERY):
            await answered.acquire()
        for one in fleet:
            samples, problem = await prometheus.sample(one)
            assert len(samples) == PODS_A_MODEL, problem
            await asyncio.sleep(0)  # Each is a reconcile of its own.

    stop = asyncio.Event()
    waiting = asyncio.create_task(longest_wait(stop))
    cpu, wall = await cost(look)
    stop.set()
    longest = await waiting
    await prometheus.close()
    return cpu, wall, longest, sum(durations) / len(durations)


async def from_pods(fleet: list[Observation]) -> tuple[float, float]:
    """Return the cost of a look at all pods, and its duration, with as many models at a time as there are workers."""
    pods = Pods()

    async def look() -> None:
        gate = asyncio.Semaphore(WORKERS)

        async def ask(one: Observation) -> None:
            async with gate:
                samples, silence = await pods.sample(one.key, one.pods, "token")
                assert len(samples) == PODS_A_MODEL, silence

        await asyncio.gather(*(ask(one) for one in fleet))

    try:
        return await cost(look)
    finally:
        await pods.close()


def main() -> None:
    """Print the figures and write them down."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    fleet = [model(f"model-{index:05}") for index in range(number)]
    server = serve(page(fleet))
    scrape = {
        "job_name": "pods",
        "honor_labels": True,
        "static_configs": [{"targets": [f"127.0.0.1:{server.server_port}"]}],
    }
    config = {"global": {"scrape_interval": "10s"}, "scrape_configs": [scrape]}
    answering = get_context("spawn").Process(target=answer_for_pods, daemon=True)
    answering.start()
    with tempfile.TemporaryDirectory() as directory, PrometheusProcess(Path(directory), config) as process:
        while not process.client.query('count(model_counting_info{model!=""})'):
            time.sleep(0.2)
        cpu, wall, longest, query = asyncio.run(from_prometheus(fleet, process.url))
    pods_cpu, pods_wall = asyncio.run(from_pods(fleet))
    answering.kill()
    answering.join()
    server.shutdown()
    figures = {
        "models": len(fleet),
        "pods": len(fleet) * PODS_A_MODEL,
        "Prometheus: processor seconds of a look at all": cpu,
        "Prometheus: seconds of a look at all": wall,
        "Prometheus: seconds of a query and reading its answer, mean": query,
        "Prometheus: seconds for which nothing else could be done, longest": longest,
        "pods: processor seconds of a look at all": pods_cpu,
        "pods: seconds of a look at all": pods_wall,
        "pods to Prometheus, processor": pods_cpu / cpu,
    }
    for what, figure in figures.items():
        print(f"{what:66} {figure:10.4g}")
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps({"figures": figures}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
