"""A Prometheus of its own for a test: a process on loopback, with its configuration and data in a directory."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

from tests.support import debian
from tests.support.prometheus import Prometheus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

SECONDS = 30.0
_LISTENS = re.compile(r'component=web msg="Listening on" address=127\.0\.0\.1:(\d+)')


class PrometheusProcess:
    """Runs while the context is entered; `stop` and `start` in between leave it its port and its data."""

    def __init__(self, directory: Path, config: Mapping[str, Any], *arguments: str) -> None:
        """Take a directory for everything, a configuration as Prometheus documents it, and further arguments."""
        self.directory = directory
        self._arguments: Sequence[str] = arguments
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        directory.mkdir(parents=True, exist_ok=True)
        self._write(config)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Its URL, once it was started."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def client(self) -> Prometheus:
        """What asks it."""
        return Prometheus(self.url)

    @property
    def log(self) -> Path:
        """What it said."""
        return self.directory / "prometheus.log"

    def start(self) -> None:
        """Start it; return when it answers queries. The first start chooses a free port."""
        command = [
            str(debian.command("prometheus")),
            f"--config.file={self._config}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            *self._arguments,
        ]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait(self._answers, "it did not answer")

    def stop(self) -> None:
        """End it as Kubernetes does. Repeating it is harmless."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def reload(self, config: Mapping[str, Any]) -> None:
        """Take another configuration."""
        assert self._process is not None
        self._write(config)
        said = self.log.stat().st_size
        self._process.send_signal(signal.SIGHUP)
        self._wait(lambda: b"Completed loading" in self.log.read_bytes()[said:], "it did not take the configuration")

    @property
    def _config(self) -> Path:
        return self.directory / "prometheus.yml"

    def _write(self, config: Mapping[str, Any]) -> None:
        self._config.write_text(json.dumps(config))  # JSON is YAML

    def _answers(self) -> bool:
        listens = _LISTENS.search(self.log.read_text())
        if not listens:
            return False
        self._port = int(listens[1])
        return self.client.is_ready()

    def _wait(self, holds: Callable[[], bool], otherwise: str) -> None:
        assert self._process is not None
        deadline = time.monotonic() + SECONDS
        while not holds():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise TimeoutError(f"{otherwise}:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.02)
