"""A client of HTTP/2 that does what it is told, right or wrong."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpack import Decoder
from model_server.http2 import frames

if TYPE_CHECKING:
    from collections.abc import Iterable

SECONDS = 5.0


@dataclass
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes


class Peer:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = Decoder()

    @classmethod
    async def connect(cls, port: int, *, settings: Iterable[tuple[int, int]] = (), greet: bool = True) -> Peer:
        peer = cls(*await asyncio.open_connection("127.0.0.1", port))
        if greet:
            peer.send(frames.PREFACE + frames.settings(settings))
        return peer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def headers(
        self, stream: int, *pairs: tuple[str, str], path: str = "/echo", end: bool = False, flags: int = 0
    ) -> bytes:
        block = request_headers(*pairs, path=path)
        return frames.frame(frames.HEADERS, frames.END_HEADERS | flags | end * frames.END_STREAM, stream, block)

    def call(self, stream: int, message: bytes, *pairs: tuple[str, str], path: str = "/echo") -> bytes:
        """A whole call."""
        data = b"\x00" + len(message).to_bytes(4) + message
        chunks = [data[start : start + frames.DEFAULT_FRAME] for start in range(0, len(data), frames.DEFAULT_FRAME)]
        parts = [frames.frame(frames.DATA, 0, stream, chunk) for chunk in chunks[:-1]]
        parts.append(frames.frame(frames.DATA, frames.END_STREAM, stream, chunks[-1]))
        return self.headers(stream, *pairs, path=path) + b"".join(parts)

    async def read(self) -> Frame | None:
        """The next frame; None: the connection has ended."""
        try:
            head = await asyncio.wait_for(self.reader.readexactly(frames.HEAD_BYTES), SECONDS)
            high, low, kind, flags, stream = frames.unpack_head(head, 0)
            return Frame(kind, flags, stream, await asyncio.wait_for(self.reader.readexactly(high << 8 | low), SECONDS))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def until(self, kind: int) -> Frame:
        """The next frame of a kind."""
        while (frame := await self.read()) is not None:
            if frame.kind == kind:
                return frame
        raise AssertionError(f"the connection ended without a frame of the kind {kind}")

    async def answer(self, stream: int) -> tuple[dict[str, str], bytes]:
        """All headers and trailers of an answer, and its message."""
        fields: dict[str, str] = {}
        body = b""
        while (frame := await self.read()) is not None:
            if frame.kind == frames.HEADERS:
                decoded = [(str(name), str(value)) for name, value in self._decoder.decode(frame.payload)]
                if frame.stream == stream:
                    fields |= dict(decoded)
                    if frame.flags & frames.END_STREAM:
                        return fields, body[5:]
            elif frame.kind == frames.DATA and frame.stream == stream:
                body += frame.payload
        raise AssertionError("the connection ended without the answer")

    async def goaway(self) -> tuple[int, str]:
        """Code and reason of the connection's end, after which it is closed."""
        frame = await self.until(frames.GOAWAY)
        self.writer.write_eof()
        while await self.read() is not None:
            pass
        return int.from_bytes(frame.payload[4:8]), frame.payload[8:].decode()

    async def close(self) -> None:
        """Hang up."""
        self.writer.transport.abort()
        with suppress(OSError):
            await self.writer.wait_closed()


def request_headers(*pairs: tuple[str, str], path: str = "/echo") -> bytes:
    """The headers of a call."""
    usual = ((":method", "POST"), (":scheme", "http"), (":path", path), ("content-type", "application/grpc"))
    return b"".join(frames.literal(name, value) for name, value in (*usual, *pairs))
