"""What makes a revision, and what does not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.core.revisions import Template, digest_of, document_of, snapshot_of

MODEL = {"uri": "s3://models/3"}
FULL = {"model": MODEL, "serving": {"image": "mine:1", "env": [{"name": "A", "value": "1"}]}}


def name_of(spec: dict[str, Any], *, name: str = "news", image: str = "server:1") -> str:
    return snapshot_of(name, ModelDeploymentSpec.parse(spec), image).name


def test_a_name() -> None:
    assert re.fullmatch(r"news-[0-9a-f]{10}", name_of(FULL))


def test_a_name_never_changes_between_releases() -> None:
    """Another name for the same wish would make every ModelDeployment of every cluster start a candidate."""
    assert name_of({"model": MODEL}) == "news-76d41e0849"
    assert name_of(FULL) == "news-3f6ffbb4a4"


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"uri": "s3://models/4"}},
        {"model": MODEL | {"digest": "sha256:" + "0" * 64}},
        {"model": MODEL | {"format": "keras"}},
        {"model": MODEL | {"name": "other"}},
        {"model": MODEL | {"labels": ["a", "b"]}},
        {"model": MODEL | {"env": [{"name": "A", "value": "2"}]}},
        {"serving": {"image": "mine:2"}},
        {"serving": FULL["serving"] | {"env": [{"name": "A", "value": "2"}]}},
        {"serving": {"image": "mine:1"}},
        {"feedback": {"auditFraction": 0.1}},
        {"model": MODEL | {"task": "regression", "tolerance": 1}},
        {"serving": FULL["serving"] | {"batching": {"maxBatchSize": 8}}},
    ],
    ids=str,
)
def test_what_decides_the_answers_makes_another_revision(change: dict[str, Any]) -> None:
    assert name_of(FULL | change) != name_of(FULL)


@pytest.mark.parametrize(
    "change",
    [
        {"replicas": 5},
        {"accuracy": {"minimum": 0.5}},
        {"paused": True},
        {"policies": {"degraded": {"action": "Alert"}}},
        {"monitoring": {"serviceMonitor": {"enabled": False}}},
        {"revisionHistoryLimit": 3},
        {"serving": FULL["serving"] | {"nodeSelector": {"a": "b"}, "resources": {"limits": {"cpu": 1}}}},
        {"serving": FULL["serving"] | {"fetchResources": {"limits": {"cpu": 1}}}},
        {"serving": FULL["serving"] | {"fetchCache": {"claimName": "models"}}},
        {"serving": FULL["serving"] | {"batching": None}},
        {"serving": FULL["serving"] | {"tls": {"secretName": "tls"}, "feedbackPort": 8503}},
        {"model": MODEL | {"digest": None}},
    ],
    ids=str,
)
def test_what_does_not_decide_them_makes_none(change: dict[str, Any]) -> None:
    assert name_of(FULL | change) == name_of(FULL)


def test_another_default_image_makes_no_revision() -> None:
    assert name_of({"model": MODEL}, image="server:2") == name_of({"model": MODEL})


def test_what_is_not_given_is_filled_in() -> None:
    template = snapshot_of("news", ModelDeploymentSpec.parse({"model": MODEL}), "server:1").template

    assert (template.model.name, template.image, template.env) == ("news", "server:1", None)
    named = snapshot_of("news", ModelDeploymentSpec.parse(FULL | {"model": MODEL | {"name": "x"}}), "server:1")
    assert (named.template.model.name, named.template.image) == ("x", "mine:1")


def test_a_template_reads_back() -> None:
    template = snapshot_of("news", ModelDeploymentSpec.parse(FULL), "server:1").template

    assert Template.parse(document_of(template)) == template


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": {"c": "体", "d": None}}) == digest_of({"b": {"d": None, "c": "体"}, "a": 1})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})
