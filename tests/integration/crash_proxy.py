"""Stands between the operator and the API server, and kills the operator at each of its writes.

Each write is known by what it asks for. The first time it is seen, the operator dies before the API server hears of it;
the second time, after the API server has done it and before the operator hears of that; then it may pass. So one story
goes through every moment at which a crash can part what was decided from what was done.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from tests.integration.proxy import Proxy

_WRITES = {"POST", "PATCH", "PUT", "DELETE"}
_TURN = web.RequestKey("turn", int)


class CrashProxy(Proxy):
    """Kills once before and once after each write."""

    def __init__(self, kubeconfig: Path, directory: Path) -> None:
        super().__init__(kubeconfig, directory)
        self._seen: Counter[str] = Counter()
        self.crash: Callable[[], None] | None = None
        """Kills the operator; until it is set, and once it is None again, all writes pass."""
        self.crashes: list[str] = []
        """What was written when the operator died."""

    async def meddle(self, request: web.Request, body: bytes) -> web.StreamResponse | None:
        request[_TURN] = self._turn(request, body)
        return self._die(request, "before") if request[_TURN] == 1 else None

    async def answered(self, request: web.Request, body: bytes) -> web.StreamResponse | None:
        return self._die(request, "after") if request[_TURN] == 2 else None

    def _turn(self, request: web.Request, body: bytes) -> int:
        """Return how often this write has been seen, or 0 if it is to pass."""
        if self.crash is None or request.method not in _WRITES:
            return 0
        what = _identity(request, body)
        self._seen[what] += 1
        return self._seen[what]

    def _die(self, request: web.Request, when: str) -> web.StreamResponse:
        self.crashes.append(f"{when} {request.method} {request.path}")
        if self.crash:
            self.crash()
        return web.Response(status=500)


def _identity(request: web.Request, body: bytes) -> str:
    """Return what a write asks for, without what differs from try to try (times, versions, counts)."""
    path, document = request.path, yaml.safe_load(body) if body else {}
    if "/leases" in path:
        return f"lease of {document['spec']['holderIdentity']}"  # Renewed every two seconds.
    if path.endswith("/events"):
        return f"event {document['reason']}"
    if path.endswith("/status"):
        status = document["status"]
        decided = [status.get(name) for name in ("servingRevision", "candidateRevision", "standbyRevision")]
        reasons = [f"{one['type']}={one['reason']}" for one in status["conditions"]]
        return f"status {decided} {reasons}"
    if path.endswith("/modelverdicts"):
        return f"verdict {document['metadata']['name']}"  # The same at each try, but for its time.
    return f"{request.method} {path} {hashlib.sha256(_stable(document)).hexdigest()}"


def _stable(document: dict[str, Any]) -> bytes:
    document.pop("stringData", None)  # The operator's own key is random at each try.
    annotations = document.get("metadata", {}).get("annotations", {})
    annotations.pop("modelops.dev/keys", None)
    if "modelops.dev/rejection" in annotations:
        annotations["modelops.dev/rejection"] = "some"
    return yaml.safe_dump(document).encode()
