"""When labels are read, and when it is told that they cannot be."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from modeldeployment_operator.adapters.keys import KeyRing
from modeldeployment_operator.adapters.labels import Labels
from modeldeployment_operator.adapters.pods import Pods
from modeldeployment_operator.adapters.prometheus import Prometheus
from modeldeployment_operator.adapters.queries import Queries
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.core.observation import Observation, Sample
from prometheus_client import CollectorRegistry

from tests.support.clock import Clock
from tests.support.observations import a_sample, an_observation

ACCURACY = {"minimum": 0.9, "source": "Prometheus", "sampleInterval": "1h"}
HOURLY = an_observation(accuracy=ACCURACY, monitoring={"serviceMonitor": {"interval": "5s"}}).serving("m-1")
READ = {"m-1-pod-0": a_sample("m-1-pod-0", 5, 1)}


class Source:
    """Takes the place of a Prometheus."""

    is_set = True

    def __init__(self) -> None:
        self.ages: list[timedelta] = []
        self.answers = True

    def wish(self, observation: Observation) -> None:
        """Know already what will be asked."""

    async def sample(self, _: Observation, age: timedelta) -> tuple[dict[str, Sample], str | None]:
        self.ages.append(age)
        return (READ, None) if self.answers else ({}, "it is down")


async def test_what_could_not_be_read_is_tried_again_soon_however_seldom_it_is_read() -> None:
    clock, source, seen = Clock(), Source(), HOURLY.ready("m-1", 1, of=1).obj()
    telemetry = Telemetry(CollectorRegistry())
    labels = Labels(
        cast("Pods", None),
        cast("Prometheus", source),
        Queries(None, clock, float),
        KeyRing(b"root"),
        telemetry,
        now=lambda: seen.now,
        monotonic=clock,
    )

    async def look() -> tuple[Observation, float]:
        found, sampled = await labels.read(seen, None), clock()
        wait = labels.next_look(seen, sampled)
        assert wait is not None
        clock.seconds += wait.total_seconds() - 1
        assert (await labels.read(seen, sampled)).samples is None, "it is not time"
        clock.seconds += 1
        return found, wait.total_seconds()

    assert (await look())[1] == 3600
    source.answers = False
    failed = [await look() for _ in range(4)]
    source.answers = True
    back, wait = await look()

    assert [wait for _, wait in failed] == [30, 30, 30, 30]
    assert [found.silent for found, _ in failed] == [set(), set(), set(), {"m-1"}], "after a minute and two scrapes"
    assert (back.samples, back.silent, wait) == (READ, frozenset(), 3600)
    assert [age.total_seconds() for age in source.ages] == [1800, 1800, 15, 15, 15, 15]
