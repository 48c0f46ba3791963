"""What Kopf is used for: it watches, and each event is noted. Nothing is decided, patched or awaited here.

`on.event` is the one handler that writes nothing to the objects: others add annotations and finalizers, and a finalizer
would keep a ModelDeployment from being deleted while the operator is down (operator/decisions/).
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import kopf

from modeldeployment_operator.adapters.health import Heartbeat
from modeldeployment_operator.adapters.streams import Streams
from modeldeployment_operator.core import kinds
from modeldeployment_operator.core.kinds import Kind

Note = Callable[[Kind, Mapping[str, Any], bool], object]
"""Is told of an object, and whether it was deleted."""

WATCHED: Final = (kinds.MODEL_DEPLOYMENT,)
"""Children are many, and change often: to have Kopf tell of them costs five times what a reflector does (DESIGN.md)."""


async def watch(note: Note, streams: Streams, namespaces: Sequence[str], heartbeat: Heartbeat) -> None:
    """Run Kopf until it cannot go on."""
    beating = asyncio.create_task(heartbeat.keep())  # Before Kopf begins, which ends what begins after it.
    try:
        await kopf.operator(
            registry=register(note, streams),
            settings=configure(kopf.OperatorSettings()),
            clusterwide=not namespaces,
            namespaces=namespaces,
            standalone=True,
        )
    finally:
        beating.cancel()


def register(note: Note, streams: Streams) -> kopf.OperatorRegistry:
    """Return a registry whose handlers note every event of the watched kinds."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        server, session = await streams.open()
        return kopf.AiohttpSession(server=server, aiohttp_session=session)

    for kind in WATCHED:
        _note_events(registry, note, kind)
    return registry


def configure(settings: kopf.OperatorSettings) -> kopf.OperatorSettings:
    """Return Kopf's settings as measured (operator/DESIGN.md)."""
    settings.scanning.disabled = True  # No rights on CRDs and namespaces are needed.
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.queueing.idle_timeout = 0.2
    settings.watching.chunk_size = 100
    settings.watching.inactivity_timeout = 70  # An API server gives a sign of life each minute.
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60  # Of a list; a watch has the inactivity timeout.
    settings.networking.error_backoffs = _EndlessBackoffs()
    settings.networking.enforce_retry_after = True
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.process.ultimate_exiting_timeout = None  # It would kill the process; Kopf is only begun anew.
    return settings


def _note_events(registry: kopf.OperatorRegistry, tell: Note, kind: Kind) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"note-{kind.plural}")
    async def note(event: kopf.RawEvent, **_: Any) -> None:
        tell(kind, event["object"], event["type"] == "DELETED")


class _EndlessBackoffs:
    """Seconds between tries. With an end, Kopf would exit when an outage lasts longer."""

    def __iter__(self) -> Iterator[float]:
        for seconds in itertools.chain((0.5, 1, 2, 4), itertools.repeat(8)):
            yield seconds * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load.


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no copy of the last state of each object: nothing here compares with it."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return None
