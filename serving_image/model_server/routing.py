"""Which pod counts a label. Pure.

The pod that made a prediction counts its label, so that a second label for it is known as such. Its address is in the
id, and a mark of the pod itself, as another pod may have the address later. When that pod is gone, one of its siblings
inherits its predictions: the one with the highest hash of itself and the prediction, so that all pods agree on it
without talking, and few choices change when pods come and go. What the lost pod has counted, the heir does not know.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from model_server.passing import Passed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model_server.prediction_id import Address, Prediction


class Place(Enum):
    """Answers that are no address."""

    HERE = "here"
    NOWHERE = "nowhere"
    LOST = "lost"
    """The pod that made the prediction is gone: to its heir."""


@dataclass(frozen=True, slots=True)
class Self:
    """Who this pod is."""

    fingerprint: bytes
    """Of its model and revision."""
    pod: bytes
    """The `pod_mark` of its UID."""
    address: Address | None


def route(prediction: Prediction, this: Self, passed: Passed | None) -> Place | Address:
    """Choose where a label goes first. What another pod has passed on stays here or is refused."""
    ours = prediction.fingerprint == this.fingerprint
    if ours and (passed is Passed.INHERITED or prediction.address is None or prediction.pod == this.pod):
        return Place.HERE
    if passed is not None or prediction.address is None:
        return Place.NOWHERE
    if prediction.address == this.address:
        return Place.LOST if ours else Place.NOWHERE
    return prediction.address


def heir(digest: bytes, siblings: Iterable[Address]) -> Address:
    """Choose who counts the label of a pod that is gone (rendezvous hashing)."""
    return max(siblings, key=lambda sibling: hashlib.blake2b(digest + sibling.packed, digest_size=8).digest())
