"""How fast the operator goes on with what fails or ends at once."""

from __future__ import annotations

from modeldeployment_operator.core.pace import Bucket, Pace, backoff

PACE = Pace(burst=3, interval=2.0)


def taken(times: list[float]) -> list[float]:
    """Take of a full bucket at these times; return the seconds to wait each time."""
    bucket, waits = Bucket(PACE), []
    for now in times:
        bucket, wait = bucket.take(now)
        waits.append(wait)
    return waits


def test_the_first_ones_need_not_wait() -> None:
    assert taken([100.0] * 3) == [0, 0, 0]


def test_then_there_is_one_in_each_interval() -> None:
    assert taken([100.0] * 5) == [0, 0, 0, 2, 4]


def test_who_waited_in_between_may_go_on_at_once() -> None:
    assert taken([100.0, 100.0, 100.0, 102.0, 104.0, 104.0]) == [0, 0, 0, 0, 0, 2]


def test_after_a_pause_all_of_it_is_there_again() -> None:
    assert taken([0.0] * 3 + [1000.0] * 4) == [0, 0, 0, 0, 0, 0, 2]


def test_each_failure_in_a_row_waits_longer_up_to_a_limit() -> None:
    assert [backoff(n, first=1, longest=5, chance=0.5) for n in (1, 2, 3, 4, 1000)] == [1, 2, 4, 5, 5]


def test_what_failed_together_does_not_go_on_together() -> None:
    assert [backoff(1, first=1, longest=5, chance=chance) for chance in (0, 1)] == [0.75, 1.25]
