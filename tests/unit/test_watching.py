"""Time in which nobody looked, as there was no operator, is no evidence of anything."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from modeldeployment_operator.api.status import Situation, Verdict
from modeldeployment_operator.core.decision import decide

from tests.support.observations import NOW
from tests.unit.test_gauge import TWO, Looks, says
from tests.unit.test_policies import BACK, HOURLY, SILENT, after, canary, read, then
from tests.unit.test_starting import FAILING, begun


@pytest.mark.parametrize("hours", [0, 1])
def test_a_gauge_has_to_be_seen_below_for_so_long(hours: int) -> None:
    looks = Looks(TWO)
    looks.look(says(m_2=0.5, m_1=0.95))
    looks.builder = looks.builder.having(watched_since=NOW + timedelta(hours=hours))
    looks.look(says(m_2=0.5, m_1=0.95), after=60)

    assert looks.verdict("m-2") is (Verdict.INCONCLUSIVE if hours else Verdict.DEGRADED)
    looks.look(says(m_2=0.5, m_1=0.95), after=6)
    assert looks.verdict("m-2") is Verdict.DEGRADED, "it was seen so long enough"


def test_an_operator_that_starts_gives_a_candidate_its_time() -> None:
    late = begun(FAILING, 600).obj()
    assert decide(late, {}).rejection is not None
    starts = replace(late, watched_since=NOW - timedelta(minutes=29))
    assert decide(starts, {}).rejection is None
    assert decide(replace(starts, now=NOW + timedelta(minutes=1)), {}).rejection is not None


def test_an_operator_that_starts_gives_a_source_its_time() -> None:
    builder = canary(sourceDown={"action": "RollBack", "after": "10m"})
    down = then(builder.obj(), SILENT, now=NOW + timedelta(minutes=20), watched_since=NOW + timedelta(minutes=19))
    assert decide(down, SILENT).rejection is None
    later = replace(down, now=NOW + timedelta(minutes=29))
    assert decide(later, SILENT).rejection is not None


def test_nobody_knows_what_came_while_nobody_looked() -> None:
    quiet = read(canary(5).spec(rollout=HOURLY).obj(), {"m-1": 900, "m-2": 80_000})
    started = replace(after(quiet, BACK, minutes=90), watched_since=NOW + timedelta(minutes=80))
    replaced = read(started, {"m-1": 950, "m-2": 7})
    assert decide(replaced, BACK).situations == ()
    silent = read(after(replaced, BACK, minutes=60), {"m-1": 950, "m-2": 7})
    assert [one.situation for one in decide(silent, BACK).situations] == [Situation.NO_TRAFFIC]


def test_a_pod_that_does_not_answer_now_and_then_brings_no_requests() -> None:
    observation = read(canary(5).spec(rollout=HOURLY).obj(), {"m-1": 900, "m-2": 7})
    pods = [pod for pod in observation.pods if pod.revision == "m-2"]
    for number in range(7):
        observation = read(after(observation, BACK, minutes=10), {"m-1": 900, "m-2": 7})
        samples = dict(observation.samples or {})
        if number % 2:
            samples.pop(pods[0].uid)
        observation = replace(observation, samples=samples)
    assert [one.situation for one in decide(observation, BACK).situations] == [Situation.NO_TRAFFIC]
