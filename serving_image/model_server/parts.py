"""What the front ends have in common: everything that answers requests."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from model_server.http.access import Access
from model_server.http.limits import Bodies
from model_server.traces import Tracing

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.book import Book
    from model_server.copying import Copier
    from model_server.dataplane.servable import Catalog
    from model_server.forwarder import Forwarder
    from model_server.label_store import LabelStore
    from model_server.metrics import Metrics, Several
    from model_server.passing import Copied, Forwarded, Seal
    from model_server.settings import ServeSettings
    from model_server.shadows import Shadows
    from model_server.state import Standing, State
    from model_server.traces import Trace


class Content(Protocol):
    """What is served."""

    @property
    def catalog(self) -> Catalog:
        """Where it is found."""


class LoadedContent(Content, Protocol):
    """What is served by this process itself."""

    async def load(self) -> None:
        """Have it answer. Raises `StartError`."""

    async def follow(self) -> None:
        """Keep it as it should be, for ever."""


class RequestMetrics(Protocol):
    """Where requests are counted."""

    def observe_request(self, method: str, code: int, seconds: float, trace: Trace) -> None:
        """Note one answered request, with its trace as an example of such ones if it can be looked up."""

    def count_forwarded(self, outcome: Forwarded) -> None:
        """Count a request that was passed on."""

    def count_copied(self, outcome: Copied, number: int) -> None:
        """Count copies of requests."""


@dataclass(slots=True, kw_only=True)
class Parts:
    """What answers the requests of clients, in whatever process."""

    settings: ServeSettings
    state: Standing
    content: Content
    metrics: RequestMetrics
    revision: str
    """What answers carry as the revision that made them; empty where there are several."""
    forwarder: Forwarder
    seal: Seal
    copier: Copier
    chance: Callable[[], float] = random.random
    """Falls to a request, in [0, 1), and says whether it is one of a share."""
    bodies: Bodies = field(default_factory=Bodies)
    access: Access = field(default_factory=Access)
    tracing: Tracing = field(default_factory=Tracing)

    @property
    def catalog(self) -> Catalog:
        """Where models are found."""
        return self.content.catalog


@dataclass(slots=True, kw_only=True)
class ServerParts(Parts):
    """What the process that has the model has besides."""

    state: State
    content: LoadedContent
    metrics: Metrics
    """Of requests, and of the model if there is one."""
    page: Metrics | Several
    """What Prometheus is told."""
    book: Book | None
    """What the operator is told; None where there are several models."""
    shadows: Shadows
    """What is known of the answers to copies."""
    store: LabelStore | None = None
