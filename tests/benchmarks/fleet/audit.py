"""Counts requests in the API server's own log."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
LEASES: Final = "leases"

Request = tuple[str, str]
"""Verb and resource, with its subresource: ("patch", "modeldeployments/status")."""


@dataclass(frozen=True)
class Audit:
    """The log of one cluster."""

    file: Path

    @property
    def end(self) -> int:
        """Where the log ends now, to count from there later."""
        return self.file.stat().st_size

    def requests(self, user: str, since: int, until: int | None = None) -> Counter[Request]:
        """Count what a user has asked for between two places of the log. Leases are left out: all have them."""
        found: Counter[Request] = Counter()
        with self.file.open("rb") as lines:
            lines.seek(since)
            for line in lines:
                if until is not None and lines.tell() > until:
                    break
                if user.encode() not in line:
                    continue
                event = json.loads(line)
                what = event.get("objectRef", {})
                resource = "/".join(part for part in (what.get("resource"), what.get("subresource")) if part)
                begun = event["stage"] == ("ResponseStarted" if event["verb"] == "watch" else "ResponseComplete")
                if begun and event["user"]["username"] == user and resource != LEASES:
                    found[event["verb"], resource or event["requestURI"].partition("?")[0]] += 1
        return found


def writes(requests: Counter[Request]) -> int:
    """Return how many of them change something."""
    return sum(count for (verb, _), count in requests.items() if verb in WRITES)
