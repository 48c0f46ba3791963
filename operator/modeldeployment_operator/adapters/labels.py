"""Reads the labels of a ModelDeployment from where its user wants them read: its pods, Prometheus, or others' counters.

Whatever the source, the pods themselves are asked where they send requests while more than one revision runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from modeldeployment_operator.adapters.keys import KeyRing
from modeldeployment_operator.adapters.pods import Pods
from modeldeployment_operator.adapters.prometheus import Prometheus
from modeldeployment_operator.adapters.queries import Queries
from modeldeployment_operator.adapters.telemetry import Telemetry
from modeldeployment_operator.api.spec import LabelSource
from modeldeployment_operator.core.observation import Key, Observation, Sample
from modeldeployment_operator.core.schedule import (
    RETRY_INTERVAL,
    asking_interval,
    patience,
    reads_prometheus,
    sampling_interval,
    source_of,
)
from modeldeployment_operator.core.silence import Silence
from modeldeployment_operator.core.validity import sift


class Labels:
    """Remembers when pods were asked last, and since when nothing can be read."""

    def __init__(
        self,
        pods: Pods,
        prometheus: Prometheus,
        queries: Queries,
        keys: KeyRing,
        telemetry: Telemetry,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._pods = pods
        self._prometheus = prometheus
        self._queries = queries
        self._keys = keys
        self._telemetry = telemetry
        self._now = now
        self._monotonic = monotonic
        self._asked: dict[Key, float] = {}
        self._silences: dict[Key, Silence] = {}
        self._invalid: dict[Key, dict[str, str]] = {}

    async def read(self, observation: Observation, sampled: float | None) -> Observation:
        """Return the observation with samples, if it is time for some. The last were used at `sampled`."""
        self._choose(observation)
        if reads_prometheus(observation):
            await self._watch_rotation(observation)
        interval = self._interval(observation)
        if interval is None or not self._is_due(interval, sampled):
            silence = self._silence(observation.key)
            invalid = self._invalid.get(observation.key, {})
            uncounted = self._queries.uncounted(observation.key)
            seen = replace(observation, silence=silence.problem, invalid=invalid, uncounted=uncounted)
            return replace(seen, unread=frozenset(silence.since))
        samples, problem = await self._ask(observation, interval / 2)
        if problem:
            self._telemetry.sample_failures.labels(source_of(observation)).inc()
        return self._with_samples(observation, samples, problem)

    def next_look(self, observation: Observation, sampled: float | None) -> timedelta | None:
        """Return in what time there is something to ask; None if there will not be."""
        waits = [
            self._wait(self._interval(observation), sampled),
            self._wait(asking_interval(observation), self._asked.get(observation.key)),
        ]
        return min((wait for wait in waits if wait is not None), default=None)

    def forget(self, key: Key) -> None:
        """Forget a ModelDeployment that is gone."""
        self._asked.pop(key, None)
        self._silences.pop(key, None)
        self._invalid.pop(key, None)
        self._prometheus.forget(key)
        self._queries.forget(key)

    def _choose(self, observation: Observation) -> None:
        """Ask Prometheus for what is read from there, and for nothing else any more."""
        source = source_of(observation)
        if source is LabelSource.PROMETHEUS:
            self._prometheus.wish(observation)
        else:
            self._prometheus.forget(observation.key)
        if source is not LabelSource.QUERY:
            self._queries.forget(observation.key)

    async def _ask(self, observation: Observation, age: timedelta) -> tuple[dict[str, Sample], str | None]:
        """Return what is counted, none of it older than `age`, and why some of it cannot be read."""
        accuracy = observation.spec.accuracy
        if accuracy is not None and accuracy.query is not None:
            return await self._queries.sample(observation, accuracy.query, age)
        if reads_prometheus(observation):
            return await self._prometheus.sample(observation, age)
        return await self._ask_pods(observation)

    async def _watch_rotation(self, observation: Observation) -> None:
        """Ask the pods where they send requests, if it is time."""
        if self._is_due(asking_interval(observation), self._asked.get(observation.key)):
            self._asked[observation.key] = self._monotonic()
            await self._ask_pods(observation)

    async def _ask_pods(self, observation: Observation) -> tuple[dict[str, Sample], str | None]:
        token = self._keys.of(observation.uid).admin
        samples, silence = await self._pods.sample(observation.key, observation.pods, token)
        return samples, silence and f"{silence}; the operator must reach the pods' admin port"

    def _with_samples(self, observation: Observation, samples: dict[str, Sample], problem: str | None) -> Observation:
        seconds = self._monotonic()
        samples, invalid = sift(samples)
        problem = problem or next(iter(invalid.values()), None)
        self._invalid[observation.key] = invalid
        silence = self._silence(observation.key).after(observation.pods, samples, problem, seconds)
        self._silences[observation.key] = silence
        mends = self._prometheus.is_set or not reads_prometheus(observation)
        lasting = silence.lasting(patience(observation) if mends else timedelta(0), seconds)
        return replace(
            observation,
            samples=samples,
            silence=problem,
            silent=lasting,
            invalid=invalid,
            unread=frozenset(silence.since),
            uncounted=self._queries.uncounted(observation.key),
            now=self._now(),
        )

    def _interval(self, observation: Observation) -> timedelta | None:
        """Return how often labels are to be read as things are; None if there are none."""
        interval = sampling_interval(observation)
        if interval is None or not self._silence(observation.key).since:
            return interval
        return min(interval, RETRY_INTERVAL)

    def _silence(self, key: Key) -> Silence:
        return self._silences.get(key, Silence())

    def _is_due(self, interval: timedelta | None, last: float | None) -> bool:
        return self._wait(interval, last) == timedelta(0)

    def _wait(self, interval: timedelta | None, last: float | None) -> timedelta | None:
        """Return in what time something is due that was done `last`; None if it is not to be done."""
        if interval is None or last is None:
            return None if interval is None else timedelta(0)
        return max(timedelta(0), interval - timedelta(seconds=self._monotonic() - last))
