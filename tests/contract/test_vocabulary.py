"""The words that the operator, the model server and the resource have in common."""

from __future__ import annotations

from typing import get_type_hints

import pytest
from model_server import contract
from modeldeployment_operator.api.conditions import Reason
from modeldeployment_operator.api.model import ModelFormat
from modeldeployment_operator.core.observation import Sample


@pytest.mark.parametrize("failure", contract.StartFailure)
def test_every_failure_to_start_is_a_reason(failure: contract.StartFailure) -> None:
    assert Reason(failure.value).name == failure.name


def test_the_formats_are_the_same() -> None:
    assert {one.name: one.value for one in ModelFormat} == {one.name: one.value for one in contract.ModelFormat}


def test_the_operator_reads_nothing_that_the_server_does_not_count() -> None:
    counted, read = get_type_hints(contract.Counts), get_type_hints(Sample)

    assert read.items() <= counted.items()
