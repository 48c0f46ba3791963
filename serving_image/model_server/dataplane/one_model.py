"""The catalog of a pod of the operator: one version of one model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from model_server.dataplane.servable import Servable, VersionState, VersionStatus
from model_server.errors import InvalidArgument, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_server.dataplane.servable import Labels


class Loaded(Servable, Protocol):
    """A version that can tell why its predictions get no ids, if they do not."""

    @property
    def no_ids(self) -> str | None:
        """Why."""


class OneModel:
    """A `Catalog`. The one label of the version is the name of its revision."""

    def __init__(self, model: str, version: int, revision: str, labels: Labels) -> None:
        self._model = model
        self._version = version
        self._revision = revision
        self._labels = labels
        self.loaded: Loaded | None = None
        """None until the model is loaded."""

    def models(self) -> Sequence[str]:
        """Their names, also of those that are still loading."""
        return (self._model,)

    def find(self, model: str, version: int | None = None, label: str | None = None) -> Loaded:
        """Find the version that is meant.

        Raises `NotFound`, `InvalidArgument` (no such label), or `Unavailable` while it loads.
        """
        self._check(model, version, label)
        if self.loaded is None:
            raise Unavailable("the model is still loading: try again")
        return self.loaded

    def states(self, model: str, version: int | None = None, label: str | None = None) -> Sequence[VersionStatus]:
        """Tell of the version. Raises `NotFound` or `InvalidArgument`."""
        self._check(model, version, label)
        if self.loaded is None:
            return (VersionStatus(self._version, VersionState.LOADING),)
        remark = f"no Prediction-Id: {self.loaded.no_ids}" if self.loaded.no_ids else ""
        return (VersionStatus(self._version, VersionState.AVAILABLE, remark=remark),)

    def intake(self, model: str) -> Labels:
        """Find where labels of the model's predictions go, also while it loads. Raises `NotFound`."""
        self._check(model, None, None)
        return self._labels

    def _check(self, model: str, version: int | None, label: str | None) -> None:
        if model != self._model:
            raise NotFound(f"Servable not found for request: Latest({model}); this server has {self._model}")
        if version is not None and version != self._version:
            raise NotFound(
                f"Servable not found for request: Specific({model}, {version}); this server has {self._version}"
            )
        if label is not None and label != self._revision:
            raise InvalidArgument(f"Unrecognized servable version label: {label}; this server has {self._revision}")
