"""The server's own HTTP and gRPC with the same bytes and no model: what all that is built on them can reach at most.

`floor http|grpc ADDRESS PORT READY_PORT`. The answers are files in the working folder, each named by the length of what
is asked: `LENGTH.answer`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
from model_server.http.messages import Request, Response
from model_server.http.server import listening
from model_server.http2.server import Listening
from model_server.listening import bind
from model_server.rpc.calls import Call, Calls, Method, Rules

if TYPE_CHECKING:
    from model_server.errors import RequestError
    from model_server.http.messages import Head

LIMIT = 16 * 2**20


class Same:
    """A handler of HTTP."""

    def __init__(self, answers: dict[int, bytes]) -> None:
        self._answers = answers

    def limit(self, head: Head) -> int:
        return LIMIT

    def answer(self, request: Request) -> Response:
        return Response(self._answers.get(len(request.body), b""))

    def refuse(self, head: Head | None, error: RequestError) -> Response:
        return Response(str(error).encode(), error.status)

    def gone(self, head: Head) -> None:
        pass


def http_floor(answers: dict[int, bytes], address: str, port: int) -> AbstractAsyncContextManager[Any]:
    return listening(Same(answers), bind(address, port))


@asynccontextmanager
async def grpc_floor(answers: dict[int, bytes], address: str, port: int) -> AsyncIterator[None]:
    async def answer(call: Call) -> bytes:
        return answers[len(call.message)]

    paths = ("/tensorflow.serving.PredictionService/Predict", "/inference.GRPCInferenceService/ModelInfer")
    calls = Calls({path: Method("predict", LIMIT, answer) for path in paths}, Rules(), 8 * LIMIT)
    listening = Listening(calls, bind(address, port))
    await listening.listen()
    try:
        yield
    finally:
        await listening.close(1.0)


async def main(answers: dict[int, bytes], kind: str, address: str, port: int, ready_port: int) -> None:
    """Serve until ended."""
    floor = http_floor if kind == "http" else grpc_floor
    async with floor(answers, address, port), http_floor({}, address, ready_port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    made = {int(path.stem): path.read_bytes() for path in Path().glob("*.answer")}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(made, sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
