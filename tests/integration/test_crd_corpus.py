"""The API server judges every object of the corpus as the models do."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes.client import CustomObjectsApi
from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config
from modeldeployment_operator.api import group

from tests import golden
from tests.integration.conftest import ControlPlane


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> CustomObjectsApi:
    client = new_client_from_config(str(control_plane.kubeconfig))
    return CustomObjectsApi(client)


def create(api: CustomObjectsApi, document: dict[str, Any]) -> Any:
    """Try to create the object as `kubectl create --dry-run=server --validate=strict` does; raise ApiException."""
    return api.create_namespaced_custom_object(
        group.GROUP, group.VERSION, "default", group.PLURAL, document, dry_run="All", field_validation="Strict"
    )


@pytest.mark.parametrize("case", golden.valid(), ids=str)
def test_sound_object_is_accepted_and_nothing_added(api: CustomObjectsApi, case: golden.Case) -> None:
    made = create(api, case.document)

    assert made["spec"] == _without_nulls(case.spec)


@pytest.mark.parametrize("case", golden.invalid(), ids=str)
def test_flawed_object_is_refused_with_its_reason(api: CustomObjectsApi, case: golden.Case) -> None:
    with pytest.raises(ApiException) as refusal:
        create(api, case.document)

    assert refusal.value.status in {400, 422}
    said = str(refusal.value.body).replace('\\"', '"')
    assert [piece for piece in case.server if piece not in said] == []


def _without_nulls(value: Any) -> Any:
    """Drop the fields that are null, down to where the schema knows none."""
    if not isinstance(value, dict):
        return value
    return {
        key: part if key in {"affinity", "tolerations"} else _without_nulls(part)
        for key, part in value.items()
        if part is not None
    }
