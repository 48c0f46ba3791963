"""Asks Prometheus for the labels of all ModelDeployments that are judged from it, at once.

An answer is shared: whoever comes while it is new gets it, and whoever comes while one is on its way waits for it, but
not for long. So a thousand ModelDeployments cost a few queries now and then, and a Prometheus that hangs holds nobody
up: until it has answered, what it said last is what is known.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from modeldeployment_operator.adapters.prometheus_api import Address, PrometheusApi, TooLongError, UnreachableError
from modeldeployment_operator.core.errors import PrometheusError
from modeldeployment_operator.core.observation import Key, Observation, Sample
from modeldeployment_operator.core.promql import Targets, Wish, queries, read_answers, wish_of
from modeldeployment_operator.core.samples import samples_of

_log = logging.getLogger(__name__)

NOT_SET: Final = (
    "spec.accuracy.source is Prometheus, but the operator was told of none: set PROMETHEUS_URL among the operator's "
    "settings, or spec.accuracy.source to Pods"
)
MODELS_A_QUERY: Final = 200
"""So one answer is not too large for the memory, and reading it does not keep the operator from other work for long."""
SHORTEST_INTERVAL: Final = 2.0
"""Seconds between two rounds of queries."""
_PATIENCE: Final = 1.0
"""Seconds for which a reconcile waits for a round, from its beginning."""
_REST: Final = 9.0
"""Between two rounds passes at least so many times what the last one took."""
_LONGEST_REST: Final = 30.0
_SPLITS: Final = 32
"""Parts of a round that are asked for again in halves."""
_LONGEST_MESSAGE: Final = 300


@dataclass(frozen=True)
class Round:
    """What came of one round of queries."""

    ended: float
    took: float = 0.0
    targets: Mapping[Key, Targets] = field(default_factory=dict)
    """Of the ModelDeployments that were asked for and for which there was an answer."""
    failures: Mapping[Key, str] = field(default_factory=dict)
    """Of the others."""


class Prometheus:
    """Reads labels from a Prometheus, if there is one."""

    def __init__(
        self, address: Address | None, monotonic: Callable[[], float], observe_seconds: Callable[[float], object]
    ) -> None:
        self._api = PrometheusApi(address) if address else None
        self._monotonic = monotonic
        self._observe_seconds = observe_seconds
        self._wishes: dict[Key, Wish] = {}
        self._alone: set[Key] = set()
        self._last = Round(-float("inf"))
        self._running: asyncio.Task[None] | None = None
        self._began = 0.0

    async def close(self) -> None:
        """End what is on its way."""
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._api:
            await self._api.close()

    def wish(self, observation: Observation) -> None:
        """Ask for the labels of this ModelDeployment, too, from the next round on."""
        self._wishes[observation.key] = wish_of(observation.key, observation.spec)

    def forget(self, key: Key) -> None:
        """Ask for its labels no longer."""
        self._wishes.pop(key, None)
        self._alone.discard(key)

    @property
    def is_set(self) -> bool:
        """Whether there is one to be asked."""
        return self._api is not None

    async def sample(
        self, observation: Observation, age: timedelta = timedelta(0)
    ) -> tuple[dict[str, Sample], str | None]:
        """Return the counts of a ModelDeployment's pods by UID, and why those of some of them could not be read.

        What was said longer than `age` ago is asked for anew, as long as Prometheus answers.
        """
        if self._api is None:
            return {}, NOT_SET
        key = observation.key
        if self._running is None and self._is_due(key, age.total_seconds()):
            self._began = self._monotonic()
            self._running = asyncio.create_task(self._ask_all(self._api))
        if self._running is not None:
            patience = self._began + _PATIENCE - self._monotonic()
            await asyncio.wait({self._running}, timeout=max(0.0, patience))
        if key in self._last.targets:
            return samples_of(observation, self._last.targets[key])
        return {}, self._last.failures.get(key, "Prometheus has not answered yet")

    def _is_due(self, key: Key, age: float) -> bool:
        """Return whether the last answer is too old, or not of this ModelDeployment."""
        known = key in self._last.targets or key in self._last.failures
        pause = max(SHORTEST_INTERVAL, min(_REST * self._last.took, _LONGEST_REST), age if known else 0.0)
        return self._monotonic() - self._last.ended >= pause

    async def _ask_all(self, api: PrometheusApi) -> None:
        """Make one round."""
        targets: dict[Key, Targets] = {}
        failures: dict[Key, str] = {}
        try:
            await self._ask_in_parts(api, targets, failures)
        except Exception:
            _log.exception("an error in the operator itself: what Prometheus says is not taken in")
        finally:
            if failures and not self._last.failures:
                _log.warning("%d ModelDeployments are not judged: %s", len(failures), next(iter(failures.values())))
            now = self._monotonic()
            self._last = Round(now, now - self._began if targets else 0.0, targets, failures)
            self._running = None

    async def _ask_in_parts(self, api: PrometheusApi, targets: dict[Key, Targets], failures: dict[Key, str]) -> None:
        """Ask for some ModelDeployments at a time; for fewer, if the answer is too long."""
        waiting, too_long = self._parts(), 0
        while waiting:
            some = waiting.popleft()
            keys = [wish.key for wish in some]
            try:
                targets.update(dict.fromkeys(keys, await self._ask(api, queries(some))))
                self._alone.difference_update(keys)
            except UnreachableError as error:
                keys += [wish.key for others in waiting for wish in others]
                failures.update(dict.fromkeys(keys, str(error)))
                return
            except TooLongError as error:
                too_long += 1
                if len(some) > 1 and too_long <= _SPLITS:
                    waiting.extendleft([some[len(some) // 2 :], some[: len(some) // 2]])
                else:
                    self._alone.update(keys if len(keys) == 1 else ())
                    failures.update(dict.fromkeys(keys, str(error)))
            except PrometheusError as error:
                failures.update(dict.fromkeys(keys, str(error)))

    def _parts(self) -> deque[list[Wish]]:
        """Return which ModelDeployments are asked for at a time: those with too many series, each by itself."""
        wishes = [self._wishes[key] for key in sorted(self._wishes)]
        alone = [[wish] for wish in wishes if wish.key in self._alone]
        others = [wish for wish in wishes if wish.key not in self._alone]
        return deque([*(others[at : at + MODELS_A_QUERY] for at in range(0, len(others), MODELS_A_QUERY)), *alone])

    async def _ask(self, api: PrometheusApi, texts: Iterable[str]) -> Targets:
        began = self._monotonic()
        try:
            bodies = [await api.query(text) for text in texts]
            return await asyncio.to_thread(read_answers, bodies)
        except PrometheusError as error:
            raise type(error)(f"Prometheus at {api.url}: {str(error)[:_LONGEST_MESSAGE]}") from error
        finally:
            self._observe_seconds(self._monotonic() - began)
