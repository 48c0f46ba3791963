"""The page of metrics of a real server, as Prometheus and its tools see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from model_server import contract
from model_server.contract import Env, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics

from tests.serving.model_servers import ADMIN_PORT, ModelServer, call
from tests.support import debian, metrics_page
from tests.support.prometheus_process import PrometheusProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
TRACE = "0af7651916cd43dd8448eb211c80319c"
ROTATION = {Metric.FORWARDED, Metric.COPIED, Metric.AGREEMENT, Metric.PAIRS}
NOBODY = "http://127.0.0.1:9"
"""Where no collector of traces is."""


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """Its model was fetched; it has answered, failed, and got labels; its traces go nowhere."""
    folder = tmp_path_factory.mktemp("pod")
    model_dir = folder / "model"
    model_dir.mkdir()
    fetch = [sys.executable, *contract.FETCH_COMMAND[1:], "--model-dir", str(model_dir), "--source-dir", str(models)]
    given = {Env.MODEL_URI: "pvc://claim/text.keras"}
    subprocess.run(fetch, env={**os.environ, **given}, check=True, capture_output=True)
    environment = {Env.MODEL_LABELS: '["bad", "good"]', "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY}
    server = ModelServer(folder, model_dir, environment=environment)
    server.start()
    server.wait_until_ready()
    token = server.predict(["好", "坏"], traceparent=f"00-{TRACE}-b7ad6b7169203331-01").token
    assert server.feedback(token, "good").status == 200
    assert server.feedback(f"{token}.1", "good").status == 200
    assert server.feedback("x", 1).status == 400
    yield server
    server.kill()


def page(server: ModelServer, accept: str = "text/plain") -> str:
    reply = call(server.address, ADMIN_PORT, "GET", contract.METRICS_PATH, Accept=accept)
    assert reply.headers["content-type"].startswith(accept.partition(";")[0])
    return reply.body.decode()


def usual() -> dict[str, metrics_page.Family]:
    """Return what a pod tells that never had to pass anything on."""
    described = metrics_page.described(metrics_page.POD)
    return {name: family for name, family in described.items() if name not in ROTATION}


def test_promtool_finds_nothing_to_mend(server: ModelServer) -> None:
    command = [debian.command("promtool"), "check", "metrics"]
    checked = subprocess.run(command, input=page(server), capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_openmetrics_is_what_the_page_of_the_handbook_says(server: ModelServer) -> None:
    families = list(read_openmetrics(page(server, OPENMETRICS)))
    assert metrics_page.exposed(family for family in families if family.samples) == usual()
    samples = {one.name: one.value for family in families for one in family.samples}
    assert 0 < samples[Metric.LOAD_SECONDS] < 120
    assert 0 < samples[Metric.BUSY_SECONDS] < 60
    assert samples[Metric.THREADS] >= 2
    assert samples[f"{Metric.BATCH_SIZE}_sum"] == samples[Metric.PREDICTIONS] == 2
    assert samples[f"{Metric.LABEL_DELAY}_count"] == 2
    assert samples["process_resident_memory_bytes"] > 2**26  # TensorFlow alone takes more.


def test_a_real_prometheus_takes_all_of_it(server: ModelServer, tmp_path: Path) -> None:
    target = f"{server.address}:{ADMIN_PORT}"
    config = {"scrape_configs": [{"job_name": "m", "scrape_interval": "1s", "static_configs": [{"targets": [target]}]}]}
    with PrometheusProcess(tmp_path, config, "--enable-feature=exemplar-storage") as prometheus:
        deadline = time.monotonic() + 60
        while not prometheus.client.query(Metric.COUNTING_INFO):
            assert time.monotonic() < deadline, prometheus.log.read_text()
            time.sleep(0.2)
        names = {sample.name for sample in prometheus.client.query('{__name__=~"model_.+"}')}
        promised = usual()
        histograms = {name for name, family in promised.items() if family.type == "histogram"}
        assert {f"{name}_bucket" for name in histograms} | (promised.keys() - histograms) <= names
        arguments = {"query": f"{Metric.REQUEST_SECONDS}_bucket", "start": 0, "end": time.time() + 60}
        with urlopen(f"{prometheus.url}/api/v1/query_exemplars?{urlencode(arguments)}") as answer:
            (series,) = (one for one in json.load(answer)["data"] if one["seriesLabels"]["method"] == "predict")
        assert {one["labels"]["trace_id"] for one in series["exemplars"]} == {TRACE}
