"""Objects as they change. When the API server ends a watch, as it does every few minutes, another one begins."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, Self

from modeldeployment_operator.cli.errors import CommandError, Exit
from modeldeployment_operator.cli.kubectl import Body, Kubectl, Running, failure

_REST: Final = 2.0
"""Seconds between two watches."""


class Watch:
    """Has kubectl tell of changes, in a thread of its own, and keeps what is."""

    def __init__(self, kubectl: Kubectl, name: str | None, *, everywhere: bool) -> None:
        self._kubectl = kubectl
        self._name = name
        self._everywhere = everywhere
        self._told: queue.SimpleQueue[Body | list[Body] | CommandError | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._running: Running | None = None
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
        if self._running:
            self._running.kill()
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

    def _take(self, told: Body | list[Body] | CommandError | None) -> None:
        if isinstance(told, CommandError):
            raise told
        self.silent = told is None
        if told is None:
            return
        if isinstance(told, list):
            self.bodies = {(body["metadata"]["namespace"], body["metadata"]["name"]): body for body in told}
            return
        metadata = told["object"]["metadata"]
        if told["type"] == "DELETED":
            self.bodies.pop((metadata["namespace"], metadata["name"]), None)
        elif told["type"] in {"ADDED", "MODIFIED"}:
            self.bodies[metadata["namespace"], metadata["name"]] = told["object"]

    def _run(self) -> None:
        complaint = self._watch()
        if complaint is not None:
            self._told.put(failure(complaint))
            return
        while not self._ended.wait(_REST):
            self._told.put(self._all())
            if self._watch() is not None:
                self._told.put(None)

    def _watch(self) -> str | None:
        """Watch until it ends; return what kubectl complains of."""
        self._running = self._kubectl.watch(self._name, everywhere=self._everywhere)
        for event in documents(self._running.output):
            self._told.put(event)
        return self._running.complaint()

    def _all(self) -> list[Body] | None:
        """Return what there is: nobody tells of what was deleted between two watches. None if nobody answers."""
        try:
            return self._kubectl.get(self._name, everywhere=self._everywhere).bodies()
        except CommandError as error:
            return [] if error.code is Exit.NOT_FOUND else None


def documents(lines: Iterable[str]) -> Iterator[Body]:
    """Yield the documents that kubectl prints one after the other: each in a line, or over many as in other answers."""
    text: list[str] = []
    for line in lines:
        text.append(line)
        whole = line.startswith("{") and line.rstrip().endswith("}") and len(text) == 1
        if whole or line.rstrip("\n") == "}":
            yield json.loads("".join(text))
            text = []
