"""Marks what one pod passes to another, so that no client can pretend to be a pod. Pure."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from model_server.prediction_id import Key, KeyRing


class Passed(StrEnum):
    """What is passed on; a mark for one is none for the others."""

    REQUEST = "request"
    """To another revision, which is to answer."""
    COPY = "copy"
    """Of a request, to another revision, whose answer no client sees."""
    LABELS = "labels"
    """To the pod that made the predictions."""
    INHERITED = "inherited labels"
    """To the pod that counts for one that is gone."""


class Forwarded(StrEnum):
    """What came of passing a request on."""

    ANSWERED = "answered"
    """The other revision has answered."""
    UNREACHABLE = "unreachable"
    """This pod has answered instead."""


class Copied(StrEnum):
    """What came of a copy."""

    ANSWERED = "answered"
    FAILED = "failed"
    """The other revision could not be reached, took too long, or refused."""
    DROPPED = "dropped"
    """There were too many in a second, or under way."""


@dataclass(frozen=True, slots=True)
class Seal:
    """Makes and checks the values of `contract.FORWARDED_HEADER`."""

    name: str
    """Of this pod."""
    keys: KeyRing
    """All whose marks are believed: while keys are exchanged, some pods have the new one and some the old."""

    def mark(self, passed: Passed, body: bytes) -> str:
        """Make the header's value for a body."""
        return f"{self.name}.{_mac(self.keys.signing, passed, body)}"

    def read(self, value: str | None, expected: Iterable[Passed], body: bytes) -> Passed | None:
        """Tell which of the expected it is; None if it is none of them, or was not marked by a pod."""
        if value is None:
            return None
        given = value.rpartition(".")[2].encode()
        return next(
            (
                passed
                for passed in expected
                for key in self.keys.all
                if hmac.compare_digest(_mac(key, passed, body).encode(), given)
            ),
            None,
        )


def _mac(key: Key, passed: Passed, body: bytes) -> str:
    # No payload of an id begins like this: its first byte is the version of its format.
    return hmac.digest(key.secret, f"passed on: {passed}\0".encode() + body, "sha256").hex()
