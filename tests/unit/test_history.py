"""Which revisions are remembered."""

from __future__ import annotations

import pytest
from modeldeployment_operator.core.decision import Decision
from modeldeployment_operator.core.history import kept

from tests.support.observations import an_observation

NAMES = [f"m-{number}" for number in range(1, 9)]


@pytest.mark.parametrize(
    ("limit", "decision", "expected"),
    [
        pytest.param(0, Decision("m-8"), {"m-8", "m-7"}, id="what serves and what is asked for"),
        pytest.param(0, Decision("m-8", standby="m-1"), {"m-8", "m-7", "m-1"}, id="the last good one"),
        pytest.param(
            0, Decision("m-8", lingering=frozenset({"m-2"})), {"m-8", "m-7", "m-2"}, id="what still passes requests on"
        ),
        pytest.param(2, Decision("m-8"), {"m-8", "m-7", "m-6", "m-5"}, id="the newest of the others"),
        pytest.param(99, Decision("m-8"), set(NAMES), id="all"),
        pytest.param(0, Decision(None, candidate="m-7"), {"m-7"}, id="at first"),
    ],
)
def test_kept(limit: int, decision: Decision, expected: set[str]) -> None:
    observation = an_observation(revisionHistoryLimit=limit).knows(*NAMES).asks_for("m-7").obj()

    assert kept(observation, decision) == expected
