"""Runs the soak: `make soak`, or `python -m tests.benchmarks.soak --minutes 5`. It ends by itself.

200 models are edited, scaled, deleted and created anew all the time; some get a model that is wrong too often, which is
taken back. At the end each gets a last edit, and has to be as its spec says. Exit status 1 if anything is not so.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks.fleet import objects
from tests.benchmarks.fleet.audit import LEASES, WRITES
from tests.benchmarks.fleet.client import MERGE, Client, at_once
from tests.benchmarks.fleet.ground import Ground, fresh
from tests.benchmarks.fleet.processes import Running, operator
from tests.benchmarks.soak.changes import Change, Wanted, changes, is_as_wanted
from tests.benchmarks.soak.memory import growth

RESULT: Final = Path("build/bench/soak.json")
ADDRESSES: Final = 6000
FLAT: Final = 10.0
"""MiB an hour that may be noise: memory grows if all of the interval is above."""
MINUTES_TO_TELL: Final = 20.0
"""In less, caches and the allocator still find their size."""
READING_SECONDS: Final = 2.0
SETTLE_SECONDS: Final = 300.0
PATIENCE_SECONDS: Final = 60.0


@dataclass
class Soak:
    """One run: what was wanted, done and seen."""

    client: Client
    running: Running
    wanted: dict[str, Wanted]
    done: Counter[Change] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)
    queue: list[tuple[float, float]] = field(default_factory=list)

    async def change(self, seed: int, rate: float, end: float) -> None:
        """Do something so often a second until the end."""
        began = time.monotonic()
        for number, (name, change) in enumerate(changes(sorted(self.wanted), seed)):
            await asyncio.sleep(began + number / rate - time.monotonic())
            if time.monotonic() > end or not self.running.alive:
                return
            await self._do(name, change)

    async def look(self) -> None:
        """Read memory and queue, for ever."""
        began = time.monotonic()
        while self.running.alive:
            now = time.monotonic() - began
            self.memory.append((round(now, 1), round(self.running.memory_mib, 2)))
            self.queue.append((round(now, 1), (await self.running.metrics())["modeldeployment_queue_length"]))
            await asyncio.sleep(READING_SECONDS)

    async def settle(self) -> list[str]:
        """Give each model a last edit; return those that do not become as they should."""
        for name in self.wanted:
            await self._do(name, Change.EDIT)
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            bodies = (await self.client.list(objects.MODELS))["items"]
            found = {body["metadata"]["name"]: body for body in bodies}
            behind = [name for name, wanted in self.wanted.items() if not is_as_wanted(found.get(name, _NONE), wanted)]
            if not behind or time.monotonic() > deadline or not self.running.alive:
                return behind
            await asyncio.sleep(1)

    async def _do(self, name: str, change: Change) -> None:
        self.wanted[name] = self.wanted[name].after(change)
        path = f"{objects.MODELS}/{name}"
        if change is Change.RECREATE:
            await self.client.send("DELETE", path)
            await self.client.send("POST", objects.MODELS, self.wanted[name].manifest)
        else:
            await self.client.send("PATCH", path, {"spec": self.wanted[name].spec}, MERGE)
        self.done[change] += 1


_NONE: Final[dict[str, Any]] = {"metadata": {"generation": 0}, "spec": {}}


async def soak(models: int, minutes: float, rate: float, seed: int) -> dict[str, Any]:
    """Run it; return what there is to tell."""
    async with fresh(ADDRESSES, "tests.benchmarks.soak.pods", "bench-soak") as ground:
        with tempfile.TemporaryDirectory() as folder:
            return await _run(ground, Path(folder), models, minutes, rate, seed)


async def _run(ground: Ground, folder: Path, models: int, minutes: float, rate: float, seed: int) -> dict[str, Any]:
    audited = ground.audit.end
    log = folder / "operator.log"
    async with operator(ground.cluster.kubeconfig, log) as running:
        state = Soak(ground.client, running, {name: Wanted(name) for name in objects.names(models)})
        await at_once(lambda one: ground.client.send("POST", objects.MODELS, one.manifest), state.wanted.values())
        began = time.monotonic()
        looking = asyncio.create_task(state.look())
        await state.change(seed, rate, began + minutes * 60)
        changed = time.monotonic() - began
        during = list(state.memory)
        behind = await state.settle()
        if not running.alive:
            raise RuntimeError(f"the operator has ended: {log.read_text()[-1000:]}")
        settled = time.monotonic() - began - changed
        drained = await _drained(running)
        looking.cancel()
        before = ground.audit.end
        samples = await _samples(running)
        seen = [_writes_seen(ground, audited, end) for end in (before, ground.audit.end)]
    sent, lost = samples["sent"], samples["without_answer"]
    memory = growth(during)
    grows = minutes >= MINUTES_TO_TELL and memory.low > FLAT
    return {
        "models": models,
        "minutes": round(changed / 60, 1),
        "changes": {str(change): count for change, count in state.done.items()},
        "rollbacks": samples["rollbacks"],
        "settled_after_seconds": round(settled, 1),
        "behind": behind,
        "queue": {"longest": max(length for _, length in state.queue), "drained": drained},
        "writes": {"sent": sent, "without_answer": lost, "seen": seen},
        "reconciles": samples["reconciles"],
        "memory_mib": {"first": during[0][1], "last": during[-1][1], "peak": max(mib for _, mib in during)},
        "growth_mib_an_hour": {name: round(value, 2) for name, value in asdict(memory).items()},
        "readings": {"memory": state.memory, "queue": state.queue},
        "failures": [
            *([f"{len(behind)} models are not as they should be"] if behind else []),
            *([] if drained else ["the queue has not drained"]),
            # It was counted while labels went on being written. What had no answer may have been seen or not.
            *([] if seen[0] <= sent + lost and sent <= seen[1] else ["what was sent is not what was seen"]),
            *([f"memory grows by {memory.low:.1f} MiB an hour or more"] if grows else []),
            *([] if samples["rollbacks"] else ["no bad model was taken back"]),
        ],
    }


async def _drained(running: Running) -> bool:
    """Wait until nothing is in the queue; return whether that came to be."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if not (await running.metrics())["modeldeployment_queue_length"]:
            return True
        await asyncio.sleep(0.5)
    return False


async def _samples(running: Running) -> dict[str, Any]:
    """Return the operator's own counts."""
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{running.port}/metrics") as answer:
        families = list(text_string_to_metric_families(await answer.text()))
    samples = [sample for family in families for sample in family.samples]
    requests = [one for one in samples if one.name == "modeldeployment_api_requests_total"]
    writes = [one for one in requests if one.labels["verb"] in WRITES and one.labels["resource"] != LEASES]
    return {
        "sent": int(sum(one.value for one in writes if one.labels["code"] != "error")),
        "without_answer": int(sum(one.value for one in writes if one.labels["code"] == "error")),
        "rollbacks": int(sum(one.value for one in samples if one.name == "modeldeployment_rollbacks_total")),
        "reconciles": {
            one.labels["result"]: int(one.value) for one in samples if one.name == "modeldeployment_reconciles_total"
        },
    }


def _writes_seen(ground: Ground, since: int, until: int) -> int:
    """Count the operator's writes between two places of the API server's log, but those of Leases."""
    count = 0
    with ground.audit.file.open("rb") as lines:
        lines.seek(since)
        for line in lines.read(until - since).splitlines():
            if b"modeldeployment-operator" not in line or not line.endswith(b"}"):
                continue
            event = json.loads(line)
            by_operator = str(event.get("userAgent", "")).startswith("modeldeployment-operator")
            resource = event.get("objectRef", {}).get("resource")
            done = event["stage"] == "ResponseComplete" and resource != LEASES
            count += by_operator and done and event["verb"] in WRITES
    return count


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--rate", type=float, default=3.0, help="changes a second")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    result = asyncio.run(soak(given.models, given.minutes, given.rate, given.seed))
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    told = {name: value for name, value in result.items() if name != "readings"}
    print(json.dumps(told, indent=1), f"all readings: {RESULT}", sep="\n")
    return 1 if result["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
