"""What the operator reads of a pod through Prometheus is what the pod itself tells it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest
from model_server import contract
from model_server.admin import AdminApp
from model_server.app import PredictionApp
from model_server.contract import Env
from modeldeployment_operator.core.observation import StoredRevision
from modeldeployment_operator.core.promql import read_answers
from modeldeployment_operator.core.samples import samples_of
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.in_process import TOKEN, Half, begin, call, serving_parts
from tests.support.observations import KEY, a_pod, a_template, an_observation
from tests.support.prometheus_answers import a_series, an_answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from model_server.parts import ServerParts

MODEL = contract.MODEL_PATH_TEMPLATE.format(model="m")
REVISION = "r1"


class Echo(Half):
    """Gives the scores that it gets."""

    def predict(self, signature_name: str, inputs: Any) -> dict[str, Any]:
        return {"y": inputs["x"]}


async def ask(parts: ServerParts, path: str) -> str:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    return (await call(AdminApp(parts, TOKEN.encode()), "GET", path, headers=bearer))[2].decode()


@pytest.mark.parametrize("names", [None, ("bad", "good"), ("good", "none")])
async def test_prometheus_and_the_pod_tell_the_same(tmp_path: Path, names: Sequence[str] | None) -> None:
    pod = a_pod(REVISION)
    environment = {Env.POD_UID: pod.uid} | ({Env.MODEL_LABELS: json.dumps(names)} if names else {})
    parts = serving_parts(tmp_path, environment=environment)
    begin(parts, Echo())
    await label(parts, {1: [0.9, 0.8, 0.1, math.nan], 0: [0.2, 0.3, 0.4, 0.7, math.nan, math.nan]})

    target = {"namespace": KEY.namespace, "pod": pod.name, "model": KEY.name, "revision": REVISION}
    series = [
        a_series(sample.name, {100.0: sample.value}, target | sample.labels)
        for family in text_string_to_metric_families(await ask(parts, contract.METRICS_PATH))
        for sample in family.samples
        if sample.name in {contract.Metric.LABELS, contract.Metric.CONFUSION, contract.Metric.COUNTING_INFO}
    ]
    stored = {REVISION: StoredRevision(1, a_template(REVISION, labels=names))}
    observed = an_observation(accuracy={"minimum": 0.9, "metric": "precision"}).serving(REVISION).having(stored=stored)
    samples, problem = samples_of(observed.having(pods=(pod,)).obj(), read_answers([an_answer(*series)]))

    counts = json.loads(await ask(parts, contract.COUNTS_PATH))
    assert problem is None
    sample = asdict(samples[pod.uid])
    for name in ("passing", "classes", "slices", "pairs", "gauge", "predictions"):
        del sample[name]  # Labels tell nothing of the rotation, nor are these read from the pods' lines.
    assert sample.pop("fault") is None
    assert sample == {name: counts[name] for name in sample}
    assert (sample["true_positive"], sample["false_positive"], sample["false_negative"]) == (2, 3, 2)


async def label(parts: ServerParts, scores: Mapping[int, Sequence[float]]) -> None:
    """Ask for predictions of these scores, and send the labels that they are under."""
    app = PredictionApp(parts)
    for truth, instances in scores.items():
        _, headers, _ = await call(app, "POST", MODEL + contract.PREDICT_SUFFIX, {"instances": instances})
        token = headers[contract.PREDICTION_ID_HEADER.lower()]
        labels = [{"id": f"{token}.{number}", "label": truth} for number in range(len(instances))]
        assert (await call(app, "POST", MODEL + contract.FEEDBACK_SUFFIX, {"labels": labels}))[0] == 200
