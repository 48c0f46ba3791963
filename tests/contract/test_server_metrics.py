"""The metrics of a pod are those of operator/METRICS.md, with the same types and labels, and no others."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest
from model_server import contract
from model_server.admin import AdminApp
from model_server.app import PredictionApp
from model_server.contract import FeedbackRejection, Metric
from model_server.fetch_metrics import FetchReport
from model_server.passing import Copied, Forwarded
from model_server.prediction_id import Classes, Issuer, Key, KeyRing, fingerprint, pod_mark
from model_server.rotation import ANSWERS_ALL, Passing
from model_server.shadows import Witnessed
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.serving.in_process import TOKEN, call, serving_parts
from tests.support import metrics_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from model_server.parts import ServerParts
    from prometheus_client.metrics_core import Metric as Family

MODEL = contract.MODEL_PATH_TEMPLATE.format(model="m")
FORMATS: dict[str, Callable[[str], Iterable[Family]]] = {
    "text/plain": read_text,
    "application/openmetrics-text; version=1.0.0": read_openmetrics,
}


@pytest.fixture
async def parts(tmp_path: Path) -> ServerParts:
    """Of a server that has answered, passed requests and copies on, and has its labels."""
    parts = serving_parts(tmp_path)
    for passing in (Passing("there:1", 0.1), Passing("there:1", copy=True), ANSWERS_ALL):
        parts.state.rotate(passing)
    parts.metrics.tell_of_fetching(FetchReport(done=1, cached=2, expected=3, seconds=0.5))
    app = PredictionApp(parts)
    _, headers, _ = await call(app, "POST", MODEL + contract.PREDICT_SUFFIX, {"instances": [1] * 3})
    token = headers[contract.PREDICTION_ID_HEADER.lower()]
    keys = KeyRing(Key.from_secret(b"k" * 32))
    issuer = Issuer(keys, fingerprint("m", "r2"), pod_mark("another"), None, time.time, os.urandom)
    theirs = issuer.issue(Classes(2, [1, 1, 0])).token  # Here it is class 1 all over.
    parts.shadows.settle(token, Witnessed(str(theirs), "r2"))
    labels = [{"id": f"{token}.{index}", "label": label} for index, label in enumerate((1, 0, 1))]
    assert (await call(app, "POST", MODEL + contract.FEEDBACK_SUFFIX, {"labels": labels}))[0] == 200
    return parts


async def families(parts: ServerParts, accept: str = "text/plain") -> list[Family]:
    admin = AdminApp(parts, TOKEN.encode())
    _, headers, body = await call(admin, "GET", contract.METRICS_PATH, headers={"Accept": accept})
    assert headers["content-type"].startswith(accept.partition(";")[0])
    return list(FORMATS[accept](body.decode()))


@pytest.mark.parametrize("accept", FORMATS)
async def test_a_pod_exposes_what_the_page_says_and_nothing_else(parts: ServerParts, accept: str) -> None:
    assert metrics_page.exposed(await families(parts, accept)) == metrics_page.described(metrics_page.POD)


async def test_what_comes_of_passing_on_is_absent_before_a_rotation_says_so(tmp_path: Path) -> None:
    samples = {sample.name for family in await families(serving_parts(tmp_path)) for sample in family.samples}
    assert samples.isdisjoint({Metric.FORWARDED, Metric.COPIED, Metric.AGREEMENT, Metric.PAIRS})


def test_every_name_is_on_the_page() -> None:
    described = metrics_page.described(metrics_page.POD) | metrics_page.described(metrics_page.POD_OPTIONS)
    assert set(described) == set(Metric)


async def test_labels_have_the_values_that_the_contract_names(parts: ServerParts) -> None:
    samples = [sample for family in await families(parts) for sample in family.samples]
    assert {one.labels["reason"] for one in samples if one.name == Metric.FEEDBACK_REJECTED} == set(FeedbackRejection)
    assert {one.labels["outcome"]: one.value for one in samples if one.name == Metric.LABELS} == {
        "correct": 2,
        "wrong": 1,
    }
    assert {
        (one.labels["actual"], one.labels["predicted"]): one.value for one in samples if one.name == Metric.CONFUSION
    } == {("0", "0"): 0, ("0", "1"): 1, ("1", "0"): 0, ("1", "1"): 2}
    assert {one.labels["outcome"]: one.value for one in samples if one.name == Metric.AGREEMENT} == {
        "same": 2,
        "different": 1,
    }
    assert {one.labels["outcome"]: one.value for one in samples if one.name == Metric.PAIRS} == {
        "won": 0,
        "lost": 1,  # The third instance, whose label is 1.
        "tied": 2,
    }
    assert {one.labels["candidate"] for one in samples if "candidate" in one.labels} == {"r2"}
    assert {one.labels["outcome"] for one in samples if one.name == Metric.FORWARDED} == set(Forwarded)
    assert {one.labels["outcome"] for one in samples if one.name == Metric.COPIED} == set(Copied)
    kinds = {(one.labels["method"], one.labels["code"]) for one in samples if "method" in one.labels}
    assert kinds == {("predict", "200"), ("feedback", "200")}


async def test_the_run_of_counting_is_that_of_the_counts(parts: ServerParts) -> None:
    (info,) = (one for family in await families(parts) for one in family.samples if one.name == Metric.COUNTING_INFO)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    _, _, body = await call(AdminApp(parts, TOKEN.encode()), "GET", contract.COUNTS_PATH, headers=bearer)
    counts = json.loads(body)
    assert (info.value, info.labels) == (1, {"pod_uid": counts["pod_uid"], "started": counts["started"]})
