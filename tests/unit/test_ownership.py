"""Which part of an object is the operator's own. tests/integration has what a real API server says of it."""

from __future__ import annotations

from typing import Any

import pytest
from modeldeployment_operator.core.names import MANAGER
from modeldeployment_operator.core.ownership import owned, owned_part, wish, wished_part

MANIFEST: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "m", "namespace": "team", "labels": {"a": "1"}},
    "spec": {"ports": [{"name": "http", "port": 80}, {"name": "grpc", "port": 81}], "selector": {"x": "y"}},
}
FIELDS: dict[str, Any] = {
    "f:metadata": {"f:labels": {"f:a": {}}},
    "f:spec": {
        "f:ports": {
            'k:{"port":80}': {".": {}, "f:name": {}, "f:port": {}},
            'k:{"port":81}': {".": {}, "f:name": {}, "f:port": {}},
        },
        "f:selector": {},
    },
}


def body(fields: dict[str, Any] = FIELDS, spec: dict[str, Any] | None = None, **entry: Any) -> dict[str, Any]:
    """The manifest as it is in the cluster, with what the API server fills in."""
    entry = {"manager": MANAGER, "operation": "Apply", "fieldsV1": fields} | entry
    others = {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:type": {}}}}
    metadata = MANIFEST["metadata"] | {"uid": "u", "resourceVersion": "1", "managedFields": [others, entry]}
    ports = [one | {"protocol": "TCP"} for one in MANIFEST["spec"]["ports"]]
    filled = {"ports": ports, "selector": {"x": "y"}, "type": "ClusterIP"} | (spec or {})
    return MANIFEST | {"metadata": metadata, "spec": filled, "status": {"loadBalancer": {}}}


def test_what_was_applied_is_found_again_among_what_was_filled_in() -> None:
    assert owned_part(body()) == wished_part(MANIFEST)
    assert owned(body()) == wish(MANIFEST)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(body(FIELDS | {"f:spec": {"f:selector": {}}}), id="ports taken"),
        pytest.param(body(FIELDS | {"f:metadata": {}}), id="a label removed"),
        pytest.param(body(spec={"ports": [{"name": "http", "port": 80}]}), id="a port gone"),
        pytest.param(body(spec={"selector": {"x": "z"}}), id="a value that is owned and another"),
    ],
)
def test_what_others_changed_differs(changed: dict[str, Any]) -> None:
    assert owned(changed) != wish(MANIFEST)


@pytest.mark.parametrize(
    "entry",
    [{"manager": "other"}, {"operation": "Update"}, {"subresource": "status"}],
    ids=lambda entry: next(iter(entry)),
)
def test_nothing_is_owned_through_other_entries(entry: dict[str, Any]) -> None:
    assert owned(body(**entry)) is None
    assert owned({"metadata": {}}) is None


def test_a_set_of_values() -> None:
    fields = {"f:finalizers": {'v:"a"': {}}}
    found = body({"f:metadata": fields})
    found["metadata"] = found["metadata"] | {"finalizers": ["b", "a"]}
    assert owned_part(found) == {"metadata": {"finalizers": ["a"]}}


def test_whole_numbers_are_written_alike() -> None:
    whole, half = ({"metadata": {}, "data": [{"tolerance": number}]} for number in (10.0, 0.5))
    assert wish(whole) == wish({"metadata": {}, "data": [{"tolerance": 10}]})
    assert wished_part(half)["data"] == [{"tolerance": 0.5}]
