"""Watches the ModelDeployment, and tells of its changes as they happen."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from tests.demo.errors import DemoError
from tests.demo.kubectl import MODEL_DEPLOYMENTS, output_of, stop
from tests.demo.narration import changes

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from types import TracebackType

    from tests.demo.kubectl import Kubectl

Document = dict[str, Any]


class Watch:
    """A watch of one ModelDeployment, in a thread of its own."""

    def __init__(self, kubectl: Kubectl, namespace: str, name: str, tell: Callable[[str], None]) -> None:
        path = MODEL_DEPLOYMENTS.format(namespace=namespace)
        self._words = ("get", "--raw", f"{path}?watch=true&fieldSelector=metadata.name%3D{name}")
        self._kubectl = kubectl
        self._tell = tell
        self._leaving = False
        self._process: subprocess.Popen[str] | None = None
        self._changed = threading.Condition()
        self._current: Document = {}
        self._thread = threading.Thread(target=self._follow, name="watch", daemon=True)

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

    @property
    def current(self) -> Document:
        """The object as it was last seen; empty before."""
        with self._changed:
            return self._current

    def until(
        self,
        what: str,
        holds: Callable[[Document], bool],
        *,
        seconds: float,
        meanwhile: Callable[[], None] | None = None,
    ) -> Document:
        """Wait until the object is as wanted, calling `meanwhile` every second; DemoError if it takes too long."""
        deadline = time.monotonic() + seconds
        while True:
            with self._changed:
                if self._current and holds(self._current):
                    return self._current
                self._changed.wait(1.0)
                if self._current and holds(self._current):
                    return self._current
            if meanwhile is not None:
                meanwhile()
            if time.monotonic() > deadline:
                raise DemoError(f"{what} did not happen within {seconds:.0f} s.")

    def _follow(self) -> None:
        while not self._leaving:
            self._process = self._kubectl.start(*self._words)
            for line in output_of(self._process):
                self._take(line)
            stop(self._process)
            if not self._leaving:
                time.sleep(0.5)

    def _take(self, line: str) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return
        if event.get("type") not in {"ADDED", "MODIFIED"}:
            return
        with self._changed:
            before, self._current = self._current, event["object"]
            self._changed.notify_all()
        for sentence in changes(before, event["object"]):
            self._tell(sentence)
