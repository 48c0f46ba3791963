"""A ModelDeployment as the API server tells of it: trimmed, and each part read when it is first asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from modeldeployment_operator.api.base import read_leniently
from modeldeployment_operator.api.spec import ModelDeploymentSpec
from modeldeployment_operator.api.status import ModelDeploymentStatus
from modeldeployment_operator.core.errors import InvalidSpecError
from modeldeployment_operator.core.observation import Asked, Key

_log = logging.getLogger(__name__)
_NOTHING: Final[Mapping[str, Any]] = {}


class Resource:
    """One version of a ModelDeployment.

    Attributes:
        key: its namespace and name.
        uid: its UID.
        version: its resourceVersion.
        generation: that of its spec.
        going: whether it is being deleted.
        asked: what its user asks for in annotations.

    """

    __slots__ = ("_spec", "_status", "asked", "generation", "going", "key", "uid", "version")

    def __init__(self, body: Mapping[str, Any]) -> None:
        metadata = body["metadata"]
        self.key = Key(metadata["namespace"], metadata["name"])
        self.uid: str = metadata["uid"]
        self.version = int(metadata["resourceVersion"])
        self.generation: int = metadata.get("generation", 0)
        self.going = "deletionTimestamp" in metadata
        self.asked = Asked.of(metadata.get("annotations", _NOTHING))
        self._spec: Mapping[str, Any] | ModelDeploymentSpec = body.get("spec", _NOTHING)
        self._status: Mapping[str, Any] | ModelDeploymentStatus = body.get("status", _NOTHING)

    @property
    def spec(self) -> ModelDeploymentSpec:
        """What its user asks for. Raises InvalidSpecError if that is not sound."""
        if not isinstance(self._spec, ModelDeploymentSpec):
            self._spec = _read_spec(self.key, self._spec)
        return self._spec

    @property
    def status(self) -> ModelDeploymentStatus:
        """What it says of itself, without what another version of the operator or somebody else has put there."""
        if not isinstance(self._status, ModelDeploymentStatus):
            status, left_out = read_leniently(ModelDeploymentStatus, self._status)
            if left_out:
                _log.debug("%s: not this operator's, in the status: %s", self.key, ", ".join(left_out))
            self._status = status or ModelDeploymentStatus()
        return self._status


def _read_spec(key: Key, spec: Mapping[str, Any]) -> ModelDeploymentSpec:
    try:
        return ModelDeploymentSpec.parse(dict(spec))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("spec", *first["loc"]))
        raise InvalidSpecError(key, f"{where}: {first['msg']}") from error
