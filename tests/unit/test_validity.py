"""Counts that cannot be are told apart, and nothing is concluded from them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from modeldeployment_operator.adapters.pods import _parse_counts
from modeldeployment_operator.core.errors import InvalidCountsError, PodUnreachableError
from modeldeployment_operator.core.validity import faulty, sift

from tests.support.observations import a_pod, a_sample

POD = a_pod("m-1")
COUNTS: dict[str, Any] = {
    "revision": "m-1",
    "pod_uid": POD.uid,
    "started": "1",
    "correct": 8,
    "wrong": 2,
    "true_positive": 4,
    "false_positive": 1,
    "true_negative": 4,
    "false_negative": 1,
    "predictions": 5,
    "rotation": {"forward_to": None, "share": 1.0, "copy": False},
    "pairs": [],
    "classes": [],
    "slices": [],
}


def test_counts_that_can_be_are_read() -> None:
    sample = _parse_counts(POD, json.dumps(COUNTS).encode())
    assert (sample.correct, sample.predictions, sample.fault) == (8, 5, None)
    assert sift({POD.uid: sample}) == ({POD.uid: sample}, {}), "labels of another pod's predictions may be among them"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        json.dumps(COUNTS | {"correct": -1}).encode(),
        json.dumps(COUNTS | {"wrong": 1.5}).encode(),
        json.dumps(COUNTS | {"predictions": True}).encode(),
        json.dumps(COUNTS | {"predictions": 2**53}).encode(),
        json.dumps(COUNTS | {"started": 7}).encode(),
        json.dumps({key: value for key, value in COUNTS.items() if key != "predictions"}).encode(),
    ],
)
def test_what_cannot_be_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidCountsError, match="pod m-1-pod-0: its counts are not"):
        _parse_counts(POD, body)


def test_another_pod_at_its_address_says_nothing_of_it() -> None:
    with pytest.raises(PodUnreachableError, match="another pod answers") as error:
        _parse_counts(POD, json.dumps(COUNTS | {"pod_uid": "other"}).encode())
    assert not isinstance(error.value, InvalidCountsError)


def test_a_fault_that_quotes_a_long_answer_is_shortened() -> None:
    long = {"forward_to": 1, "share": 1.0, "copy": False, "pad": "x" * 3000}
    with pytest.raises(InvalidCountsError, match="not in the agreed form") as raised:
        _parse_counts(POD, json.dumps(COUNTS | {"rotation": long}).encode())
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ({"true_positive": 9}, "9 labels of the positive class are right, of 8 right ones in all"),
        ({"false_positive": 2, "false_negative": 1}, "3 labels are wrong by class, and 2 in all"),
    ],
)
def test_labels_by_class_are_no_more_than_there_are(cells: dict[str, int], fault: str) -> None:
    good, bad = a_sample("m-1-pod-0", 8, 2), a_sample("m-1-pod-1", 8, 2, **cells)
    assert sift({"a": good, "b": bad}) == ({"a": good}, {"m-1": fault})


def test_the_first_fault_of_a_revision_is_told() -> None:
    sound, invalid = sift({"a": faulty(a_pod("m-1"), "first"), "b": faulty(a_pod("m-1", 1), "second")})
    assert (sound, invalid) == ({}, {"m-1": "first"})
