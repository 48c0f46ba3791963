"""The catalog of a server with a models file: several models, and versions that come and go."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from model_server.dataplane.servable import VersionState, VersionStatus
from model_server.errors import InvalidArgument, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_server.dataplane.servable import Labels
    from model_server.dataplane.version import LoadedVersion


@dataclass(slots=True)
class Entry:
    """One version."""

    state: VersionState = VersionState.START
    error: str = ""
    loaded: LoadedVersion | None = None
    labels: Labels | None = None
    """Where labels of its predictions go; None before it was loaded for the first time."""


@dataclass(slots=True)
class Versions:
    """One model."""

    version_labels: Mapping[str, int] = field(default_factory=dict)
    entries: dict[int, Entry] = field(default_factory=dict)


class ManyModels:
    """A `Catalog`."""

    def __init__(self) -> None:
        self.by_name: dict[str, Versions] = {}

    def models(self) -> Sequence[str]:
        """Their names, also of those that are still loading."""
        return tuple(self.by_name)

    def find(self, model: str, version: int | None = None, label: str | None = None) -> LoadedVersion:
        """Find the version that is meant; without one, the newest that is available.

        Raises `NotFound`, `InvalidArgument` (no such label), or `Unavailable` while it loads.
        """
        versions = self._versions(model)
        if label is not None:
            version = self._labelled(model, versions, label)
        if version is None:
            available = [number for number, entry in versions.entries.items() if _is_available(entry)]
            version = max(available, default=None)
        entry = None if version is None else versions.entries.get(version)
        if entry is not None and entry.loaded is not None and _is_available(entry):
            return entry.loaded
        if any(each.state in (VersionState.START, VersionState.LOADING) for each in versions.entries.values()):
            raise Unavailable(f"the model {model} is still loading: try again")
        if version is None:
            raise NotFound(f"Servable not found for request: Latest({model}): no version of it is available")
        raise NotFound(f"Servable not found for request: Specific({model}, {version})")

    def states(self, model: str, version: int | None = None, label: str | None = None) -> Sequence[VersionStatus]:
        """Tell of a model's versions, the newest first. Raises `NotFound` or `InvalidArgument`."""
        versions = self._versions(model)
        if label is not None:
            version = self._labelled(model, versions, label)
        if version is not None and version not in versions.entries:
            raise NotFound(f"Could not find version {version} of model {model}")
        if not versions.entries:
            raise NotFound(f"Could not find any versions of model {model}")
        return [
            VersionStatus(number, entry.state, entry.error, _remark(entry))
            for number, entry in sorted(versions.entries.items(), reverse=True)
            if version in (None, number)
        ]

    def intake(self, model: str) -> Labels:
        """Find where labels of a model's predictions go: any version takes those of all. Raises `NotFound`."""
        versions = self._versions(model)
        for _, entry in sorted(versions.entries.items(), reverse=True):
            if entry.labels is not None:
                return entry.labels
        raise Unavailable(f"the model {model} is still loading: send the label again")

    def _versions(self, model: str) -> Versions:
        versions = self.by_name.get(model)
        if versions is None:
            have = ", ".join(self.by_name)
            raise NotFound(f"Servable not found for request: Latest({model}); this server has {have}")
        return versions

    @staticmethod
    def _labelled(model: str, versions: Versions, label: str) -> int:
        version = versions.version_labels.get(label)
        if version is None:
            have = ", ".join(versions.version_labels) or "none"
            raise InvalidArgument(f"Unrecognized servable version label: {label}; {model} has {have}")
        return version


def _is_available(entry: Entry) -> bool:
    return entry.state is VersionState.AVAILABLE


def _remark(entry: Entry) -> str:
    return f"no Prediction-Id: {entry.loaded.no_ids}" if entry.loaded is not None and entry.loaded.no_ids else ""
