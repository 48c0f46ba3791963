"""Since when the labels of which revisions cannot be read. A look that fails now and then is not worth telling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from modeldeployment_operator.core.observation import Pod, Sample


@dataclass(frozen=True)
class Silence:
    """What is known after the last look."""

    since: Mapping[str, float] = field(default_factory=dict)
    """By revision of which nothing could be read: when that began, in seconds of a clock that only goes on."""
    problem: str | None = None
    """Why, of the first pod."""

    def after(self, pods: Iterable[Pod], samples: Mapping[str, Sample], problem: str | None, seconds: float) -> Silence:
        """Return what is known after another look: these pods were there, and of those there are samples."""
        running = {pod.revision for pod in pods if pod.running}
        heard = {sample.revision for sample in samples.values()}
        return Silence({name: self.since.get(name, seconds) for name in sorted(running - heard)}, problem)

    def lasting(self, patience: timedelta, seconds: float) -> frozenset[str]:
        """Return the revisions of which nothing could be read for so long."""
        limit = patience.total_seconds()
        return frozenset(name for name, since in self.since.items() if seconds - since >= limit)
