"""The first process's side: starts front ends, hands them connections, answers what they ask."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from dataclasses import astuple, fields
from typing import TYPE_CHECKING, Final

from model_server.errors import RequestError
from model_server.frontends import packing
from model_server.frontends.link import Link
from model_server.http.limits import FINISH_SECONDS
from model_server.logs import event, warning
from model_server.passing import Copied, Forwarded, Passed
from model_server.running import Run
from model_server.shadows import Witnessed
from model_server.telling import INTERNAL, told

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from model_server.dataplane.one_model import Loaded, OneModel
    from model_server.dataplane.servable import Labels
    from model_server.frontends.link import Message
    from model_server.parts import ServerParts
    from model_server.settings import Place

SHARE: Final = 2
"""Connections that a front end gets for each that the first process keeps, which calls the model besides."""
RESTART_SECONDS: Final = 1.0
MOST_RESTART_SECONDS: Final = 60.0
"""Between one start and the next of a front end that ends by itself; what lasts longer counts as having worked."""
END_SECONDS: Final = FINISH_SECONDS + 5.0
"""Until a front end that was told to end is killed: it finishes running requests as this process does meanwhile."""


class FrontEnd:
    """One process, as long as it runs."""

    def __init__(self, manager: FrontEnds) -> None:
        self._manager = manager
        self._loop = asyncio.get_running_loop()
        self._running: dict[int, asyncio.Task[None] | Run[None]] = {}
        """What it has asked, by its numbers."""
        self._link = Link(self._take, self._lost, self._unsent)
        self._handing: socket.socket | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.is_ready = False
        """Whether it may be given connections: it knows what it needs to answer, and is not to end."""
        self._told_remark: str | None = None
        self._is_finishing = False
        self.connections = 0
        """That it was handed and has not closed."""
        self._does: dict[str, Callable[..., None]] = {
            "ready": self._begin,
            "ask": self._ask,
            "labels": self._labels,
            "cancel": self._cancel,
            "observed": self._manager.parts.metrics.note_request,
            "forwarded": lambda outcome: self._manager.parts.metrics.count_forwarded(Forwarded(outcome)),
            "copied": lambda outcome, number: self._manager.parts.metrics.count_copied(Copied(outcome), number),
            "expect": self._manager.parts.shadows.expect,
            "settle": self._settle,
            "closed": self._closed,
        }

    async def run(self) -> int:
        """Start the process and wait for its end; returns its exit code. Raises OSError if it cannot be started."""
        try:
            process = self._process = await self._start()
            if self._is_finishing:  # It was told so before it was there.
                self.kill()
            self._link.send("model", packing.pack_signatures(self._manager.version.signatures))
            self.tell_standing()
            self.tell_remark()
            return await process.wait()
        finally:
            self.kill()
            self._lost()
            self._link.close()

    async def _start(self) -> asyncio.subprocess.Process:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            ours.setblocking(False)
            await self._loop.create_unix_connection(lambda: self._link, sock=ours)
            self._handing, handed = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with handed:
                self._handing.setblocking(False)
                numbers = (theirs.fileno(), handed.fileno())
                command = (sys.executable, "-m", "model_server.frontends", ",".join(map(str, numbers)))
                return await asyncio.create_subprocess_exec(
                    *command, *_options(self._manager.parts.settings.place), pass_fds=numbers
                )

    def give(self, port: str, connection: socket.socket) -> bool:
        """Hand it a connection; False if it cannot be told just now."""
        if self._handing is None:
            return False
        self._keep_remark()
        try:
            socket.send_fds(self._handing, [port.encode()], [connection.fileno()])
        except OSError:
            return False
        self.connections += 1
        return True

    def tell_standing(self) -> None:
        """Tell it whether this pod serves, and for whom."""
        state = self._manager.parts.state
        self._link.send("standing", state.phase.value, *astuple(state.passing))

    def tell_remark(self) -> None:
        """Tell it why predictions get no ids, if they do not."""
        self._told_remark = self._manager.version.no_ids
        self._link.send("remark", self._told_remark)

    def finish(self) -> None:
        """Have it finish what is asked, and end; at once if it was never ready, as it has no connections then."""
        self._is_finishing = True
        if self.is_ready:
            self.is_ready = False
            self._link.send("finish")
        else:
            self.kill()

    def kill(self) -> None:
        """End it now."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def _take(self, message: Message) -> None:
        self._does[message[0]](*message[1:])

    def _lost(self) -> None:
        """Forget it: nobody waits for its answers any more."""
        self.is_ready = False
        for one in list(self._running.values()):
            one.cancel()
        if self._handing is not None:
            self._handing.close()
            self._handing = None

    def _begin(self) -> None:
        if not self._is_finishing:
            self.is_ready = True
            event("a front end is ready", process=self._process.pid if self._process is not None else None)

    def _settle(self, token: str, witnessed: packing.Packed | None) -> None:
        self._manager.parts.shadows.settle(token, None if witnessed is None else Witnessed(*witnessed))

    def _closed(self) -> None:
        self.connections -= 1

    def _keep_remark(self) -> None:
        """Tell the remark if there is another by now: what this process answers itself may bring one."""
        if self._manager.version.no_ids != self._told_remark:
            self.tell_remark()

    def _unsent(self, message: Message) -> None:
        kind, *content = message
        if kind == "answer":
            self._link.send("error", content[0], packing.pack_error(RequestError(INTERNAL)))

    def _ask(self, number: int, question: packing.Packed) -> None:
        run = Run(self._answer(number, question))
        if not run.begin(lambda _: self._running.__delitem__(number)):
            self._running[number] = run

    def _labels(self, number: int, labels: packing.Packed, passed: str | None) -> None:
        task = self._running[number] = self._loop.create_task(self._count(number, labels, passed))
        task.add_done_callback(lambda _: self._running.pop(number, None))

    def _cancel(self, number: int) -> None:
        if number in self._running:
            self._running[number].cancel()

    async def _answer(self, number: int, packed: packing.Packed) -> None:
        try:
            answer = packing.pack_answer(await self._manager.version.ask(packing.unpack_question(packed)))
        except Exception as error:
            self._link.send("error", number, packing.pack_error(told(error)))
            return
        self._keep_remark()
        self._link.send("answer", number, answer)

    async def _count(self, number: int, labels: packing.Packed, passed: str | None) -> None:
        intake = self._manager.labels
        try:
            results = await intake.take(packing.unpack_labels(labels), None if passed is None else Passed(passed))
        except Exception as error:
            self._link.send("error", number, packing.pack_error(told(error)))
            return
        self._link.send("answer", number, packing.pack_results(results))


class FrontEnds:
    """All of them. A `Sharing`: each connection goes to the process that has the fewest for its part of the work."""

    def __init__(self, parts: ServerParts, catalog: OneModel) -> None:
        self.parts = parts
        self._catalog = catalog
        self._running: list[FrontEnd] = []
        self._here: list[Callable[[], int]] = []
        self._end_by = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._ending = asyncio.Event()
        parts.state.changed.append(self._tell_standing)
        parts.metrics.tell_of_frontends(lambda: len(self._ready()))

    @property
    def version(self) -> Loaded:
        """What they ask. Raises `Unavailable` before it is loaded."""
        return self._catalog.find(self.parts.settings.model)

    @property
    def labels(self) -> Labels:
        """Where labels go that came to them."""
        return self._catalog.intake(self.parts.settings.model)

    def give(self, port: str, connection: socket.socket) -> bool:
        """Give a connection to a front end, unless it is this process's turn."""
        ready = self._ready()
        if not ready:
            return False
        chosen = min(ready, key=lambda one: one.connections)
        here = sum(count() for count in self._here)
        return chosen.connections < here * SHARE and chosen.give(port, connection)

    def count(self, here: Callable[[], int]) -> None:
        """Learn how to find out how many connections this process has on a port."""
        self._here.append(here)

    def start(self) -> None:
        """Start them, now that there is a model, and start those anew that end by themselves."""
        self._tasks = [asyncio.create_task(self._keep()) for _ in range(self.parts.settings.frontend_processes)]

    def finish(self) -> None:
        """Have all finish what is asked, and end."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._end_by = time.monotonic() + END_SECONDS
        for one in self._running:
            one.finish()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have them end with this, those that do not finish in time at once."""
        try:
            yield
        finally:
            self.finish()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=max(0.0, self._end_by - time.monotonic()))
            for one in self._running:
                one.kill()
            for task in self._tasks:
                task.cancel()

    async def _keep(self) -> None:
        patience = RESTART_SECONDS
        while not self._ending.is_set():
            began = time.monotonic()
            how = await self._run_one()
            if self._ending.is_set():
                return
            if time.monotonic() - began > MOST_RESTART_SECONDS:
                patience = RESTART_SECONDS
            warning("a front end ended, and its connections with it", **how, again_after_seconds=patience)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await self._ending.wait()
            patience = min(patience * 2, MOST_RESTART_SECONDS)

    async def _run_one(self) -> dict[str, object]:
        """Run a front end; returns how it ended."""
        one = FrontEnd(self)
        self._running.append(one)
        try:
            return {"code": await one.run()}
        except Exception as error:  # Whatever it is: this process answers alone, and tries again.
            return {"reason": repr(error)}
        finally:
            self._running.remove(one)

    def _ready(self) -> list[FrontEnd]:
        return [one for one in self._running if one.is_ready]

    def _tell_standing(self) -> None:
        for one in self._running:
            one.tell_standing()


def _options(place: Place) -> list[str]:
    return [f"--{field.name.replace('_', '-')}={getattr(place, field.name)}" for field in fields(place)]
