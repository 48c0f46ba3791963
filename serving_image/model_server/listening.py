"""Takes connections on a port: for this process, or for one that helps it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.logs import warning

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

Connection = TypeVar("Connection")

BACKLOG: Final = 2048
HANDSHAKE_SECONDS: Final = 10.0
_AT_ONCE: Final = 64
"""Connections that are taken before others have their turn."""
SETTLE_SECONDS: Final = 1.0
"""At the end, for connections that were just taken: until they have their protocol."""
_FIRST_WORD_SECONDS: Final = 0.05
"""And until this has read what their clients have sent already."""
_FULL_SECONDS: Final = 1.0
"""Until it is tried again, when this process has as many files open as it may."""


class Connections(set[Connection]):
    """Those that are open. `ended` is called after the end of each."""

    def __init__(self, ended: Callable[[], None] | None = None) -> None:
        super().__init__()
        self._ended = ended

    def discard(self, connection: object) -> None:
        """Forget one."""
        if connection in self:
            super().discard(connection)
            if self._ended is not None:
                self._ended()


class Sharing(Protocol):
    """Who else answers connections."""

    def give(self, port: str, connection: socket.socket) -> bool:
        """Give a connection to another process; False: it is to be answered here."""

    def count(self, here: Callable[[], int]) -> None:
        """Learn how to find out how many connections this process has on a port."""


class Door:
    """Gives each connection of a port its protocol. Without a listener it takes those alone that it is handed.

    `ended` is called for each of these that ends before its protocol has seen it.
    """

    def __init__(
        self,
        port: str,
        protocol: Callable[[], asyncio.BaseProtocol],
        listener: socket.socket | None,
        sharing: Sharing | None = None,
        ended: Callable[[], None] | None = None,
    ) -> None:
        self._port = port
        self._protocol = protocol
        self._listener = listener
        self._sharing = sharing
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        self._accepting = False
        self._beginning: set[asyncio.Task[None]] = set()

    async def open(self, tls: ssl.SSLContext | None = None) -> None:
        """Take connections from now on; called again, take them with other certificates.

        Connections that are there stay as they are, and those that wait to be taken are not lost: the socket stays.
        """
        self._tls = tls
        if self._listener is None:
            return
        if self._sharing is not None:
            self._accept_later()
            return
        before = self._server
        self._server = await self._loop.create_server(
            self._protocol,
            sock=self._listener.dup(),
            ssl=tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if tls is not None else None,
        )
        if before is not None:
            before.close()

    def close(self) -> None:
        """Take no more."""
        if self._server is not None:
            self._server.close()
        if self._listener is not None:
            if self._accepting:
                self._accepting = False
                self._loop.remove_reader(self._listener)
            self._listener.close()

    def adopt(self, connection: socket.socket) -> None:
        """Answer a connection that was taken already."""
        task = self._loop.create_task(self._begin(connection))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    @property
    def beginning(self) -> int:
        """Connections that were taken and have no protocol yet."""
        return len(self._beginning)

    async def settle(self) -> None:
        """At the end, let connections that were just taken come to their protocol, with what they ask."""
        if self._beginning:
            await asyncio.wait(self._beginning, timeout=SETTLE_SECONDS)
            await asyncio.sleep(_FIRST_WORD_SECONDS)

    async def _begin(self, connection: socket.socket) -> None:
        patience = HANDSHAKE_SECONDS if self._tls is not None else None
        try:
            await self._loop.connect_accepted_socket(
                self._protocol, connection, ssl=self._tls, ssl_handshake_timeout=patience
            )
        except OSError:  # It has gone, or (SSLError is one) wants no TLS that we speak.
            connection.close()
            if self._ended is not None:
                self._ended()

    def _accept_later(self) -> None:
        if not self._accepting and self._listener is not None and self._listener.fileno() >= 0:
            self._accepting = True
            self._listener.setblocking(False)
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        assert self._listener is not None  # noqa: S101  # It is what has come.
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # Too many open files: those that wait do so in the kernel.
                warning("a connection could not be taken", port=self._port, reason=str(error))
                self._loop.remove_reader(self._listener)
                self._accepting = False
                self._loop.call_later(_FULL_SECONDS, self._accept_later)
                return
            connection.setblocking(False)
            if self._sharing is not None and self._sharing.give(self._port, connection):
                connection.close()
            else:
                self.adopt(connection)


def bind(host: str, port: int) -> socket.socket:
    """Take a port; of every address, IPv4 and IPv6, if there is no host. Raises `StartError`."""
    both = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both or ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        message = f"cannot listen on port {port} of {host or 'all addresses'}: {error.strerror}"
        raise StartError(StartFailure.BAD_SETTINGS, message) from error
