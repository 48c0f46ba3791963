"""Answers on the admin port of all fake pods, as far as the operator asks: a process of its own.

kwok gives pods addresses of the loopback network one after the other, so they can be listened on before a pod has one.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import sys
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from model_server import contract

from tests.benchmarks.fleet.client import connected
from tests.cluster.state import load

_FIRST: Final = ipaddress.IPv4Address("127.64.0.1")
_PATIENCE_SECONDS: Final = 5.0
REVISION_LABEL: Final = "modelops.dev/revision"


@dataclass
class Pod:
    """One fake pod."""

    uid: str
    revision: str
    rotation: contract.Rotation = field(
        default_factory=lambda: contract.Rotation(forward_to=None, share=1.0, copy=False)
    )


@dataclass
class Pods:
    """All of them, by address."""

    known: dict[str, Pod] = field(default_factory=dict)

    def see(self, kind: str, body: dict[str, Any]) -> None:
        """Take note of a pod."""
        metadata, address = body["metadata"], body.get("status", {}).get("podIP")
        if address is None:
            return
        known = self.known.get(address)
        if kind == "DELETED":
            if known is not None and known.uid == metadata["uid"]:
                del self.known[address]
        elif known is None or known.uid != metadata["uid"]:
            self.known[address] = Pod(metadata["uid"], metadata.get("labels", {}).get(REVISION_LABEL, ""))

    async def counts(self, request: web.Request) -> web.Response:
        """Tell what was counted: nothing."""
        pod = await self._of(request)
        numbers = ("correct", "wrong", "true_positive", "false_positive", "true_negative", "false_negative")
        counts = dict.fromkeys((*numbers, "predictions"), 0)
        told = {"revision": pod.revision, "pod_uid": pod.uid, "started": "1", "rotation": pod.rotation}
        return web.json_response(told | counts | {"classes": [], "slices": [], "pairs": []})

    async def rotate(self, request: web.Request) -> web.Response:
        """Take an order."""
        pod = await self._of(request)
        pod.rotation = json.loads(await request.read())
        return web.Response(status=204)

    async def _of(self, request: web.Request) -> Pod:
        """Find the pod that was asked; the operator may have heard of it first."""
        assert request.transport
        address = request.transport.get_extra_info("sockname")[0]
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while address not in self.known:
            if asyncio.get_running_loop().time() > deadline:
                raise web.HTTPServiceUnavailable(text=f"no pod has the address {address}")
            await asyncio.sleep(0.01)
        return self.known[address]


async def serve(cluster: str, addresses: int, pods: Pods) -> None:
    """Listen on so many addresses, say so, and answer until the process is ended."""
    found = load(cluster)
    if found is None:
        raise SystemExit(f"there is no cluster {cluster}")
    app = web.Application()
    app.router.add_get(contract.COUNTS_PATH, pods.counts)
    app.router.add_put(contract.ROTATION_PATH, pods.rotate)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for number in range(addresses):
        await web.TCPSite(runner, str(_FIRST + number), contract.ADMIN_PORT).start()
    async with connected(found) as client:
        print("ready", flush=True)
        async for kind, body in client.watch("/api/v1/pods"):
            pods.see(kind, body)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), Pods()))
