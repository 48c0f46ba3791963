"""The words that the operator, the model server and the resource have in common."""

from __future__ import annotations

from typing import get_type_hints

import pytest
from model_server import contract
from model_server.rotation import read_rotation, write_rotation
from modeldeployment_operator.api.conditions import Reason
from modeldeployment_operator.api.model import ModelFormat
from modeldeployment_operator.core.observation import Sample
from modeldeployment_operator.core.passing import ANSWERS_ITSELF, Passing, passing_of, rotation_of


@pytest.mark.parametrize("failure", contract.StartFailure)
def test_every_failure_to_start_is_a_reason(failure: contract.StartFailure) -> None:
    assert Reason(failure.value).name == failure.name


def test_the_formats_are_the_same() -> None:
    assert {one.name: one.value for one in ModelFormat} == {one.name: one.value for one in contract.ModelFormat}


def test_the_operator_reads_nothing_that_the_server_does_not_count() -> None:
    counted, read = get_type_hints(contract.Counts), get_type_hints(Sample)

    for name in ("passing", "classes", "slices", "pairs"):
        del read[name]  # The operator has them in a form of its own.
        assert name == "passing" or name in counted
    del read["gauge"]  # A user's query gives it, and no pod.
    del read["fault"]  # What it finds wrong with the rest.
    read["predictions"] = int  # Prometheus is not asked for them.
    assert read.items() <= counted.items()


def test_the_operator_tells_and_reads_whole_rotations() -> None:
    for passing in (ANSWERS_ITSELF, Passing("m-2.team.svc:8501", 0.25), Passing("m-2.team.svc:8501", copy=True)):
        told = rotation_of(passing)
        assert told.keys() == get_type_hints(contract.Rotation).keys()
        assert write_rotation(read_rotation(told)) == told
        assert passing_of(told) == passing
