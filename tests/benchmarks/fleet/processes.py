"""The operator as a process, and what it takes."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.benchmarks.fleet.ground import OPERATOR_NAMESPACE, REPOSITORY

_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Running:
    """An operator that runs."""

    pid: int
    port: int

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()[0] not in "ZX"
        except OSError:
            return False

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def memory_mib(self) -> float:
        """Resident memory now."""
        return self._status("VmRSS")

    @property
    def peak_mib(self) -> float:
        """The most that it ever had."""
        return self._status("VmHWM")

    async def metrics(self) -> Mapping[str, float]:
        """Return its metrics without labels."""
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
            return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}

    async def until_ready(self) -> None:
        """Wait until it has seen everything."""
        async with asyncio.timeout(120), aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)

    def _status(self, name: str) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


@asynccontextmanager
async def operator(kubeconfig: Path, log: Path) -> AsyncIterator[Running]:
    """Start the operator, wait until it has seen everything, and end it as the kubelet does."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = os.environ | {
        "KUBECONFIG": str(kubeconfig),
        "OPERATOR_NAMESPACE": OPERATOR_NAMESPACE,
        "SERVING_IMAGE": "localhost/model-server:1",
        "POD_NAME": f"operator-{time.time_ns()}",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(port),
        "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY / 'serving_image'}",
    }
    command = [sys.executable, "-m", "modeldeployment_operator"]
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=output, stderr=output)
        try:
            running = Running(process.pid, port)
            await running.until_ready()
            yield running
        finally:
            process.terminate()
            await process.wait()
