"""Reads labels that others count, by the queries of each ModelDeployment's user.

A query is one model's own, and its answer is waited for a short while only: a Prometheus that hangs, or one user's slow
query, holds nobody up. After one that was not answered, none is sent to that Prometheus for a moment.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from modeldeployment_operator.adapters.prometheus_api import (
    Address,
    PrometheusApi,
    RefusedQueryError,
    UnreachableError,
)
from modeldeployment_operator.api.query import Query
from modeldeployment_operator.core import answers
from modeldeployment_operator.core.errors import PrometheusError
from modeldeployment_operator.core.observation import Key, Observation, Sample
from modeldeployment_operator.core.passing import ANSWERS_ITSELF
from modeldeployment_operator.core.selectors import distinguishing, filled
from modeldeployment_operator.core.tallies import Counted, Labels, Tally, count, processes
from modeldeployment_operator.core.text import precise

_log = logging.getLogger(__name__)

NOT_SET: Final = (
    "spec.accuracy.source is Query, but the operator was told of no Prometheus: set PROMETHEUS_URL among the "
    "operator's settings, or spec.accuracy.source to Pods"
)
WINDOW: Final = "5m"
"""What Prometheus itself looks back for a value, unless told otherwise."""
PAUSE: Final = 5.0
"""Seconds for which nothing is asked after a query that was not answered."""
_AT_A_TIME: Final = 8
_PATIENCE: Final = 1.0
"""Seconds for which a reconcile waits for an answer."""
_LONGEST_MESSAGE: Final = 300


@dataclass
class _Known:
    """What is known of one ModelDeployment's counters; losing it costs the labels of one scrape."""

    digest: str
    tallies: dict[str, Mapping[Labels, Tally]] = field(default_factory=dict)
    """By revision."""
    samples: dict[str, Sample] = field(default_factory=dict)
    uncounted: frozenset[str] = frozenset()
    counted: set[str] = field(default_factory=set)
    """Revisions that there were counters of."""
    problem: str | None = "Prometheus has not answered yet"
    asked: float = -float("inf")
    running: asyncio.Task[None] | None = None


class Queries:
    """Reads counters from a Prometheus, if there is one."""

    def __init__(
        self, address: Address | None, monotonic: Callable[[], float], observe_seconds: Callable[[float], object]
    ) -> None:
        self._api = PrometheusApi(address) if address else None
        self._monotonic = monotonic
        self._observe_seconds = observe_seconds
        self._known: dict[Key, _Known] = {}
        self._slots = asyncio.Semaphore(_AT_A_TIME)
        self._fault: tuple[float, UnreachableError] | None = None

    async def close(self) -> None:
        """End what is on its way."""
        running = [one.running for one in self._known.values() if one.running]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        if self._api:
            await self._api.close()

    @property
    def is_set(self) -> bool:
        """Whether there is one to be asked."""
        return self._api is not None

    def forget(self, key: Key) -> None:
        """Forget a ModelDeployment that has no query any more."""
        known = self._known.pop(key, None)
        if known and known.running:
            known.running.cancel()

    def uncounted(self, key: Key) -> frozenset[str]:
        """Return revisions of which Prometheus said at the last look that nothing is counted, and never had."""
        known = self._known.get(key)
        return known.uncounted if known else frozenset()

    async def sample(
        self, observation: Observation, query: Query, age: timedelta
    ) -> tuple[dict[str, Sample], str | None]:
        """Return the counts by process, and why those of some of them could not be read.

        What was asked for longer than `age` ago is asked for anew.
        """
        if self._api is None:
            return {}, NOT_SET
        key = observation.key
        known = self._known.get(key)
        if known is None or known.digest != query.digest:
            self.forget(key)
            known = self._known[key] = _Known(query.digest)
        if known.running is None and self._monotonic() - known.asked >= age.total_seconds():
            known.asked = self._monotonic()
            known.running = asyncio.create_task(self._ask_all(self._api, observation, query, known))
        if known.running is not None:
            await asyncio.wait({known.running}, timeout=_PATIENCE)
        return known.samples, known.problem

    async def _ask_all(self, api: PrometheusApi, observation: Observation, query: Query, known: _Known) -> None:
        """Ask for each revision that runs."""
        revisions = sorted({pod.revision for pod in observation.pods if pod.running})
        samples: dict[str, Sample] = {}
        problem = lacking = None
        uncounted: set[str] = set()
        tallies: dict[str, Mapping[Labels, Tally]] = {}
        try:
            for revision in revisions:
                before = known.tallies.get(revision, {})
                tallies[revision] = before
                try:
                    if query.gauge is not None:
                        body = await self._ask(api, filled(query.gauge, observation.key, revision))
                        samples[revision] = _gauge(revision, answers.gauge(body))
                        continue
                    counted = await self._count(api, observation.key, query, revision, before)
                except PrometheusError as error:
                    problem = problem or f"Prometheus at {api.url}: {str(error)[:_LONGEST_MESSAGE]}"
                    continue
                tallies[revision] = counted.tallies
                if not counted.nothing:
                    known.counted.add(revision)
                elif revision not in known.counted and not _was_counted(observation, revision):
                    uncounted.add(revision)
                    lacking = lacking or counted.problem
                    continue
                problem = problem or counted.problem
                samples |= _samples(revision, counted)
        except Exception:
            _log.exception(
                "an error in the operator itself: what Prometheus says of %s is not taken in", observation.key
            )
            problem = "an error in the operator itself; its log has it"
        finally:
            known.tallies, known.samples, known.problem, known.running = tallies, samples, problem or lacking, None
            known.uncounted = frozenset(uncounted)

    async def _count(
        self, api: PrometheusApi, key: Key, query: Query, revision: str, known: Mapping[Labels, Tally]
    ) -> Counted:
        """Return what is known of a revision's counters after another look.

        Correct is asked for first: a scrape that it has is there as a whole, in what is asked for then.
        """
        correct, total = [
            answers.samples(await self._ask(api, f"{filled(selector or '', key, revision)}[{WINDOW}]"))
            for selector in (query.correct, query.total)
        ]
        found = processes(correct, total, distinguishing(query))
        now = 0.0 if found.keys() <= known.keys() else answers.scalar(await self._ask(api, "time()"))
        return count(known, found, now)

    async def _ask(self, api: PrometheusApi, text: str) -> bytes:
        async with self._slots:
            if self._fault and self._monotonic() - self._fault[0] < PAUSE:
                raise self._fault[1]
            began = self._monotonic()
            try:
                body = await api.query(text)
            except RefusedQueryError:
                raise
            except UnreachableError as error:
                self._fault = self._monotonic(), error
                raise
            finally:
                self._observe_seconds(self._monotonic() - began)
            self._fault = None
            return body


def _was_counted(observation: Observation, revision: str) -> bool:
    """Return whether labels of a revision were counted before this operator began."""
    states = (one.evidence for one in observation.status.revisions if one.name == revision)
    return any(state is not None and state.right + state.wrong > 0 for state in states)


def _gauge(revision: str, value: float) -> Sample:
    return Sample(revision, revision, "", 0, 0, 0, 0, 0, ANSWERS_ITSELF, gauge=value)


def _samples(revision: str, counted: Counted) -> dict[str, Sample]:
    """Return what was added up, as if each process was a pod."""
    samples = {}
    for labels in counted.readable:
        tally = counted.tallies[labels]
        uid = hashlib.sha256(repr((revision, sorted(labels))).encode()).hexdigest()[:32]
        samples[uid] = Sample(
            pod_uid=uid,
            revision=revision,
            started=precise(datetime.fromtimestamp(tally.since, UTC)),
            correct=tally.correct,
            wrong=tally.total - tally.correct,
            true_positive=0,
            false_positive=0,
            false_negative=0,
            passing=ANSWERS_ITSELF,
        )
    return samples
