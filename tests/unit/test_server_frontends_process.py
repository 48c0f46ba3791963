"""What a front end makes of what the first process tells and hands it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from model_server.frontends import packing
from model_server.frontends.process import FrontEndProcess
from model_server.prediction_id import Key, KeyRing

from tests.serving.in_process import Half, serving_parts

if TYPE_CHECKING:
    from pathlib import Path

MODEL = ("model", packing.pack_signatures(Half().signatures))
SERVING = ("standing", "serving", None, 1.0, False)


class Sent(list[Any]):
    """In place of the link."""

    def send(self, *message: Any) -> None:
        self.append(message)


@pytest.fixture
async def process(tmp_path: Path) -> FrontEndProcess:
    return FrontEndProcess(serving_parts(tmp_path).settings, KeyRing(Key.from_secret(b"k" * 32)))


@pytest.fixture
def sent(process: FrontEndProcess) -> Sent:
    process._link = sent = Sent()  # type: ignore[assignment]
    return sent


async def test_it_is_ready_once_it_knows_the_model_and_whether_this_pod_serves(
    process: FrontEndProcess, sent: Sent
) -> None:
    process._take(MODEL)
    assert not sent
    process._take(SERVING)
    process._take(("standing", "draining", "m:8501", 1.0, False))
    assert sent == [("ready",)]


async def test_it_is_not_ready_without_a_model_even_if_the_rotation_changes_while_it_starts(
    process: FrontEndProcess, sent: Sent
) -> None:
    process._take(SERVING)
    assert not sent
    process._take(MODEL)
    process._take(SERVING)
    assert sent == [("ready",)]


async def test_connections_that_it_cannot_open_are_told_of_as_closed(process: FrontEndProcess, sent: Sent) -> None:
    handing, handed = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with handing, handed:
        handed.setblocking(False)
        for _ in range(100):
            handing.send(b"http")  # What comes of a message whose connection the kernel could not hand over.
        assert process._adopt(handed)
        assert not process._adopt(handed)
    assert sent == [("closed",)] * 100
