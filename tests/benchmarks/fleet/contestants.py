"""The operator, the floor and the limit: each makes the same number of servers, edits them, and takes them away."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.benchmarks.fleet import audit, objects
from tests.benchmarks.fleet.client import MERGE, at_once
from tests.benchmarks.fleet.ground import ACCOUNT, OPERATOR_NAMESPACE, Ground, fresh
from tests.benchmarks.fleet.processes import Running, operator
from tests.benchmarks.fleet.recording import Recorder, Write, recorder, write_kubeconfig
from tests.benchmarks.fleet.waiting import Watched, watched

USER: Final = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{ACCOUNT}"
IDLE_SECONDS: Final = 60.0
_QUIET_SECONDS: Final = 10.0
_SAMPLE: Final = "model-sample"


@dataclass
class Figures:
    """What was measured of one contestant with so many models. Times in seconds, memory in MiB."""

    models: int
    create: float = 0.0
    edit: float = 0.0
    delete: float = 0.0
    cpu_create: float = 0.0
    cpu_edit: float = 0.0
    peak_memory: float = 0.0
    restart: float = 0.0
    cpu_restart: float = 0.0
    create_requests: dict[str, int] = field(default_factory=dict)
    edit_requests: dict[str, int] = field(default_factory=dict)
    later_requests: dict[str, int] = field(default_factory=dict)
    """After the edit, until the old revisions are gone."""
    idle_requests: dict[str, int] = field(default_factory=dict)
    restart_requests: dict[str, int] = field(default_factory=dict)
    delete_requests: dict[str, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return it for a file."""
        return asdict(self)


async def floor(count: int) -> Figures:
    """Measure plain Deployments: what Kubernetes itself takes to bring up as many pods, and to replace them."""
    figures, names = Figures(count), objects.names(count)
    async with fresh(2 * count) as ground, watched(ground.client, objects.DEPLOYMENTS) as seen:
        send = ground.client.send
        started = time.monotonic()
        await at_once(lambda name: send("POST", objects.DEPLOYMENTS, objects.deployment(name)), names)
        figures.create = await seen.until_all(count, objects.is_available, "available") - started
        started = time.monotonic()
        change = objects.edited_deployment()
        await at_once(lambda name: send("PATCH", f"{objects.DEPLOYMENTS}/{name}", change, MERGE), names)
        figures.edit = await seen.until_all(count, objects.is_available, "available") - started
        figures.delete = await _delete(ground, objects.DEPLOYMENTS)
    return figures


async def ours(count: int) -> Figures:
    """Measure the operator."""
    figures, names = Figures(count), objects.names(count)
    async with (
        _installed(2 * count) as (ground, kubeconfig, log),
        watched(ground.client, objects.MODELS) as seen,
    ):
        async with operator(kubeconfig, log) as running:
            since, cpu = ground.audit.end, running.cpu_seconds
            figures.create = await _create(ground, seen, names)
            figures.create_requests, since = _requests(ground, since)
            figures.cpu_create, cpu = running.cpu_seconds - cpu, running.cpu_seconds
            figures.edit = await _edit(ground, seen, names)
            figures.edit_requests, since = _requests(ground, since)
            figures.cpu_edit = running.cpu_seconds - cpu
            await _until_old_pods_are_gone(ground, count)
            await _until_quiet(ground)
            figures.later_requests, since = _requests(ground, since)
            await asyncio.sleep(IDLE_SECONDS)
            figures.idle_requests, since = _requests(ground, since)
            figures.peak_memory = running.peak_mib
        await _restart(ground, kubeconfig, log, figures)
    return figures


async def limit(count: int) -> Figures:
    """Measure a client that does nothing but write what the operator writes, with the same verbs and bodies."""
    figures, names = Figures(count), objects.names(count)
    async with _installed(2 * count + 10) as (ground, kubeconfig, log):
        created, edited = await _record(ground, kubeconfig, log)
        sample = await _words(ground, _SAMPLE, created)
        await ground.client.send("DELETE", f"{objects.MODELS}/{_SAMPLE}")
        async with watched(ground.client, objects.DEPLOYMENTS) as seen:
            await seen.until_all(0, objects.is_available, "gone")
            started = time.monotonic()
            uids = await _replay_creation(ground, names, created, sample)
            figures.create = await seen.until_all(count, objects.is_available, "available") - started
            started = time.monotonic()
            await _replay_edit(ground, uids, edited, sample)
            figures.edit = await seen.until_all(2 * count, objects.is_available, "available") - started
    return figures


async def _create(ground: Ground, seen: Watched, names: Sequence[str]) -> float:
    started = time.monotonic()
    await at_once(lambda name: ground.client.send("POST", objects.MODELS, objects.model(name)), names)
    return await seen.until_all(len(names), objects.is_ready, "ready") - started


async def _edit(ground: Ground, seen: Watched, names: Sequence[str]) -> float:
    started = time.monotonic()
    await at_once(
        lambda name: ground.client.send("PATCH", f"{objects.MODELS}/{name}", objects.edited_model(name), MERGE), names
    )
    return await seen.until_all(len(names), objects.is_ready, "ready") - started


async def _restart(ground: Ground, kubeconfig: Path, log: Path, figures: Figures) -> None:
    """Start the operator anew, until it has looked at everything; then delete all models."""
    since, started = ground.audit.end, time.monotonic()
    async with operator(kubeconfig, log) as running:
        await _until_looked_at(running, figures.models)
        figures.restart = time.monotonic() - started
        figures.cpu_restart = running.cpu_seconds
        await _until_quiet(ground)
        figures.restart_requests, since = _requests(ground, since)
        figures.delete = await _delete(ground, objects.MODELS)
        figures.delete_requests, _ = _requests(ground, since)
        figures.peak_memory = max(figures.peak_memory, running.peak_mib)


async def _until_looked_at(running: Running, count: int) -> None:
    """Wait until every model was reconciled, and none waits."""
    while True:
        metrics = await running.metrics()
        if (
            metrics["modeldeployment_reconcile_duration_seconds_count"] >= count
            and not metrics["modeldeployment_queue_length"]
        ):
            return
        await asyncio.sleep(0.1)


async def _until_quiet(ground: Ground) -> None:
    """Wait until the operator has written nothing for a while."""
    since = ground.audit.end
    while True:
        await asyncio.sleep(_QUIET_SECONDS)
        if not audit.writes(ground.audit.requests(USER, since)):
            return
        since = ground.audit.end


async def _until_old_pods_are_gone(ground: Ground, count: int) -> None:
    async with watched(ground.client, objects.DEPLOYMENTS) as deployments:
        await deployments.until_all(count, objects.is_available, "available")


async def _delete(ground: Ground, path: str) -> float:
    """Delete all of a kind with one request; return the seconds until what belonged to them is gone, too."""
    async with AsyncExitStack() as stack:
        lists = [await stack.enter_async_context(watched(ground.client, child)) for child in (path, *objects.CHILDREN)]
        await asyncio.sleep(2)  # Until the lists are there.
        started = time.monotonic()
        await ground.client.send("DELETE", path)
        return max([await one.until_all(0, lambda _: True, "gone") for one in lists]) - started


def _requests(ground: Ground, since: int) -> tuple[dict[str, int], int]:
    """Return the operator's requests since a place of the log, and its end."""
    end = ground.audit.end
    counted = ground.audit.requests(USER, since, end)
    return {" ".join(request): number for request, number in sorted(counted.items())}, end


@asynccontextmanager
async def _installed(pods: int) -> AsyncIterator[tuple[Ground, Path, Path]]:
    """Have a cluster with all that the operator needs; yields it, the operator's kubeconfig and its log."""
    with tempfile.TemporaryDirectory(prefix="bench-fleet-") as directory:
        async with fresh(pods) as ground:
            kubeconfig, log = Path(directory) / "kubeconfig", Path(directory) / "operator.log"
            write_kubeconfig(kubeconfig, ground.cluster.server, ground.token(), ground.cluster.paths.pki / "ca.crt")
            yield ground, kubeconfig, log
            problems = [line for line in log.read_text().splitlines() if " ERROR " in line]
            if problems:
                print(f"the operator's log has {len(problems)} errors, the first of which is: {problems[0]}")


async def _record(ground: Ground, kubeconfig: Path, log: Path) -> tuple[list[Write], list[Write]]:
    """Return what the operator writes to make one model, and to edit it."""
    proxied = kubeconfig.with_name("proxied")
    async with (
        recorder(ground.cluster, ground.token(), proxied) as proxy,
        operator(proxied, log),
        watched(ground.client, objects.MODELS) as seen,
    ):
        await _create(ground, seen, [_SAMPLE])
        created = await _settled(proxy)
        await _edit(ground, seen, [_SAMPLE])
        edited = (await _settled(proxy))[len(created) :]
    return created, edited


async def _settled(proxy: Recorder) -> list[Write]:
    """Return the writes so far, once there are no more."""
    known = -1
    while known != len(proxy.writes):
        known = len(proxy.writes)
        await asyncio.sleep(3)
    return list(proxy.writes)


async def _words(ground: Ground, name: str, created: Sequence[Write]) -> dict[str, str]:
    """Return what in the writes of a model is its own."""
    body = await ground.client.send("GET", f"{objects.MODELS}/{name}")
    return {"name": name, "uid": body["metadata"]["uid"]}


async def _replay_creation(
    ground: Ground, names: Sequence[str], created: Sequence[Write], sample: dict[str, str]
) -> dict[str, str]:
    """Make models and all that the operator would write for them; return their UIDs."""
    uids: dict[str, str] = {}

    async def make(name: str) -> None:
        body = await ground.client.send("POST", objects.MODELS, objects.model(name))
        uids[name] = body["metadata"]["uid"]

    async def write(name: str) -> None:
        await _replay(ground, created, sample, {"name": name, "uid": uids[name]})

    await at_once(make, names)
    await at_once(write, names)
    return uids


async def _replay_edit(ground: Ground, uids: dict[str, str], edited: Sequence[Write], sample: dict[str, str]) -> None:
    async def change(name: str) -> None:
        await ground.client.send("PATCH", f"{objects.MODELS}/{name}", objects.edited_model(name), MERGE)

    async def write(name: str) -> None:
        await _replay(ground, edited, sample, {"name": name, "uid": uids[name]})

    await at_once(change, list(uids))
    await at_once(write, list(uids))


async def _replay(ground: Ground, writes: Sequence[Write], sample: dict[str, str], mine: dict[str, str]) -> None:
    for write in writes:
        again = write.of(sample, mine)
        await ground.client.send(again.method, again.path, again.body.encode() or None, again.content_type)
