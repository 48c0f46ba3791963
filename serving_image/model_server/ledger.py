"""Which predictions have their label already. In memory; `journal` keeps it over a restart."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from model_server.contract import FeedbackRejection
from model_server.errors import LabelRejected

if TYPE_CHECKING:
    from collections.abc import Iterator

HORIZON_SECONDS: Final = 30 * 24 * 3600
"""A label that comes later than this after its prediction is not counted."""
CAPACITY: Final = 1_000_000
"""Ids that are remembered; 130 bytes for each, so 130 MB when full."""
_BUCKET_SECONDS: Final = 60


class Ledger:
    """The ids that were labelled, by the minute in which they were issued.

    What is forgotten, by age or for want of room, is forgotten by whole minutes, and `floor` rises above them: an id
    from below the floor is refused, so forgetting never lets a label count twice.
    """

    def __init__(self, *, horizon: float = HORIZON_SECONDS, capacity: int = CAPACITY, floor: int = 0) -> None:
        self._horizon = horizon
        self._capacity = capacity
        self._buckets: dict[int, set[bytes]] = {}
        self._minutes: list[int] = []
        """A heap of the buckets' keys, so that the oldest is at hand."""
        self._size = 0
        self.floor = floor
        """Seconds since 1970: older ids are not taken."""

    def __len__(self) -> int:
        return self._size

    def check(self, digest: bytes, issued: int, now: float) -> None:
        """Raise `LabelRejected` as expired or duplicate if this id cannot be counted."""
        if issued < max(self.floor, now - self._horizon):
            raise LabelRejected(
                FeedbackRejection.EXPIRED,
                f"labels are counted for {self._horizon / 86400:g} days after the prediction, "
                "less on a pod that has run out of room to remember them",
            )
        if digest in self._buckets.get(issued // _BUCKET_SECONDS, ()):
            raise LabelRejected(FeedbackRejection.DUPLICATE, "this prediction has its label; the first one stands")

    def add(self, digest: bytes, issued: int, now: float) -> None:
        """Remember an id, and forget old ones."""
        minute = issued // _BUCKET_SECONDS
        bucket = self._buckets.get(minute)
        if bucket is None:
            bucket = self._buckets[minute] = set()
            heapq.heappush(self._minutes, minute)
        before = len(bucket)
        bucket.add(digest)
        self._size += len(bucket) - before
        self._forget(now)

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """All ids, each with a time in the minute of its issue."""
        return ((minute * _BUCKET_SECONDS, digest) for minute, ids in self._buckets.items() for digest in ids)

    def _forget(self, now: float) -> None:
        too_old = int(now - self._horizon) // _BUCKET_SECONDS
        while self._size > self._capacity or (self._minutes and self._minutes[0] < too_old):
            oldest = heapq.heappop(self._minutes)
            self._size -= len(self._buckets.pop(oldest))
            self.floor = max(self.floor, (oldest + 1) * _BUCKET_SECONDS)
