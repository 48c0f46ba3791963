"""Objects as they change. When the API server ends a watch, as it does every few minutes, another one begins."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Self

from modeldeployment_operator.cli.kubectl import Body, Kubectl, failure

_REST: Final = 2.0
"""Seconds between two watches."""


class Watch:
    """Has kubectl tell of changes, in a thread of its own, and keeps what is."""

    def __init__(self, kubectl: Kubectl, name: str | None, *, everywhere: bool) -> None:
        self._kubectl = kubectl
        self._name = name
        self._everywhere = everywhere
        self._told: queue.SimpleQueue[Body | Exception | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.bodies: dict[tuple[str, str], Body] = {}
        """What is now, by namespace and name."""
        self.silent = False
        """Whether nobody tells of changes at the moment."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._process:
            self._process.kill()
        self._thread.join(timeout=_REST)

    def changed(self, seconds: float) -> bool:
        """Wait for a change; return whether there was one. CommandError if there is nothing to be watched."""
        try:
            told = self._told.get(timeout=seconds)
        except queue.Empty:
            return False
        while True:
            self._take(told)
            try:
                told = self._told.get_nowait()
            except queue.Empty:
                return True

    def _take(self, told: Body | Exception | None) -> None:
        if isinstance(told, Exception):
            raise told
        if told is None:
            self.silent = True
            return
        self.silent = False
        metadata = told["object"]["metadata"]
        if told["type"] == "DELETED":
            self.bodies.pop((metadata["namespace"], metadata["name"]), None)
        elif told["type"] in {"ADDED", "MODIFIED"}:
            self.bodies[metadata["namespace"], metadata["name"]] = told["object"]

    def _run(self) -> None:
        first = True
        while not self._ended.is_set():
            errors = self._watch()
            if errors and first:
                self._told.put(failure(errors))
                return
            if errors:
                self._told.put(None)
            first = False
            self._ended.wait(_REST)

    def _watch(self) -> str:
        """Watch until it ends; return what kubectl complains of."""
        self._process = process = self._kubectl.watch(self._name, everywhere=self._everywhere)
        assert process.stdout  # noqa: S101 - it was started so,
        assert process.stderr  # noqa: S101 - both of them.
        with process:
            for event in documents(process.stdout):
                self._told.put(event)
            errors = process.stderr.read()
        return errors if process.returncode else ""


def documents(lines: Iterable[str]) -> Iterator[Body]:
    """Yield the documents that kubectl prints one after the other: each in a line, or over many as in other answers."""
    text: list[str] = []
    for line in lines:
        text.append(line)
        whole = line.startswith("{") and line.rstrip().endswith("}") and len(text) == 1
        if whole or line.rstrip("\n") == "}":
            yield json.loads("".join(text))
            text = []
