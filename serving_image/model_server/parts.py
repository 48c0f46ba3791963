"""What the front ends have in common: everything that answers requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_server.classes import class_count
from model_server.dataplane.version import LoadedVersion
from model_server.http.access import Access
from model_server.http.limits import Bodies
from model_server.logs import event
from model_server.state import Phase
from model_server.tensors import DEFAULT_SIGNATURE
from model_server.traces import Tracing

if TYPE_CHECKING:
    from model_server.book import Book
    from model_server.dataplane.one_model import OneModel
    from model_server.forwarder import Forwarder
    from model_server.label_store import LabelStore
    from model_server.labelling import Labelling
    from model_server.metrics import Metrics
    from model_server.passing import Seal
    from model_server.settings import ServeSettings
    from model_server.state import State
    from model_server.tensors import Model


@dataclass(slots=True)
class Parts:
    """What answers requests."""

    settings: ServeSettings
    state: State
    catalog: OneModel
    book: Book
    metrics: Metrics
    labelling: Labelling
    forwarder: Forwarder
    seal: Seal
    store: LabelStore | None = None
    bodies: Bodies = field(default_factory=Bodies)
    access: Access = field(default_factory=Access)
    tracing: Tracing = field(default_factory=Tracing)

    def begin(self, model: Model, threads: int, *, load_seconds: float) -> None:
        """Answer predictions with this model from now on."""
        settings = self.settings
        loaded = LoadedVersion(
            settings.model,
            int(settings.version),
            settings.revision,
            model,
            self.labelling,
            settings.batching,
            threads,
        )
        self.metrics.watch(loaded.batcher, load_seconds, class_count(model.signatures[DEFAULT_SIGNATURE]))
        self.catalog.loaded = loaded
        self.state.phase = Phase.SERVING
        event("serving", model=settings.model, revision=settings.revision, seconds=round(load_seconds, 2))
