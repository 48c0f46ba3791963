"""A network that breaks: connections go through to a server, and some are reset after so many bytes of its answers."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class BrokenWire:
    """Listens on a port of its own. `cuts` counts the connections that were reset."""

    def __init__(self, server: int, after: int, times: int) -> None:
        """Take the server's port, after how many bytes to cut, and how many connections; -1: all."""
        self._server = server
        self._after = after
        self._left = times
        self.cuts = 0
        self.has_cut = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server)) as server:
            back = threading.Thread(target=_pump, args=(client, server), daemon=True)
            back.start()
            carried = 0
            with contextlib.suppress(OSError):
                while data := server.recv(65536):
                    carried += len(data)
                    if carried > self._after and self._may_cut():
                        client.sendall(data[: max(0, self._after - carried)] or data[:1])
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        break
                    client.sendall(data)
            for one, how in ((server, socket.SHUT_RDWR), (client, socket.SHUT_RD)):
                with contextlib.suppress(OSError):
                    one.shutdown(how)
            back.join()  # A socket that somebody reads from is not closed, and so not reset.

    def _may_cut(self) -> bool:
        with self._lock:
            if self._left == 0:
                return False
            self._left -= 1
            self.cuts += 1
            self.has_cut.set()
            return True


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


@contextlib.contextmanager
def broken_wire(server: int, after: int, times: int = 1) -> Iterator[BrokenWire]:
    wire = BrokenWire(server, after, times)
    try:
        yield wire
    finally:
        wire.close()
