"""Serves the models of a models file, each version with labels and metrics of its own."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from model_server import contract, cpus
from model_server.classes import class_count
from model_server.dataplane.many_models import ManyModels
from model_server.dataplane.reloading import Reloading
from model_server.dataplane.version import LoadedVersion
from model_server.journal import LABELS_FILE
from model_server.labelling import Revision, open_labelling
from model_server.logs import event
from model_server.opening import open_model
from model_server.tensors import DEFAULT_SIGNATURE
from model_server.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path

    from model_server.dataplane.servable import Labels
    from model_server.intake import Intake, Others
    from model_server.label_store import LabelStore
    from model_server.labelling import Labelling
    from model_server.metrics import Several
    from model_server.prediction_id import KeyRing
    from model_server.settings import ServeSettings


class SeveralModels:
    """The models that a file names, and their versions as they come and go."""

    def __init__(self, file: Path, loader: Loader) -> None:
        self.catalog = ManyModels()
        self._loader = loader
        self._reloading = Reloading(file, self.catalog, loader.load)

    async def load(self) -> None:
        """Load all that is there now. Raises `StartError` if the file is wrong."""
        self._loader.take_up()
        await self._reloading.look()
        event("serving", models=", ".join(self.catalog.models()))

    async def follow(self) -> None:
        """Load what comes, for ever."""
        await self._reloading.run()


class Loader:
    """Loads versions for `Reloading`."""

    def __init__(
        self,
        settings: ServeSettings,
        keys: KeyRing,
        others: Others,
        store: LabelStore | None,
        here: MutableMapping[bytes, Intake],
        metrics: Several,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._others = others
        self._store = store
        self._here = here
        self._metrics = metrics
        self._labellings: dict[tuple[str, int], Labelling] = {}
        """Of all versions that were ever loaded: labels come when a version is gone, too, and it may come back."""

    def take_up(self) -> None:
        """Go on counting for all versions that a former run of this container has served. Raises `StartError`."""
        for file in sorted(self._settings.place.state_dir.glob(f"*/*/{LABELS_FILE}")):
            if file.parent.name.isdecimal():
                self._labelling(file.parent.parent.name, int(file.parent.name))

    async def load(self, name: str, number: int, folder: Path) -> tuple[LoadedVersion, Labels]:
        """Load a version of a model from a folder. Raises `StartError`."""
        settings, started = self._settings, time.monotonic()
        opened = partial(open_model, folder, None, settings.extra_ops, settings.batching, tried=False)
        model = await in_thread(opened, "load")
        labelling = self._labelling(name, number)
        loaded = LoadedVersion(
            name, number, _revision(name, number), model, labelling, settings.batching, max(2, cpus.available())
        )
        classes = class_count(model.signatures[DEFAULT_SIGNATURE])
        labelling.metrics.watch(loaded.batcher, time.monotonic() - started, classes)
        return loaded, labelling.intake

    def _labelling(self, name: str, number: int) -> Labelling:
        labelling = self._labellings.get((name, number))
        if labelling is None:
            folder = self._settings.place.state_dir / name / str(number)
            revision = Revision(name, _revision(name, number), None, folder)
            others = replace(self._others, path=contract.FEEDBACK_PATH_TEMPLATE.format(model=name))
            labelling = open_labelling(self._settings, revision, self._keys, others, self._store, self._here)
            self._labellings[name, number] = labelling
            self._metrics.add(name, number, labelling.metrics)
        return labelling


def _revision(name: str, number: int) -> str:
    return f"{name}-{number}"
