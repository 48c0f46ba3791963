"""What can be asked: models and their versions."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from model_server.dataplane.question import Answer, Question
    from model_server.feedback import Label, Result
    from model_server.passing import Passed
    from model_server.tensors import Signature


class VersionState(StrEnum):
    """The life of a version, in TensorFlow Serving's words."""

    START = "START"
    LOADING = "LOADING"
    AVAILABLE = "AVAILABLE"
    UNLOADING = "UNLOADING"
    END = "END"


class VersionStatus(NamedTuple):
    """Where a version is in its life."""

    version: int
    state: VersionState
    error: str = ""
    """Why it could not be loaded: the version's state is END then."""
    remark: str = ""
    """What its users should know, as why its predictions get no ids."""


class Servable(Protocol):
    """One version of one model, loaded."""

    @property
    def model(self) -> str:
        """The model's name."""

    @property
    def version(self) -> int:
        """Its number."""

    @property
    def revision(self) -> str:
        """The name of the revision, as answers carry it."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """What can be called, by name."""

    async def ask(self, question: Question) -> Answer:
        """Answer. Raises `RequestError`; a cancelled call leaves the queue."""


class Labels(Protocol):
    """Where the labels of a model go."""

    async def take(self, labels: Sequence[Label], passed: Passed | None) -> list[Result]:
        """Count labels; each gets its own result, in order. `passed`: what they are if another pod has sent them."""


class Catalog(Protocol):
    """All models of this server."""

    def models(self) -> Sequence[str]:
        """Their names, also of those that are still loading."""

    def find(self, model: str, version: int | None = None, label: str | None = None) -> Servable:
        """Find the version that is meant; without one, the newest that is available.

        Raises `NotFound`, `InvalidArgument` (no such label), or `Unavailable` while it loads.
        """

    def states(self, model: str, version: int | None = None, label: str | None = None) -> Sequence[VersionStatus]:
        """Tell of a model's versions, the newest first. Raises `NotFound` or `InvalidArgument`."""

    def intake(self, model: str) -> Labels:
        """Find where labels of a model's predictions go, also while it loads. Raises `NotFound`."""
