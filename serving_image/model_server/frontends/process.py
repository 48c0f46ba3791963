"""A front end: answers the connections that it is handed, until the first process tells it to end, or is gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from typing import TYPE_CHECKING, Final

from model_server import grpc_server, ports
from model_server.copying import Copier
from model_server.dataplane.one_model import OneModel
from model_server.forwarder import Forwarder
from model_server.frontends import packing
from model_server.frontends.link import Link
from model_server.frontends.remote import (
    Asking,
    RemoteContent,
    RemoteLabels,
    RemoteMetrics,
    RemoteVersion,
    RemoteWitness,
)
from model_server.http import server as http_server
from model_server.http.access import Access
from model_server.http.limits import Bodies
from model_server.http2 import server as http2_server
from model_server.keys import follow
from model_server.logs import warning
from model_server.parts import Parts
from model_server.passing import Seal
from model_server.pods import PodClient
from model_server.rotation import Passing
from model_server.state import Phase, Standing

if TYPE_CHECKING:
    from collections.abc import Callable

    from model_server.frontends.link import Message
    from model_server.listening import Door
    from model_server.prediction_id import KeyRing
    from model_server.settings import ServeSettings

_AT_ONCE: Final = 64
"""Connections that are taken before others have their turn."""
_MOST_NAME_BYTES: Final = 16


class FrontEndProcess:
    """What it knows of the first process, and what it answers with that."""

    def __init__(self, settings: ServeSettings, keys: KeyRing) -> None:
        self._settings = settings
        self._keys = keys
        self._end = asyncio.Event()
        self._standing = Standing()
        self._is_ready = False
        """Whether it knows all that it needs to answer."""
        self._asking = Asking()
        self._link = Link(self._take, self._gone, self._asking.unsent)
        self._catalog = OneModel(settings.model, int(settings.version), settings.revision, RemoteLabels(self._asking))
        self._doors: dict[str, Door] = {}
        self._does: dict[str, Callable[..., None]] = {
            "model": self._model,
            "standing": self._stand,
            "remark": self._remark,
            "answer": self._asking.answered,
            "error": self._asking.failed,
            "finish": self._end.set,
        }

    async def run(self, link: socket.socket, handed: socket.socket) -> None:
        """Answer until told to finish, and then what is asked by then."""
        loop = asyncio.get_running_loop()
        for connection in (link, handed):
            connection.setblocking(False)
        client = PodClient(Access(self._settings.tls_dir, self._settings.tokens_file))
        following = asyncio.create_task(follow(self._settings.place.keys_dir, self._keys))
        async with contextlib.aclosing(client):
            parts = self._parts(client)
            async with (
                ports.answering_clients(parts, ended=self._ended) as web,
                grpc_server.listen(parts, ended=self._ended) as calls,
            ):
                self._doors = {http_server.PORT: web.door, http2_server.PORT: calls.door}
                grpc_server.prepare()
                await loop.create_unix_connection(lambda: self._link, sock=link)
                self._asking.link = self._link
                loop.add_reader(handed, self._adopt, handed)
                await self._end.wait()
                loop.remove_reader(handed)
                while self._adopt(handed):  # What was handed over before it was told to end.
                    pass
                # Both at once: the first process, and the one who stops the pod, do not wait for one after the other.
                await asyncio.gather(web.close(), calls.close(grpc_server.FINISH_SECONDS))
        following.cancel()
        parts.copier.close()
        parts.tracing.close()
        self._link.close()

    def _parts(self, client: PodClient) -> Parts:
        settings = self._settings
        seal = Seal(str(settings.pod_ip or settings.pod_uid or "pod"), self._keys)
        metrics = RemoteMetrics(self._link)
        parts = Parts(
            settings=settings,
            state=self._standing,
            content=RemoteContent(self._catalog),
            metrics=metrics,
            revision=settings.revision,
            forwarder=Forwarder(client, seal),
            seal=seal,
            copier=Copier(client.access, seal, RemoteWitness(self._link), metrics.count_copied),
            bodies=Bodies.share(1 + settings.frontend_processes, settings.max_body_bytes),
            access=client.access,
        )
        if settings.traces:
            from model_server import tracing  # Here, as in the first process.

            parts.tracing = tracing.start(settings)
        return parts

    def _take(self, message: Message) -> None:
        self._does[message[0]](*message[1:])

    def _gone(self) -> None:
        """End at once without the first process: there is nothing to answer with, and another pod may answer."""
        if not self._end.is_set():
            warning("the process that has the model has gone: its front end ends")
            os._exit(1)
        self._asking.lost()

    def _model(self, signatures: packing.Packed) -> None:
        settings = self._settings
        version, read = int(settings.version), packing.unpack_signatures(signatures)
        self._catalog.loaded = RemoteVersion(settings.model, version, settings.revision, read, self._asking)

    def _stand(self, phase: str, to: str | None, share: float, copy: bool) -> None:  # As it was packed.
        self._standing.phase, self._standing.passing = Phase(phase), Passing(to, share, copy)
        if not self._is_ready and self._catalog.loaded is not None:
            self._is_ready = True
            self._link.send("ready")

    def _remark(self, text: str | None) -> None:
        if isinstance(self._catalog.loaded, RemoteVersion):
            self._catalog.loaded.no_ids = text

    def _ended(self) -> None:
        self._link.send("closed")

    def _adopt(self, handed: socket.socket) -> bool:
        """Take some of the connections that were handed over; false if there were fewer."""
        for _ in range(_AT_ONCE):
            try:
                name, numbers, _, _ = socket.recv_fds(handed, _MOST_NAME_BYTES, 1)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                name, numbers = b"", []
            if not name:  # The other end is closed.
                asyncio.get_running_loop().remove_reader(handed)
                return False
            for number in numbers:
                connection = socket.socket(fileno=number)
                connection.setblocking(False)
                self._doors[name.decode()].adopt(connection)
            if not numbers:  # The kernel has closed it: this process has as many files open as it may.
                warning("a connection was lost: too many open files", port=name.decode())
                self._ended()
        return True


async def serve(settings: ServeSettings, keys: KeyRing, link: int, handed: int) -> None:
    """Be a front end, with the sockets of these numbers."""
    for number in (signal.SIGTERM, signal.SIGINT):  # The first process is told, and tells when it is time.
        asyncio.get_running_loop().add_signal_handler(number, lambda: None)
    with socket.socket(fileno=link) as first, socket.socket(fileno=handed) as second:
        await FrontEndProcess(settings, keys).run(first, second)
