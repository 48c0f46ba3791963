"""How the first process starts front ends, starts them again and ends them; other programs stand for them."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from model_server.contract import Env
from model_server.frontends import manager
from model_server.frontends.manager import FrontEnd, FrontEnds
from model_server.one import One

from tests.serving.in_process import serving_parts
from tests.unit.test_server_frontends import until

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
async def frontends(tmp_path: Path) -> FrontEnds:
    parts = serving_parts(tmp_path, environment={Env.FRONTEND_PROCESSES: "1"})
    assert isinstance(parts.content, One)
    return FrontEnds(parts, parts.content.catalog)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has a line of the shell stand for front ends."""

    def write(line: str) -> None:
        script = tmp_path / "program"
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(script))

    return write


def open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_front_ends_that_end_again_and_again_leave_nothing_open(
    frontends: FrontEnds, program: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "RESTART_SECONDS", 0.0)
    program(f"echo >> {tmp_path}/starts; exit 3")
    starts = tmp_path / "starts"
    async with frontends.running():
        frontends.start()
        await until(lambda: starts.exists() and starts.stat().st_size > 5)
        before = open_files()
        await until(lambda: starts.stat().st_size > 100, 60)
        assert open_files() <= before + 6  # Of one that runs just now.


async def test_what_cannot_be_started_leaves_nothing_open_and_is_tried_again(
    frontends: FrontEnds, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(manager, "RESTART_SECONDS", 0.0)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    tried: list[float] = []
    monkeypatch.setattr(manager, "warning", lambda *_, **__: tried.append(time.monotonic()))
    before = open_files()
    async with frontends.running():
        frontends.start()
        await until(lambda: len(tried) > 50)
        assert open_files() <= before + 6


@pytest.mark.parametrize("line", ["exit 3", "exec sleep 60"])
async def test_the_end_waits_neither_for_the_next_start_nor_for_one_that_was_never_ready(
    frontends: FrontEnds, program: Callable[[str], None], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "RESTART_SECONDS", 60.0)
    program(line)
    async with frontends.running():
        frontends.start()
        await asyncio.sleep(0.5)
        began = time.monotonic()
    assert time.monotonic() - began < 5


async def test_the_end_may_come_while_one_is_started(frontends: FrontEnds, program: Callable[[str], None]) -> None:
    program("exec sleep 60")
    began = time.monotonic()
    async with frontends.running():
        frontends.start()
        await asyncio.sleep(0)
    assert time.monotonic() - began < 5


async def test_one_that_does_not_end_as_it_was_told_is_killed(
    frontends: FrontEnds, program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(manager, "END_SECONDS", 0.5)
    number = tmp_path / "number"
    program(f"echo $$ > {number}; exec sleep 60")
    async with frontends.running():
        frontends.start()
        await until(lambda: number.exists() and number.read_text())
        (one,) = frontends._running
        one.is_ready = True
        began = time.monotonic()
    assert 0.4 < time.monotonic() - began < 5
    process = Path("/proc", number.read_text().strip(), "cmdline")
    await until(lambda: not process.exists() or not process.read_bytes())


async def test_one_that_is_to_end_is_given_nothing_though_it_was_not_ready_before(frontends: FrontEnds) -> None:
    one = FrontEnd(frontends)
    one.finish()
    one._take(("ready",))
    assert not one.is_ready


async def test_a_remark_that_came_of_predictions_here_is_told_with_the_next_connection(frontends: FrontEnds) -> None:
    one = FrontEnd(frontends)
    sent: list[object] = []
    one._link.send = lambda *message: sent.append(message)  # type: ignore[method-assign]
    one._handing, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    frontends.version._marker.no_ids = "why"  # type: ignore[attr-defined]
    with theirs, one._handing, socket.socket() as connection:
        assert one.give("http", connection)
        assert one.give("http", connection)
    assert sent == [("remark", "why")]
