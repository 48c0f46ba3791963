"""The traffic's pod, and its records as they come in."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.demo import records, traffic
from tests.demo.errors import DemoError
from tests.demo.kubectl import KubectlError, output_of, stop
from tests.demo.workspace import CLASSES, HTTP_PORT, NAME, NAMESPACE, restricted_pod

if TYPE_CHECKING:
    import subprocess
    from types import TracebackType

    from tests.demo.kubectl import Kubectl
    from tests.demo.records import Record

POD = "traffic"
TEXTS = 800
"""As many as fit into a ConfigMap with room to spare."""
END_SECONDS = 30
_END = ("python3", "-c", "import os, signal; os.kill(1, signal.SIGTERM)")  # There is no shell in the image.


def manifests(image: str, holdout: Path) -> list[dict[str, Any]]:
    """Return the pod and what it needs: the client's own sources, and texts."""
    modules = {Path(str(module.__file__)).name: Path(str(module.__file__)) for module in (records, traffic)}
    sources = {name: path.read_text(encoding="utf-8") for name, path in modules.items()}
    texts = holdout.read_text(encoding="utf-8").splitlines()[:TEXTS]
    metadata = {"name": POD, "namespace": NAMESPACE}
    url = f"http://{NAME}.{NAMESPACE}.svc:{HTTP_PORT}/v1/models/{NAME}"
    options = ["--url", url, "--texts", "/files/texts.jsonl", "--classes", ",".join(CLASSES)]
    spec = restricted_pod(image, ["python3", "-m", "tests.demo.traffic", *options])
    items = [{"key": name, "path": f"tests/demo/{name}"} for name in sources]
    items.append({"key": "texts.jsonl", "path": "texts.jsonl"})
    spec["volumes"].append({"name": "files", "configMap": {"name": POD, "items": items}})
    spec["containers"][0]["volumeMounts"].append({"name": "files", "mountPath": "/files"})
    data = {**sources, "texts.jsonl": "\n".join(texts) + "\n"}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
    ]


class TrafficPod:
    """Follows the pod's output from its first line. A stream that breaks is begun again; no record is counted twice."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        self._records: list[Record] = []
        self._problem = ""
        self._ended = threading.Event()
        self._leaving = False
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._follow, name="traffic", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        if self._process is not None:
            self._process.terminate()
        self._thread.join(10)
        if not self._ended.is_set():  # The story broke off: nobody listens any more.
            with contextlib.suppress(KubectlError):
                self._kubectl.run("delete", "pod", POD, "--namespace", NAMESPACE, "--wait=false", seconds=20)

    @property
    def records(self) -> list[Record]:
        """What has come in so far."""
        return self._records.copy()

    def check(self) -> None:
        """Raise a DemoError if the traffic has ended by itself."""
        if self._problem:
            raise DemoError(f"The traffic ended by itself: {self._problem}")

    def end(self) -> list[Record]:
        """Have the pod end, after the labels that are due; return all records."""
        self._kubectl.run("exec", POD, "--namespace", NAMESPACE, "--", *_END)
        if not self._ended.wait(END_SECONDS):
            raise DemoError(
                f"The traffic did not end within {END_SECONDS} s. "
                f"See `{self._kubectl.line('logs', POD, '-n', NAMESPACE)}`."
            )
        self.check()
        return self.records

    def _follow(self) -> None:
        while not self._leaving and not self._ended.is_set():
            self._process = self._kubectl.start("logs", "--follow", POD, "--namespace", NAMESPACE)
            for line in output_of(self._process):
                self._take(line)
                if self._ended.is_set():
                    break
            stop(self._process)
            if not self._ended.is_set():
                time.sleep(0.5)

    def _take(self, line: str) -> None:
        numbered = records.read_line(line)
        expected = len(self._records) + 1
        if numbered is None:
            self._problem = (self._problem + line)[-2000:]
        elif numbered.number > expected:
            self._problem = f"records {expected} to {numbered.number - 1} were lost"
            self._ended.set()
        elif numbered.record is None:
            self._ended.set()
        elif numbered.number == expected:
            self._records.append(numbered.record)
