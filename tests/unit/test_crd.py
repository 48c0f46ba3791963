"""The CRD that is made from the models, and that the committed file is it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from modeldeployment_operator.api import crd
from modeldeployment_operator.api.base import ApiModel
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from pydantic import Field

CRDS = Path(__file__).parents[2] / "crds"

Node = tuple[str, dict[str, Any]]


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[Node]:
    """Every schema in a schema, with where it stands."""
    yield path, schema
    for name, part in schema.get("properties", {}).items():
        yield from nodes(part, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from nodes(schema["additionalProperties"], f"{path}.*")


@pytest.fixture(scope="module")
def version() -> Any:
    (only,) = crd.model_deployments()["spec"]["versions"]
    return only


@pytest.fixture(scope="module")
def schema(version: dict[str, Any]) -> Any:
    return version["schema"]["openAPIV3Schema"]


@pytest.mark.parametrize("plural", crd.DEFINITIONS)
def test_committed_file_is_current(plural: str) -> None:
    committed = (CRDS / f"{plural}.modelops.dev.yaml").read_text(encoding="utf-8")
    assert committed == crd.render(plural), "the models have changed: run `make generate`"


@pytest.mark.parametrize("plural", crd.DEFINITIONS)
def test_rendered_file_reads_back_as_the_same_document(plural: str) -> None:
    assert yaml.safe_load(crd.render(plural)) == crd.DEFINITIONS[plural]()


def test_names() -> None:
    document = crd.model_deployments()

    assert document["metadata"]["name"] == "modeldeployments.modelops.dev"
    assert document["spec"]["scope"] == "Namespaced"
    assert document["spec"]["names"]["shortNames"] == ["mdep"]
    assert document["spec"]["names"]["categories"] == ["all"]


def test_columns(version: dict[str, Any]) -> None:
    columns = version["additionalPrinterColumns"]

    always = [column["name"] for column in columns if not column.get("priority")]
    wide = [column["name"] for column in columns if column.get("priority")]
    assert always == ["Ready", "Serving", "Accuracy", "Labels", "Replicas", "Age"]
    assert wide == ["Model", "Candidate", "Weight", "Reason"]


def test_columns_and_subresources_read_fields_that_are(version: dict[str, Any], schema: dict[str, Any]) -> None:
    known = {path for path, _ in nodes(schema)}
    scale = version["subresources"]["scale"]

    paths = [column["jsonPath"] for column in version["additionalPrinterColumns"]] + list(scale.values())

    for path in paths:
        plain = path.replace('[?(@.type=="Ready")]', "[]")
        assert plain in known | {".metadata.creationTimestamp"}


def test_every_part_has_a_type_as_structural_schemas_must(schema: dict[str, Any]) -> None:
    for path, node in nodes(schema):
        assert "type" in node or node.get("x-kubernetes-int-or-string"), path
        assert not ("properties" in node and "additionalProperties" in node), path


def test_nothing_is_written_into_what_users_apply(schema: dict[str, Any]) -> None:
    assert [path for path, node in nodes(schema) if "default" in node] == []


def test_every_field_is_explained(schema: dict[str, Any]) -> None:
    for path, node in nodes(schema):
        for name, field in node.get("properties", {}).items():
            if f"{path}.{name}" == ".metadata":
                continue  # The API server explains it.
            assert field.get("description", "").endswith("."), f"{path}.{name}"


def test_every_plain_default_is_told(schema: dict[str, Any]) -> None:
    told = {path for path, node in nodes(schema["properties"]["spec"]) if "Default: " in node.get("description", "")}

    assert told == {
        ".accuracy.metric",
        ".autoscaling.minReplicas",
        ".autoscaling.scaleDownAfter",
        ".accuracy.alpha",
        ".accuracy.minimumLabels",
        ".accuracy.sampleInterval",
        ".feedback.counted",
        ".feedback.maturity",
        ".accuracy.source",
        ".accuracy.query.for",
        ".rollout.hold.approval",
        ".rollout.hold.healthy",
        ".rollout.steps[].hold.approval",
        ".rollout.steps[].hold.healthy",
        ".rollout.strategy",
        ".rollout.progressDeadline",
        ".policies.degraded.action",
        ".policies.drift.action",
        ".policies.sourceDown.action",
        ".policies.sourceDown.after",
        ".policies.invalidData.action",
        ".policies.noTraffic.action",
        ".policies.noTraffic.after",
        ".policies.noLabels.action",
        ".policies.noLabels.after",
        ".rollback.probation",
        ".monitoring.serviceMonitor.enabled",
        ".monitoring.serviceMonitor.interval",
        ".monitoring.prometheusRule.enabled",
        ".monitoring.prometheusRule.window",
        ".monitoring.prometheusRule.for",
        ".monitoring.prometheusRule.maximumErrorRatio",
        ".monitoring.prometheusRule.maximumLatency",
        ".monitoring.prometheusRule.maximumRejectedRatio",
        ".monitoring.prometheusRule.maximumUtilization",
        ".monitoring.prometheusRule.approvalWithin",
        ".monitoring.prometheusRule.labelsWithin",
        ".revisionHistoryLimit",
        ".paused",
    }


def test_rules_have_messages_for_people(schema: dict[str, Any]) -> None:
    rules = [rule for _, node in nodes(schema) for rule in node.get("x-kubernetes-validations", [])]

    assert len(rules) >= 5
    for rule in rules:
        assert len(rule["message"]) > 20
        assert "self" not in rule["message"]


def test_text_is_not_checked_by_expressions_that_people_would_have_to_read(schema: dict[str, Any]) -> None:
    for path, node in nodes(schema):
        if "pattern" in node:
            assert node["x-kubernetes-int-or-string"], path  # There CEL has no one type to check.


def test_lists_under_rules_are_bounded_so_that_the_rules_cost_is(schema: dict[str, Any]) -> None:
    for path, node in nodes(schema["properties"]["spec"]):
        if node.get("type") == "array":
            assert "maxItems" in node, path
        if "additionalProperties" in node:
            assert "maxProperties" in node, path


def structural(model: type[ApiModel], **options: bool) -> dict[str, Any]:
    return crd.structural(model, **({"users": True} | options))


class Inner(ApiModel):
    """An inner object."""

    number: float = Field(0.5, gt=0, lt=1, description="A number.")


def test_reference_becomes_what_it_names_under_the_fields_own_words() -> None:
    class Outer(ApiModel):
        """An outer object."""

        inner: Inner = Field(description="What stands inside.")

    inner = structural(Outer)["properties"]["inner"]

    assert inner["description"] == "What stands inside."
    assert inner["properties"]["number"]["type"] == "number"


def test_bounds_take_the_form_of_openapi_3_0() -> None:
    number = structural(Inner)["properties"]["number"]

    assert {key: number[key] for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")} == {
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 1,
        "exclusiveMaximum": True,
    }


def test_optional_field_is_not_nullable() -> None:
    class Optional(ApiModel):
        """An object."""

        text: str | None = Field(None, description="A text.")

    schema = structural(Optional)

    assert schema["properties"]["text"] == {"description": "A text.", "type": "string"}
    assert "required" not in schema


def test_default_becomes_a_sentence_for_readers_of_the_spec_alone() -> None:
    number = structural(Inner)["properties"]["number"]
    silent = structural(Inner, users=False)["properties"]["number"]

    assert number["description"] == "A number. Default: 0.5."
    assert silent["description"] == "A number."


def test_amount_is_a_number_or_text() -> None:
    requests = structural(ModelDeploymentSpec)["properties"]["serving"]["properties"]["resources"]["properties"][
        "requests"
    ]

    amount = requests["additionalProperties"]
    assert amount["x-kubernetes-int-or-string"]
    assert "type" not in amount
    assert amount["minimum"] == 0
    assert amount["pattern"].startswith("^")


def test_opaque_object_keeps_what_it_holds() -> None:
    affinity = structural(ModelDeploymentSpec)["properties"]["serving"]["properties"]["affinity"]

    assert affinity == {
        "description": "Affinity, as in a pod.",
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
    }


def test_what_structural_schemas_cannot_say_is_refused() -> None:
    class Choice(ApiModel):
        """An object."""

        either: str | int = Field(description="A choice.")

    with pytest.raises(NotImplementedError, match="no rule for a choice"):
        structural(Choice)


def test_keyword_without_a_rule_is_refused() -> None:
    class Odd(ApiModel):
        """An object."""

        number: int = Field(description="A number.", multiple_of=3)

    with pytest.raises(NotImplementedError, match="multipleOf"):
        structural(Odd)


def test_lower_bound_that_the_api_server_would_round_is_refused() -> None:
    class Small(ApiModel):
        """An object."""

        number: float = Field(description="A number.", ge=0.5)

    with pytest.raises(NotImplementedError, match="use a Rule"):
        structural(Small)
