"""Serves one version of one model, as a pod of the operator does."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from model_server import cpus
from model_server.classes import class_count
from model_server.contract import Env, StartFailure
from model_server.dataplane.one_model import OneModel
from model_server.dataplane.version import LoadedVersion
from model_server.errors import StartError
from model_server.logs import event
from model_server.opening import open_model
from model_server.tensors import DEFAULT_SIGNATURE
from model_server.threads import in_thread

if TYPE_CHECKING:
    from model_server.labelling import Labelling
    from model_server.settings import ServeSettings
    from model_server.tensors import Model


class One:
    """The model that the environment names."""

    def __init__(self, settings: ServeSettings, labelling: Labelling) -> None:
        self._settings = settings
        self._labelling = labelling
        self.catalog = OneModel(settings.model, int(settings.version), settings.revision, labelling.intake)

    async def load(self) -> None:
        """Load the model. Raises `StartError`."""
        started = time.monotonic()
        model = await in_thread(self._open, "load")
        self.begin(model, max(2, cpus.available()), load_seconds=time.monotonic() - started)

    async def follow(self) -> None:
        """Do nothing: another version is another pod."""

    def begin(self, model: Model, threads: int, *, load_seconds: float) -> None:
        """Answer predictions with this model from now on."""
        settings, labelling = self._settings, self._labelling
        loaded = LoadedVersion(
            settings.model, int(settings.version), settings.revision, model, labelling, settings.batching, threads
        )
        labelling.metrics.watch(loaded.batcher, load_seconds, class_count(model.signatures[DEFAULT_SIGNATURE]))
        self.catalog.loaded = loaded
        event("serving", model=settings.model, revision=settings.revision, seconds=round(load_seconds, 2))

    def _open(self) -> Model:
        settings = self._settings
        model = open_model(settings.place.model_dir, settings.format, settings.extra_ops, settings.batching, tried=True)
        classes = class_count(model.signatures[DEFAULT_SIGNATURE])
        if settings.labels is not None and classes is not None and len(settings.labels) != classes:
            raise StartError(
                StartFailure.BAD_SETTINGS,
                f"{Env.MODEL_LABELS} has {len(settings.labels)} names, but the model tells {classes} classes apart",
            )
        return model
