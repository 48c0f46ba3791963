"""Which of several replicas acts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from modeldeployment_operator.core.leadership import Sighting, Timing, is_held, may_take, released, taken

NOW = datetime(2026, 3, 1, 12, 0, 5, 250000, tzinfo=UTC)
THEN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
TIMING = Timing()


def test_a_leader_is_given_up_before_others_take_its_place() -> None:
    assert TIMING.retry < TIMING.renewal < TIMING.duration


def test_a_lease_is_taken_renewed_given_back_and_taken_by_another() -> None:
    first = taken({}, "a", TIMING, THEN)
    assert first == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-03-01T12:00:00.000000Z",
        "renewTime": "2026-03-01T12:00:00.000000Z",
        "leaseTransitions": 1,
    }
    renewed = taken(first, "a", TIMING, NOW)
    assert renewed == {**first, "renewTime": "2026-03-01T12:00:05.250000Z"}
    free = released(renewed, NOW)
    assert (free["holderIdentity"], free["leaseDurationSeconds"], free["leaseTransitions"]) == ("", 1, 1)
    other = taken(free, "b", TIMING, NOW)
    assert (other["holderIdentity"], other["leaseTransitions"]) == ("b", 2)
    assert other["acquireTime"] == other["renewTime"]
    assert not is_held(other, "a")


@pytest.mark.parametrize(
    ("spec", "seconds", "may"),
    [
        ({}, 0, True),
        ({"holderIdentity": None}, 0, True),
        ({"holderIdentity": "", "leaseDurationSeconds": 15}, 0, True),
        ({"holderIdentity": "me", "leaseDurationSeconds": 15}, 0, True),
        ({"holderIdentity": "other", "leaseDurationSeconds": 15}, 15, False),
        ({"holderIdentity": "other", "leaseDurationSeconds": 15}, 15.1, True),
        # Whatever the other's clock says.
        ({"holderIdentity": "other", "leaseDurationSeconds": 15, "renewTime": "1970-01-01T00:00:00Z"}, 1, False),
    ],
)
def test_who_may_take_it(spec: dict[str, object], seconds: float, may: bool) -> None:
    assert may_take(spec, "me", Sighting("7", 100.0), 100.0 + seconds) is may


def test_each_change_of_a_lease_begins_its_time_anew() -> None:
    seen = Sighting("", 0.0).again("1", 5.0)
    assert seen.again("1", 9.0).since == 5.0
    assert seen.again("2", 9.0) == Sighting("2", 9.0)
