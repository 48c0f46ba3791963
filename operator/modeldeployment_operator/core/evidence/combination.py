"""Several criteria on one revision: a weighted average of their evidence.

Each criterion's evidence is a supermartingale from 1 if the revision is good by that criterion, and so is an average
with weights that were fixed before. So a revision that is good by all of them is taken back with probability at most
alpha if one acts when the average reaches 1/alpha, however the criteria depend on each other. It is never slower than
to act when one of them alone reaches 1/(weight·alpha) (Bonferroni). Weights that sum to less than 1 leave the rest
idle, at a value of 1: a place for a slice that has not been seen yet.

The average says that something is worse. That it is a certain criterion is proven, with alpha for all such statements
together, of those that reach 1/(weight·alpha) alone; the one that contributes most is what carries the decision.

To promote, each criterion has to be proven by itself, at 1/alpha: a revision that is bad by one of them is promoted
with probability at most alpha, without any correction (R. L. Berger, 1982). Then the weakest decides.

Source: V. Vovk, R. Wang, E-values: calibration, combination and applications, 2021.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Part:
    """The evidence of one criterion.

    Attributes:
        name: the criterion.
        weight: its weight, fixed before the first label.
        log_e: natural logarithm of its evidence.

    """

    name: str
    weight: float
    log_e: float

    def __post_init__(self) -> None:
        if not self.weight > 0.0:
            raise ValueError(f"the weight of criterion {self.name} must be positive, not {self.weight!r}")

    @property
    def contribution(self) -> float:
        """Natural logarithm of what it adds to the average."""
        return math.log(self.weight) + self.log_e


@dataclass(frozen=True)
class Combined:
    """The evidence of several criteria.

    Attributes:
        log_e: natural logarithm of the average; at ln(1/alpha) the revision is proven worse by some criterion.
        carrier: name of the criterion that contributes most.
        parts: what it is made of, the greatest contribution first.

    """

    log_e: float
    carrier: str
    parts: tuple[Part, ...]

    def proven(self, alpha: float) -> tuple[str, ...]:
        """Return the criteria that are each proven to be violated, with a chance of error of alpha for all of them."""
        return tuple(part.name for part in self.parts if part.contribution >= -math.log(alpha))


def combine(parts: Iterable[Part]) -> Combined:
    """Return the weighted average; ValueError if there is nothing to average or the weights sum to more than 1."""
    ordered = tuple(sorted(parts, key=lambda part: -part.contribution))
    if not ordered:
        raise ValueError("there is no criterion to combine")
    idle = 1.0 - math.fsum(part.weight for part in ordered)
    if idle < -_ROUNDING:
        raise ValueError(f"the weights of criteria must not sum to more than 1, and sum to {1.0 - idle!r}")
    logs = [part.contribution for part in ordered]
    if idle > _ROUNDING:
        logs.append(math.log(idle))
    peak = max(logs)
    log_e = peak + math.log(math.fsum(math.exp(value - peak) for value in logs))
    return Combined(log_e, ordered[0].name, ordered)


def weakest(parts: Iterable[Part]) -> Part:
    """Return what holds a promotion up: the criterion with the least evidence, whatever its weight."""
    return min(parts, key=lambda part: part.log_e)


def even_weights(names: Sequence[str]) -> Mapping[str, float]:
    """Return the same weight for each criterion."""
    return {name: 1.0 / len(names) for name in names}


def slice_weights(weight: float, places: int, whole: float = 0.5) -> tuple[float, float]:
    """Return how the weight of one criterion is shared by all labels and each of so many slices of them.

    There have to be as many places as there may ever be slices. All labels get the share `whole`, so that slices delay
    what is seen in all of them by ln(1/whole) nats, 0.7 unless told.
    """
    if places < 1:
        return weight, 0.0
    return weight * whole, weight * (1.0 - whole) / places
