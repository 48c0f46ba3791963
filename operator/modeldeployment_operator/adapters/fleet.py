"""Reads all ModelDeployments at once, for whoever looks at the operator: Prometheus and people.

What was read stays read until it changes, and reading is done in a thread, so that looks do not hold up reconciles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from modeldeployment_operator.adapters.cache import Cache
from modeldeployment_operator.adapters.observe import Memory, current_status
from modeldeployment_operator.core.fleet import Model
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.resource import Resource


class Models(Protocol):
    """Whatever knows ModelDeployments."""

    async def models(self) -> list[Model]:
        """Return those that are told of."""


@dataclass(frozen=True)
class _Seen:
    """What a model was read from: resources are replaced, and so is a memory when there is news."""

    resource: Resource | None
    memory: Memory | None
    model: Model


class Fleet:
    """One for the process; asked from its event loop only."""

    def __init__(self, cache: Cache, memories: Mapping[Key, Memory]) -> None:
        self._cache = cache
        self._memories = memories
        self._seen: dict[Key, _Seen] = {}
        self._lock = asyncio.Lock()

    async def models(self) -> list[Model]:
        """Return all ModelDeployments that exist, each with the latest that is known of it, ordered by name."""
        async with self._lock:
            known = [(key, self._cache.get(key), self._memories.get(key)) for key in self._cache.known()]
            return await asyncio.to_thread(self._read, sorted(known, key=lambda one: one[0]))

    def _read(self, known: Iterable[tuple[Key, Resource | None, Memory | None]]) -> list[Model]:
        self._seen = {key: self._see(key, resource, memory) for key, resource, memory in known}
        return [seen.model for seen in self._seen.values()]

    def _see(self, key: Key, resource: Resource | None, memory: Memory | None) -> _Seen:
        seen = self._seen.get(key)
        if seen is not None and seen.resource is resource and seen.memory is memory:
            return seen
        return _Seen(resource, memory, Model(key, current_status(resource, memory)))


class Led:
    """What Prometheus is told: nothing of models by a replica that stands by, or each would be there twice."""

    def __init__(self, fleet: Fleet, leads: Callable[[], bool]) -> None:
        self._fleet = fleet
        self._leads = leads

    async def models(self) -> list[Model]:
        """Return all ModelDeployments that exist, if this replica acts."""
        return await self._fleet.models() if self._leads() else []
