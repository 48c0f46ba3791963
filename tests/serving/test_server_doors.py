"""Connections that end before their protocol has seen them: each is told of once, and none stays open."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from model_server.http.tls import read_identity
from model_server.listening import Connections, Door

from tests.serving import certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Counted(asyncio.Protocol):
    """As those of the ports: it is among the connections from its beginning to its end."""

    def __init__(self, connections: Connections[Counted]) -> None:
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        self._connections.discard(self)


def garbage(client: socket.socket) -> None:
    client.sendall(b"GET / HTTP/1.1\r\n\r\n")


def closed(client: socket.socket) -> None:
    client.close()


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def half(client: socket.socket) -> None:
    client.sendall(b"\x16\x03\x01\x02\x00\x01")
    client.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("way", [garbage, closed, reset, half])
@pytest.mark.parametrize("is_secured", [True, False])
async def test_connections_that_end_at_once_are_told_of_once_each(
    way: Callable[[socket.socket], None], is_secured: bool, tmp_path: Path
) -> None:
    ended: list[None] = []
    connections: Connections[Counted] = Connections(lambda: ended.append(None))
    door = Door("http", lambda: Counted(connections), None, ended=lambda: ended.append(None))
    secret = certificates.issued(None, "m").write(tmp_path / "tls")
    await door.open(read_identity(secret).server if is_secured else None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        open_files = [await meet(door, listener, way, ended) for _ in range(3)]
    assert len(ended) == 3 * 20
    assert (door.beginning, len(connections)) == (0, 0)
    assert open_files[1] == open_files[2]


async def meet(door: Door, listener: socket.socket, way: Callable[[socket.socket], None], ended: Sequence[None]) -> int:
    """Take 20 connections; returns how many files are open after their end."""
    until = len(ended) + 20
    for number in range(20):
        with socket.create_connection(listener.getsockname()) as client:
            if number % 2:  # Before it is taken, or after.
                way(client)
                await asyncio.sleep(0.005)
            door.adopt(taken(listener))
            if number % 2 == 0:
                await asyncio.sleep(0.005)
                way(client)
    async with asyncio.timeout(5):
        while len(ended) < until:  # noqa: ASYNC110  # What is waited for tells nobody.
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    return count_files()


def taken(listener: socket.socket) -> socket.socket:
    connection, _ = listener.accept()
    connection.setblocking(False)
    return connection


def count_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))
