"""What Kopf is used for: it watches, and each event is noted. Nothing is decided, patched or awaited here.

`on.event` is the one handler that writes nothing to the objects: others add annotations and finalizers, and a finalizer
would keep a ModelDeployment from being deleted while the operator is down (operator/decisions/).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import kopf

from modeldeployment_operator.core import kinds, names
from modeldeployment_operator.core.kinds import Kind
from modeldeployment_operator.engine import Engine


def register(engine: Engine) -> kopf.OperatorRegistry:
    """Return a registry whose handlers note every event of the watched kinds."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(kopf.login_with_service_account)
    kopf.on.login(registry=registry)(kopf.login_with_kubeconfig)
    for kind in (kinds.MODEL_DEPLOYMENT, *kinds.WATCHED):
        _note_events(registry, engine, kind)
    return registry


def configure(settings: kopf.OperatorSettings) -> kopf.OperatorSettings:
    """Return Kopf's settings as measured (operator/DESIGN.md)."""
    settings.scanning.disabled = True  # No rights on CRDs and namespaces are needed.
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.queueing.idle_timeout = 0.2
    settings.watching.chunk_size = 100
    settings.networking.error_backoffs = _EndlessBackoffs()
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.process.ultimate_exiting_timeout = 10
    for kind in kinds.WATCHED:
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = names.SELECTOR
    return settings


def _note_events(registry: kopf.OperatorRegistry, engine: Engine, kind: Kind) -> None:
    @kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=f"note-{kind.plural}")
    async def note(event: kopf.RawEvent, **_: Any) -> None:
        engine.note(kind, event["object"], deleted=event["type"] == "DELETED")


class _EndlessBackoffs:
    """Seconds between tries. With an end, Kopf would exit when an outage lasts longer."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.5, 1, 2, 4)
        while True:
            yield 8


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no copy of the last state of each object: nothing here compares with it."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        return None
