"""How old what is shown may be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modeldeployment_operator.core.fleet import since

TOUCH_INTERVAL: Final = timedelta(seconds=15)
"""How often the API server is asked for a sign of life."""
_OLD: Final = 3 * TOUCH_INTERVAL


@dataclass(frozen=True)
class Freshness:
    """When the operator last heard of the cluster.

    Attributes:
        now: when it was asked.
        silence: time since the API server last answered; None if it never did.
        synced: everything was seen at least once.

    """

    now: datetime
    silence: timedelta | None
    synced: bool

    @property
    def is_old(self) -> bool:
        """Whether what is known may not be so any more."""
        return self.silence is None or self.silence >= _OLD

    @property
    def words(self) -> str:
        """When, for people."""
        if self.silence is None:
            return "Not heard from the cluster yet"
        heard = self.now - self.silence
        return f"Cluster last heard {f'{since(heard, self.now)}, ' if self.is_old else ''}at {heard:%H:%M:%S}"

    @property
    def advice(self) -> str:
        """What it means that it is old."""
        since_when = "yet" if self.silence is None else f"since {self.now - self.silence:%H:%M:%S}"
        return (
            f"The operator has heard nothing from the API server {since_when}, and tries again. What serves goes on "
            "serving. The operator's log says why."
        )
