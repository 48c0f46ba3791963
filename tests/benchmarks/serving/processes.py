"""Servers as processes: what they and their children take of the machine."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
START_SECONDS = 90.0


class StartError(Exception):
    """A server did not become ready."""


@dataclass(frozen=True)
class Memory:
    """Megabytes of a server's processes together. `pss` counts pages that they share once, `anonymous` no files."""

    rss: float
    pss: float
    anonymous: float


@dataclass
class Running:
    """A server that answers."""

    name: str
    address: str
    """Without a port."""
    process: subprocess.Popen[bytes]
    ready_seconds: float

    def pids(self) -> list[int]:
        """Its process and all that descend from it."""
        children: dict[int, list[int]] = {}
        for folder in PROC.iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                    children.setdefault(int(fields[1]), []).append(int(folder.name))
        found = [self.process.pid]
        for pid in found:
            found += children.get(pid, [])
        return found

    def cpu_seconds(self) -> float:
        """User and system time of all processes so far."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
                total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def memory(self) -> Memory:
        """What all processes hold now."""
        sums = {"Rss": 0, "Pss": 0, "Anonymous": 0}
        for pid in self.pids():
            with contextlib.suppress(OSError):
                text = (PROC / str(pid) / "smaps_rollup").read_text()
                for name in sums:
                    found = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
                    sums[name] += int(found[1]) if found else 0
        return Memory(*(round(kilobytes / 1024, 1) for kilobytes in sums.values()))

    def stop(self) -> None:
        """End it, and what it started."""
        pids = self.pids()
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)
        for pid in pids:
            if pid != self.process.pid or self.process.poll() is None:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()


@dataclass(frozen=True)
class Server:
    """How to start a server, and how to know that it is ready."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    """Where it runs; its log is there, too."""
    address: str
    ready_port: int
    ready_path: str

    def start(self) -> Running:
        """Start it, and wait until it is ready. Raises `StartError`."""
        started = time.perf_counter()
        log = self.folder / f"{self.name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        running = Running(self.name, self.address, process, 0.0)
        while not self._is_ready():
            took = time.perf_counter() - started
            if process.poll() is not None or took > START_SECONDS:
                running.stop()
                raise StartError(f"{self.name} was not ready after {took:.0f} s; its log ends:\n{_end(log)}")
            time.sleep(0.02)
        running.ready_seconds = time.perf_counter() - started
        return running

    def _is_ready(self) -> bool:
        connection = HTTPConnection(self.address, self.ready_port, timeout=5)
        try:
            connection.request("GET", self.ready_path)
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextlib.contextmanager
def all_of(servers: list[Server]) -> Iterator[dict[str, Running]]:
    """Start servers one after another, so that none slows another's start; end them all."""
    running: dict[str, Running] = {}
    try:
        for server in servers:
            running[server.name] = server.start()
        yield running
    finally:
        for each in running.values():
            each.stop()


def _end(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
