"""All ModelDeployments at a glance: what the metrics and the page of the operator tell is made from these."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from modeldeployment_operator.api.status import ModelDeploymentStatus, Revision, RevisionPhase
from modeldeployment_operator.core.observation import Key

_AT_WORK: Final = frozenset({RevisionPhase.CANDIDATE, RevisionPhase.SERVING, RevisionPhase.STANDBY})


@dataclass(frozen=True)
class Model:
    """A ModelDeployment, as far as it is told to others: what is in its status, and nothing of its spec."""

    key: Key
    status: ModelDeploymentStatus


def running(status: ModelDeploymentStatus) -> list[Revision]:
    """Return the revisions that run, those among them that gave their traffic away a moment ago."""
    return [revision for revision in status.revisions if revision.phase in _AT_WORK or revision.replicas]


def traffic(status: ModelDeploymentStatus) -> Mapping[str, float]:
    """Return by revision that runs the share of the traffic that is sent to it."""
    return {revision.name: float(revision.name == status.serving_revision) for revision in running(status)}


def number(text: str | None) -> float | None:
    """Return a number of the status; None if there is none, or if somebody wrote something else there."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
