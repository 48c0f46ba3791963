"""Labels that cannot be read: when it is told, and what it does to verdicts meanwhile (nothing)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modeldeployment_operator.api.status import Verdict
from modeldeployment_operator.core.judgement import judge
from modeldeployment_operator.core.observation import Sample
from modeldeployment_operator.core.promql import wish_of
from modeldeployment_operator.core.schedule import patience
from modeldeployment_operator.core.silence import Silence

from tests.support.observations import a_pod, a_sample, an_observation, evidence

PODS = (a_pod("m-1"), a_pod("m-1", 1), a_pod("m-2"))
PATIENCE = timedelta(seconds=20)


def heard(*uids: str) -> dict[str, Sample]:
    return {uid: a_sample(uid, 1, 0) for uid in uids}


def test_it_begins_with_the_first_look_that_fails() -> None:
    silence = Silence().after(PODS, heard("m-1-pod-1"), "no route", 100.0)

    assert silence == Silence({"m-2": 100.0}, "no route")
    assert silence.lasting(PATIENCE, 119.9) == frozenset()
    assert silence.lasting(PATIENCE, 120.0) == {"m-2"}
    assert silence.after(PODS, heard(), "no route", 110.0).since == {"m-1": 110.0, "m-2": 100.0}


def test_it_ends_with_the_first_look_that_does_not() -> None:
    silence = Silence({"m-1": 100.0, "m-2": 100.0}, "no route").after(PODS, heard("m-2-pod-0"), "no route", 130.0)

    assert silence.since == {"m-1": 100.0}
    assert silence.after(PODS, heard("m-1-pod-0", "m-2-pod-0"), None, 140.0) == Silence()


def test_pods_that_do_not_run_are_not_silent() -> None:
    assert Silence().after([a_pod("m-1", running=False)], heard(), None, 100.0) == Silence()
    assert Silence({"m-1": 100.0}).after((), heard(), None, 130.0) == Silence()


@pytest.mark.parametrize(
    ("accuracy", "monitor", "seconds"),
    [
        pytest.param({}, {}, 20, id="two looks"),
        pytest.param({"sampleInterval": "1h"}, {}, 60, id="a minute at most"),
        pytest.param({"source": "Prometheus"}, {}, 20 + 60, id="and two scrapes"),
        pytest.param({"source": "Prometheus", "sampleInterval": "1s"}, {"interval": "5s"}, 2 + 10, id="all quick"),
        pytest.param({"source": "Prometheus"}, {"interval": "2m"}, 20 + 240, id="scrapes that are seldom"),
    ],
)
def test_how_long_it_may_last_untold(accuracy: dict[str, Any], monitor: dict[str, Any], seconds: int) -> None:
    observation = an_observation(accuracy={"minimum": 0.9} | accuracy, monitoring={"serviceMonitor": monitor}).obj()

    assert patience(observation) == timedelta(seconds=seconds)


@pytest.mark.parametrize("interval", [15, 60, 120])
def test_pods_that_are_scraped_seldom_are_not_silent(interval: int) -> None:
    """The first scrape comes late, and what it said is looked back at for so long and no longer."""
    monitor = {"interval": f"{interval}s"}
    observation = an_observation(
        accuracy={"minimum": 0.9, "source": "Prometheus"}, monitoring={"serviceMonitor": monitor}
    ).obj()
    window, silence = wish_of(observation.key, observation.spec).window, Silence()
    for now in range(0, 3600, 10):
        seen = now >= interval and now % interval < window
        silence = silence.after([a_pod("m-1")], heard("m-1-pod-0") if seen else heard(), "not scraped", now)
        assert not silence.lasting(patience(observation), now)


JUDGED = an_observation().serving("m-1", evidence=evidence(50, 3), verdict=Verdict.HEALTHY).ready("m-1")


def test_a_look_that_fails_changes_nothing() -> None:
    before, failed = JUDGED.obj(), JUDGED.having(samples={}, silence="no route").obj()

    assert judge(failed) == judge(before)
    assert judge(failed)["m-1"].verdict is Verdict.HEALTHY


def test_silence_that_lasts_is_told_and_what_was_known_is_kept() -> None:
    known = judge(JUDGED.obj())["m-1"]
    silent = judge(JUDGED.having(samples={}, silent=frozenset({"m-1"})).obj())["m-1"]

    assert (silent.verdict, silent.known) == (Verdict.UNAVAILABLE, Verdict.HEALTHY)
    assert (silent.state, silent.log_e) == (known.state, known.log_e)


def test_it_stays_told_until_something_is_read() -> None:
    told = JUDGED.serving("m-1", evidence=evidence(50, 3), verdict=Verdict.UNAVAILABLE)

    assert judge(told.obj())["m-1"].verdict is Verdict.UNAVAILABLE
    assert judge(told.having(samples={}).obj())["m-1"].verdict is Verdict.UNAVAILABLE, "an operator that just started"
    assert judge(told.having(samples=heard("m-1-pod-0")).obj())["m-1"].verdict is Verdict.HEALTHY


def test_silence_of_another_revision_is_its_own() -> None:
    both = JUDGED.standby("m-0", evidence=evidence(50, 3)).ready("m-0")
    judged = judge(both.having(samples=heard("m-1-pod-0"), silent=frozenset({"m-0"})).obj())

    assert {name: one.verdict for name, one in judged.items()} == {"m-1": Verdict.HEALTHY, "m-0": Verdict.UNAVAILABLE}


def test_once_degraded_it_stays_so_in_silence() -> None:
    degraded = an_observation().serving("m-1", evidence=evidence(30, 30), verdict=Verdict.DEGRADED).ready("m-1")

    judged = judge(degraded.having(samples={}, silent=frozenset({"m-1"})).obj())["m-1"]
    assert judged.verdict is Verdict.DEGRADED


@given(st.lists(st.booleans(), max_size=60))
def test_looks_that_fail_now_and_then_are_never_told(answers: list[bool]) -> None:
    """Unless three in a row fail, which is two intervals: nothing flaps with a source that does."""
    silence, row = Silence(), 0
    for look, answered in enumerate(answers):
        now = look * 10.0
        silence = silence.after(PODS, heard("m-1-pod-0", "m-2-pod-0") if answered else heard(), "no route", now)
        row = 0 if answered else row + 1
        assert bool(silence.lasting(PATIENCE, now)) is (row >= 3)
