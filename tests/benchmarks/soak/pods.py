"""Pods that count labels: those of a model whose URI says so get more of them wrong than they should."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, Final

from aiohttp import web
from model_server.contract import Env

from tests.benchmarks.fleet.pods import Pods, serve

BAD: Final = "bad"
_LABELS_A_SECOND: Final = 5.0
_WRONG: Final = {True: 0.4, False: 0.02}


class Counting(Pods):
    """All pods; each has counted since it was seen first."""

    def __init__(self) -> None:
        super().__init__()
        self._since: dict[str, float] = {}
        self._wrong: dict[str, float] = {}

    def see(self, kind: str, body: dict[str, Any]) -> None:
        """Take note of a pod."""
        super().see(kind, body)
        uid = body["metadata"]["uid"]
        if kind == "DELETED":
            self._since.pop(uid, None)
            self._wrong.pop(uid, None)
        elif uid not in self._since:
            self._since[uid] = time.monotonic()
            self._wrong[uid] = _WRONG[BAD in _uri(body)]

    async def counts(self, request: web.Request) -> web.Response:
        """Tell what was counted."""
        response = await super().counts(request)
        told = json.loads(response.text or "")
        uid = told["pod_uid"]
        labels = int((time.monotonic() - self._since.get(uid, time.monotonic())) * _LABELS_A_SECOND)
        wrong = int(labels * self._wrong.get(uid, 0.0))
        return web.json_response(told | {"correct": labels - wrong, "wrong": wrong, "predictions": labels})


def _uri(body: dict[str, Any]) -> str:
    """Return the URI of the model that a pod serves."""
    spec = body["spec"]
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    found = [one.get("value", "") for each in containers for one in each.get("env", ()) if one["name"] == Env.MODEL_URI]
    return str(found[0]) if found else ""


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), Counting()))
