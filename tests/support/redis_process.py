"""A Redis server of Debian's on this machine, or the one that is on the PATH."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support import debian

if TYPE_CHECKING:
    from types import TracebackType

PACKAGES = ("redis-tools", "redis-server", "libatomic1", "libjemalloc2", "liblzf1")
"""The program is in the first; the others are what it needs and a machine may lack."""
START_SECONDS = 20.0


class RedisProcess:
    """Listens on a port of its own of the loopback network. What it holds is gone when it stops."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program, self._environment = _program(folder / "debian")
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        listen = ["--bind", "127.0.0.1", "--port", str(self.port)]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program), *listen, "--save", "", "--appendonly", "no"],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "redis.log").read_text()
            assert time.monotonic() < deadline, "redis does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self, milliseconds: int) -> None:
        """Have it take requests and answer none for a while."""
        self._ask(f"CLIENT PAUSE {milliseconds} ALL")

    def _answers(self) -> bool:
        try:
            return self._ask("PING").startswith(b"+PONG")
        except OSError:
            return False

    def _ask(self, command: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(1000)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _program(directory: Path) -> tuple[Path, dict[str, str]]:
    if on_path := shutil.which("redis-server"):
        return Path(on_path), dict(os.environ)
    debian.together(PACKAGES, directory)
    libraries = directory / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
    return directory / "usr" / "bin" / "redis-server", {**os.environ, "LD_LIBRARY_PATH": str(libraries)}
