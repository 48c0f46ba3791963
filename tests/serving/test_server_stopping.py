"""Containers that are told to stop before they have begun."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from model_server import contract
from model_server.contract import Env

if TYPE_CHECKING:
    from pathlib import Path


def start(command: tuple[str, ...], folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    arguments = ["--model-dir", folder, "--keys-dir", folder, "--termination-log", folder / "termination"]
    return subprocess.Popen(
        [sys.executable, *command[1:], *map(str, arguments)],
        env={**os.environ, **environment},
        stderr=subprocess.DEVNULL,
    )


def test_fetching_stops_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        uri = f"http://127.0.0.1:{server.getsockname()[1]}/model.keras"
        with start(contract.FETCH_COMMAND, tmp_path, **{Env.MODEL_URI: uri}) as process, server.accept()[0]:
            process.send_signal(signal.SIGTERM)  # While it waits for an answer.
            assert process.wait(5) == 128 + signal.SIGTERM


def test_the_server_stops_at_once_before_it_listens(tmp_path: Path) -> None:
    pipe = tmp_path / contract.FEEDBACK_KEY_FILE
    os.mkfifo(pipe)
    with start(contract.SERVE_COMMAND, tmp_path, **{Env.MODEL_NAME: "m", Env.REVISION: "r"}) as process:
        end = opened(pipe)  # It reads its keys.
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        os.close(end)


def opened(pipe: Path) -> int:
    """The writing end of a pipe, as soon as somebody reads."""
    deadline = time.monotonic() + 20
    while True:
        assert time.monotonic() < deadline
        with suppress(OSError):  # ENXIO, until then.
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        time.sleep(0.02)
