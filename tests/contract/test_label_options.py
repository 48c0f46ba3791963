"""What the operator tells pods of labels, the server reads as it was meant."""

from __future__ import annotations

from typing import Any

import pytest
from model_server import label_options, prediction_id
from model_server.contract import Env
from model_server.label_options import LabelOptions, read_label_options
from model_server.ledger import HORIZON_SECONDS
from modeldeployment_operator.api import feedback
from modeldeployment_operator.api.base import seconds
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.core.resources.labels import label_secrets, label_settings
from modeldeployment_operator.core.revisions import snapshot_of
from pydantic import ValidationError

FULL = {
    "maturity": "360h",
    "auditFraction": 0.05,
    "counted": "Audited",
    "topK": label_options.MAX_TOP,
    "slices": {"field": "country", "values": [f"{number:032}" for number in range(label_options.MAX_SLICES)]},
    "store": {"name": "valkey", "key": "url"},
}
PATIENT = {"rollback": {"probation": "720h"}, "monitoring": {"prometheusRule": {"labelsWithin": "720h"}}}


def told(model: dict[str, Any], labels: dict[str, Any] | None) -> LabelOptions:
    spec = ModelDeploymentSpec.parse({"model": {"uri": "s3://b/m"} | model, "feedback": labels} | PATIENT)
    snapshot = snapshot_of("news", spec, "server:1")
    environment = {name: value for name, value in label_settings(snapshot).items() if value is not None}
    environment |= {variable["name"]: "redis://valkey:6379/0" for variable in label_secrets(snapshot)}
    return read_label_options({**environment, Env.POD_UID: "uid"})


def test_nothing_said_is_nothing_told() -> None:
    assert told({}, None) == told({}, {}) == LabelOptions()


def test_everything_said_is_told() -> None:
    options = told({}, FULL)

    assert options == LabelOptions(
        top=label_options.MAX_TOP,
        maturity=HORIZON_SECONDS / 2,
        audit_fraction=0.05,
        counted=label_options.Counted.AUDITED,
        slice_field="country",
        slices=frozenset(FULL["slices"]["values"]),
        store="redis://valkey:6379/0",
    )


def test_a_regression_has_its_tolerance() -> None:
    options = told({"task": "regression", "tolerance": 0.1}, None)

    assert (options.task, options.tolerance) == (label_options.Task.REGRESSION, 0.1)


@pytest.mark.parametrize("name", ["国" * 10, "é" * 16, "x" * 32])
def test_the_longest_names_of_slices_are_taken(name: str) -> None:
    assert feedback.MAX_SLICE_BYTES == prediction_id.MAX_SLICE_BYTES
    assert told({}, {"slices": {"field": "country", "values": [name]}}).slices == {name}
    with pytest.raises(ValidationError, match=r"32 (bytes|characters)"):
        told({}, {"slices": {"field": "country", "values": [f"国{name}"]}})


@pytest.mark.parametrize("maturity", ["0s", "250ms", "1h30m"])
def test_spans_of_time_are_told_in_seconds(maturity: str) -> None:
    assert told({}, {"maturity": maturity}).maturity == seconds(maturity)
