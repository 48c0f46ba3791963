"""Many connections, and many requests: what they cost the server's process."""

from __future__ import annotations

import asyncio
import gzip
import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.serving.raw_http import GET, POST, Client

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS = 10_000
KIB_A_CONNECTION = 8
REQUESTS = 20_000
GROWTH_KIB = 512
"""Of the anonymous memory of the process, after it has seen all kinds of requests."""


@dataclass
class Process:
    """A server."""

    pid: int
    port: int

    def kib(self) -> int:
        """Anonymous memory."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1])  # type: ignore[index]  # It is there.

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def connect(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self.port))


@pytest.fixture
def process() -> Iterator[Process]:
    """With room for as many connections, here and there."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 1000
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, before[0]), max(wanted, before[1])))
    command = [sys.executable, "-m", "tests.serving.raw_http"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        yield Process(server.pid, int(server.stdout.readline()))
        server.stdin.close()
        assert server.wait(20) == 0  # It found nothing that was held.
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_idle_connections_are_cheap(process: Process) -> None:
    first = await process.connect()
    assert (await first.ask(GET + b"\r\n")).status == 200
    empty = process.kib()
    clients: list[Client] = []
    for _ in range(CONNECTIONS // 500):
        clients += await asyncio.gather(*(process.connect() for _ in range(500)))
    for client in clients[::10]:
        assert (await client.ask(GET + b"\r\n")).status == 200
    took = process.kib() - empty
    assert took < CONNECTIONS * KIB_A_CONNECTION
    before, cpu = time.monotonic(), process.cpu_seconds()
    await asyncio.sleep(2)
    assert process.cpu_seconds() - cpu < 0.1 * (time.monotonic() - before)
    assert (await first.ask(GET + b"\r\n")).status == 200
    for client in clients:
        client.writer.close()
    await first.close()


async def test_memory_stays_flat(process: Process) -> None:
    packed = gzip.compress(b"x" * 100_000)
    kinds = [
        GET + b"\r\n",
        POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000,
        POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        POST + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(packed), packed),
        b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /bytes/100000 HTTP/1.1\r\nHost: h\r\nAccept-Encoding: zstd\r\n\r\n",
        b"GET /bytes/100000 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /%d HTTP/1.1\r\nHost: h\r\nX: %d\r\n\r\n",
    ]

    async def ask(client: Client, count: int) -> None:
        for number in range(count):
            kind = kinds[number % len(kinds)]
            assert (await client.ask(kind % (number, number) if b"%d" in kind else kind)).status == 200

    async def refused(count: int) -> None:
        for _ in range(count):
            client = await process.connect()
            assert (await client.ask(b"no HTTP\r\n\r\n")).status == 400
            await client.close()

    clients = [await process.connect() for _ in range(8)]
    await asyncio.gather(*(ask(client, REQUESTS // 16) for client in clients), refused(100))
    before = process.kib()
    await asyncio.gather(*(ask(client, REQUESTS // 16) for client in clients), refused(100))
    assert process.kib() - before < GROWTH_KIB
    for client in clients:
        await client.close()
