"""Keeps the models of a models file loaded: new versions come, old ones go, and no request notices.

A version is loaded and has answered before it is found by anyone, and the one that it replaces goes only then, once its
last request is answered. A version that cannot be loaded is told in the model's status; what serves goes on serving.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from model_server.dataplane.many_models import Entry, Versions
from model_server.dataplane.servable import VersionState
from model_server.errors import StartError
from model_server.logs import event, logger, warning
from model_server.models_file import read_models_file

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from model_server.dataplane.many_models import ManyModels
    from model_server.dataplane.servable import Labels
    from model_server.dataplane.version import LoadedVersion
    from model_server.models_file import ModelConfig

    Load = Callable[[str, int, Path], Awaitable[tuple[LoadedVersion, Labels]]]
    """Loads a version of a model from a folder. Raises `StartError`."""

POLL_SECONDS: Final = 1.0
"""TensorFlow Serving's `file_system_poll_wait_seconds`."""
_END_STATES_KEPT: Final = 10
"""Of a model: versions that are gone and are still told of."""


class Reloading:
    """Follows a models file and the folders that it names."""

    def __init__(self, file: Path, catalog: ManyModels, load: Load) -> None:
        self._file = file
        self._catalog = catalog
        self._load = load
        self._configs: tuple[ModelConfig, ...] = ()
        self._read_at: int | None = None
        """When the file was changed that was read last, in nanoseconds."""
        self._failed: dict[Path, int] = {}
        """Folders that could not be loaded, and when something in them was changed: another change is a reason to try
    again, as one of a file that was still being copied."""

    async def run(self, poll_seconds: float = POLL_SECONDS) -> None:
        """Follow for ever."""
        while True:
            await asyncio.sleep(poll_seconds)
            try:
                await self.look()
            except Exception:  # Whatever it is, the next look may go better, and what serves goes on serving.
                logger.exception("the models could not be looked at")

    async def look(self) -> None:
        """Do what is to be done now. Raises `StartError` if the file is wrong and none was ever right."""
        self._read_file()
        for name in set(self._catalog.by_name) - {config.name for config in self._configs}:
            await self._unload_others(name, set())
            self._catalog.by_name.pop(name, None)
        for config in self._configs:
            present = config.present()
            wanted = config.policy.choose(present)
            versions = self._catalog.by_name.setdefault(config.name, Versions())
            for number in sorted(wanted, reverse=True):
                entry = versions.entries.get(number)
                if entry is None or entry.state is VersionState.END:
                    await self._load_version(config.name, number, present[number])
            # What serves stays until all that should replace it is there.
            if all(versions.entries[number].state is VersionState.AVAILABLE for number in wanted) and wanted:
                await self._unload_others(config.name, wanted)
            versions.version_labels = config.version_labels

    def _read_file(self) -> None:
        changed = _changed(self._file)
        if changed == self._read_at:
            return
        self._read_at = changed
        try:
            self._configs = read_models_file(self._file)
        except StartError as error:
            if not self._configs:
                raise
            warning("the models file is wrong: the models stay as they are", reason=error.message)

    async def _load_version(self, name: str, number: int, folder: Path) -> None:
        entries, changed = self._catalog.by_name[name].entries, _changed_below(folder)
        if number in entries and self._failed.get(folder) == changed:
            return
        entry = entries.setdefault(number, Entry())
        entry.state, entry.error = VersionState.LOADING, ""
        try:
            entry.loaded, entry.labels = await self._load(name, number, folder)
        except Exception as error:
            if not isinstance(error, StartError):
                logger.exception("a version could not be loaded for a reason that was not foreseen")
            self._failed[folder] = changed
            entry.state, entry.error = VersionState.END, getattr(error, "message", "internal error: see the pod's log")
            warning("a version could not be loaded", model=name, version=number, reason=entry.error)
            return
        self._failed.pop(folder, None)
        entry.state = VersionState.AVAILABLE
        event("version available", model=name, version=number)

    async def _unload_others(self, name: str, wanted: set[int]) -> None:
        entries = self._catalog.by_name[name].entries
        for number, entry in list(entries.items()):
            if number not in wanted and entry.loaded is not None:
                entry.state = VersionState.UNLOADING
                loaded, entry.loaded = entry.loaded, None
                await loaded.close()
                entry.state = VersionState.END
                event("version unloaded", model=name, version=number)
        gone = sorted(number for number, entry in entries.items() if entry.state is VersionState.END)
        for number in gone[:-_END_STATES_KEPT]:
            del entries[number]


def _changed(path: Path) -> int:
    """When a file or folder was changed, in nanoseconds; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _changed_below(folder: Path) -> int:
    """When a folder or anything in it was changed last, in nanoseconds."""
    try:
        return max(map(_changed, (folder, *folder.rglob("*"))))
    except OSError:  # A folder went while it was looked at.
        return 0
