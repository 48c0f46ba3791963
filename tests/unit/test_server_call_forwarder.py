"""Calls of gRPC that are passed on, to a server of our own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from model_server.passing import Seal
from model_server.prediction_id import Key, KeyRing
from model_server.rpc.calls import Call
from model_server.rpc.forwarding import CallForwarder

from tests.unit.test_server_http2 import Server, reached, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
async def forwarder(server: Server) -> AsyncIterator[CallForwarder]:
    forwarder = CallForwarder(server.port, Seal("a", KeyRing(Key(1, b"k" * 32))))
    yield forwarder
    await forwarder.aclose()


def call(server: Server, *metadata: tuple[bytes, bytes], path: str = "/echo") -> Call:
    call = Call(path, metadata, "127.0.0.1", 0.0, None, server.room)
    call.message = b"hello"
    return call


@pytest.mark.parametrize(
    "pair", [(b"x-bin", b"A"), (b"x", "café".encode()), (b"x", b"a\x00b"), (b"x y", b"1"), (b"X", b"1"), (b"", b"1")]
)
async def test_metadata_that_nobody_may_send_does_no_harm(
    server: Server, forwarder: CallForwarder, pair: tuple[bytes, bytes]
) -> None:
    assert await forwarder.forward("127.0.0.1:1", call(server, pair, (b"good-bin", b"AAE"))) == b"hello"


async def test_calls_that_wait_are_answered_when_another_revision_serves(
    server: Server, forwarder: CallForwarder
) -> None:
    waiting = asyncio.create_task(forwarder.forward("127.0.0.1:1", call(server, path="/wait")))
    await reached(server, 1)
    assert await forwarder.forward("localhost:1", call(server)) == b"hello"
    server.go_on.set()
    assert await asyncio.wait_for(waiting, 10) == b"done"
