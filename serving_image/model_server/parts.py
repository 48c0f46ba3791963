"""What the front ends have in common: everything that answers requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from model_server.http.access import Access
from model_server.http.limits import Bodies
from model_server.traces import Tracing

if TYPE_CHECKING:
    from model_server.book import Book
    from model_server.dataplane.servable import Catalog
    from model_server.forwarder import Forwarder
    from model_server.label_store import LabelStore
    from model_server.metrics import Metrics, Several
    from model_server.passing import Seal
    from model_server.settings import ServeSettings
    from model_server.state import State


class Content(Protocol):
    """What is served."""

    @property
    def catalog(self) -> Catalog:
        """Where it is found."""

    async def load(self) -> None:
        """Have it answer. Raises `StartError`."""

    async def follow(self) -> None:
        """Keep it as it should be, for ever."""


@dataclass(slots=True)
class Parts:
    """What answers requests."""

    settings: ServeSettings
    state: State
    content: Content
    metrics: Metrics
    """Of requests, and of the model if there is one."""
    page: Metrics | Several
    """What Prometheus is told."""
    book: Book | None
    """What the operator is told; None where there are several models."""
    revision: str
    """What answers carry as the revision that made them; empty where there are several."""
    forwarder: Forwarder
    seal: Seal
    store: LabelStore | None = None
    bodies: Bodies = field(default_factory=Bodies)
    access: Access = field(default_factory=Access)
    tracing: Tracing = field(default_factory=Tracing)

    @property
    def catalog(self) -> Catalog:
        """Where models are found."""
        return self.content.catalog
