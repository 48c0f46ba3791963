"""The operator as a process of its own, so that it can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

REPOSITORY = Path(__file__).parents[2]
SERVING_IMAGE = "localhost/model-server:test"


class Operator:
    """Starts and ends the operator; what it says goes to a file."""

    def __init__(self, kubeconfig: Path, log: Path, namespace: str, *, more_paths: str = "", **settings: str) -> None:
        self._kubeconfig = kubeconfig
        self._more_paths = more_paths
        self._namespace = namespace
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.log = log

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if kind is not None:
            print(f"--- {self.log.name}\n{self.log.read_text()[-6000:]}")

    def start(self) -> None:
        """Start it."""
        environment = os.environ | {
            "KUBECONFIG": str(self._kubeconfig),
            "OPERATOR_NAMESPACE": self._namespace,
            "SERVING_IMAGE": SERVING_IMAGE,
            "WATCH_NAMESPACES": self._namespace,
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": "0",
            "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY / 'serving_image'}:{self._more_paths}",
            **self._settings,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "modeldeployment_operator"], env=environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End it as the kernel would: without a chance to do anything more."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process
        self._process.send_signal(number)

    def terminate(self) -> None:
        """End it as the kubelet does, and wait until it has ended."""
        self.signal(signal.SIGTERM)
        assert self._process
        self._process.wait(30)

    def kill_now(self) -> None:
        """End it without waiting, from any thread."""
        if self._process:
            self._process.kill()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None


class KeptAlive:
    """Starts a process again whenever it has died, as a kubelet does, but at once."""

    def __init__(self, operator: Operator) -> None:
        self.restarts = 0
        self._operator = operator
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopped.wait(0.05):
            if not self._operator.running:
                self._operator.start()
                self.restarts += 1
