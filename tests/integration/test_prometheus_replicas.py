"""Two Prometheus servers behind one address, one of which lags, and pods that begin to count anew."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

from modeldeployment_operator.adapters.prometheus import Prometheus
from modeldeployment_operator.adapters.prometheus_api import Address
from modeldeployment_operator.core.judgement import Judged, judge
from modeldeployment_operator.core.observation import Sample

from tests.integration.pod_stand_ins import StandIn
from tests.support.clock import Clock
from tests.support.observations import ObservationBuilder, an_observation, evidence
from tests.support.prometheus_process import PrometheusProcess

MODEL = an_observation(accuracy={"minimum": 0.9, "source": "Prometheus", "sampleInterval": "1s"}).ready("m-1")


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer on a free port; yield HOST:PORT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Quiet(BaseHTTPRequestHandler):
    """Sends whole answers, and says nothing."""

    wbufsize = -1

    def answer(self, body: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def pages_of(pods: dict[str, StandIn], lock: threading.Lock) -> type[BaseHTTPRequestHandler]:
    class Pages(Quiet):
        def do_GET(self) -> None:
            with lock:
                page = pods[self.path.removeprefix("/")].metrics()
            self.answer(page, "text/plain; version=0.0.4")

    return Pages


def balancer_of(urls: list[str]) -> type[BaseHTTPRequestHandler]:
    turns = itertools.cycle(urls)

    class Balancer(Quiet):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"]))
            kind = {"Content-Type": self.headers["Content-Type"]}
            request = urllib.request.Request(next(turns) + self.path, form, kind)
            with urllib.request.urlopen(request, timeout=10) as response:
                self.answer(response.read(), "application/json")

    return Balancer


def a_prometheus(directory: Path, address: str, pods: dict[str, StandIn], interval: str) -> PrometheusProcess:
    targets = [
        {
            "targets": [address],
            "labels": {
                "__metrics_path__": f"/{name}",
                "namespace": "team",
                "pod": name,
                "model": "m",
                "revision": pod.revision,
            },
        }
        for name, pod in pods.items()
    ]
    job = {"job_name": "pods", "scrape_interval": interval, "scrape_timeout": interval, "static_configs": targets}
    return PrometheusProcess(directory, {"scrape_configs": [job]})


class Operator:
    """Judges what it reads, and remembers it as the status does."""

    def __init__(self, pods: dict[str, StandIn]) -> None:
        self._pods = pods
        self._model: ObservationBuilder = MODEL.serving("m-1", evidence=evidence(0, 0))

    def judge(self, samples: dict[str, Sample]) -> Judged:
        judged = judge(self._model.having(samples=samples).obj())["m-1"]
        self._model = self._model.serving("m-1", evidence=judged.state, verdict=judged.verdict)
        return judged

    def ask_pods(self) -> Judged:
        """Read from the pods themselves: another source, in between."""
        counts = {pod.uid: (pod.started, pod.correct, pod.wrong) for pod in self._pods.values()}
        return self.judge({uid: Sample(uid, "m-1", *count, 0, 0, 0, None) for uid, count in counts.items()})


def counted(judged: Judged) -> tuple[int, int]:
    assert judged.state is not None
    return judged.state.right, judged.state.wrong


async def test_each_label_counts_once_whoever_is_asked(tmp_path: Path) -> None:
    pods = {pod.name: StandIn(pod.name, pod.uid, "m-1", "127.0.0.1") for pod in MODEL.obj().pods}
    operator, lock = Operator(pods), threading.Lock()
    with (
        served(pages_of(pods, lock)) as page,
        a_prometheus(tmp_path / "a", page, pods, "1s") as quick,
        a_prometheus(tmp_path / "b", page, pods, "3s") as slow,
        served(balancer_of([quick.url, slow.url])) as balancer,
    ):
        clock = Clock()
        prometheus = Prometheus(Address(f"http://{balancer}"), clock, lambda _: None)
        observation = MODEL.serving("m-1").obj()
        prometheus.wish(observation)

        async def ask_prometheus() -> tuple[int, int]:
            clock.seconds += 10  # Whatever it said before is old now.
            return counted(operator.judge((await prometheus.sample(observation))[0]))

        random, truth, seen = Random(7), (0, 0), set[tuple[int, int]]()
        end = time.monotonic() + 12
        while time.monotonic() < end:
            with lock:
                for pod in pods.values():
                    right, wrong = random.randint(0, 9), random.randint(0, 2)
                    pod.correct, pod.wrong = pod.correct + right, pod.wrong + wrong
                    truth = truth[0] + right, truth[1] + wrong
                if random.random() < 0.08:
                    assert counted(operator.ask_pods()) == truth, "the pods themselves lag behind nobody"
                    pod = random.choice(list(pods.values()))
                    pod.started, pod.correct, pod.wrong = f"{pod.started}1", 0, 0
            now = await ask_prometheus()
            assert now[0] <= truth[0]
            assert now[1] <= truth[1]
            seen.add(now)
            await asyncio.sleep(0.1)
        assert len(seen) > 5, "labels arrived"
        while (now := await ask_prometheus()) != truth:
            assert time.monotonic() < end + 10, (now, truth)
            await asyncio.sleep(0.3)
        await prometheus.close()
