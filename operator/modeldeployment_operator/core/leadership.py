"""Which of several replicas acts: what one reads of the Lease that they share, and what it writes there.

The times in a Lease are for people. Whether it has run out is measured by the reader's own clock, from when it saw the
Lease change last, as clocks of machines differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

Spec = Mapping[str, Any]
_FORMAT: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True)
class Timing:
    """Seconds; the defaults are those of Kubernetes' own controllers.

    Attributes:
        duration: others wait so long after the last sign of the leader before they take its place.
        renewal: a leader that could not renew its Lease for so long stops acting; less than `duration`.
        retry: between two looks at it.

    """

    duration: float = 15.0
    renewal: float = 10.0
    retry: float = 2.0


@dataclass(frozen=True)
class Sighting:
    """A Lease as it was seen, and since when it has been so by the clock of who saw it."""

    version: str
    since: float

    def again(self, version: str, now: float) -> Sighting:
        """Return the sighting after another look."""
        return self if version == self.version else Sighting(version, now)


def may_take(spec: Spec, identity: str, sighting: Sighting, now: float) -> bool:
    """Whether a replica may write itself into a Lease: it is its own, nobody's, or has run out."""
    holder = spec.get("holderIdentity") or ""
    return holder in {"", identity} or now - sighting.since > float(spec.get("leaseDurationSeconds") or 0)


def is_held(spec: Spec, identity: str) -> bool:
    """Whether a replica is the one that is written there."""
    return spec.get("holderIdentity") == identity


def taken(spec: Spec, identity: str, timing: Timing, now: datetime) -> dict[str, Any]:
    """Return the spec with which a replica takes or renews a Lease; `now` in UTC."""
    time = now.strftime(_FORMAT)
    renewed = is_held(spec, identity)
    return {
        "holderIdentity": identity,
        "leaseDurationSeconds": round(timing.duration),
        "acquireTime": spec.get("acquireTime") or time if renewed else time,
        "renewTime": time,
        "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (0 if renewed else 1),
    }


def released(spec: Spec, now: datetime) -> dict[str, Any]:
    """Return the spec of a leader that ends: another may take its place at once."""
    return {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": now.strftime(_FORMAT)}
