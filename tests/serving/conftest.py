"""Model servers for tests: real processes with real TensorFlow."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
import uvloop

from tests.serving.model_servers import ModelServer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the server runs on."""
    return {"uvloop": uvloop.new_event_loop}


class StartServer(Protocol):
    def __call__(self, model: str, *, revision: str = "r1", wait: bool = True, **environment: str) -> ModelServer: ...


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of `sample_models`."""
    return _written("sample_models", tmp_path_factory)


@pytest.fixture(scope="session")
def classic_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of `classic_models`."""
    return _written("classic_models", tmp_path_factory)


@pytest.fixture(scope="session")
def engine_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of `engine_models`."""
    return _written("engine_models", tmp_path_factory)


def _written(module: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(module)
    made = subprocess.run(
        [sys.executable, "-m", f"tests.serving.{module}", str(folder)], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    return folder


class Pods:
    """Starts model servers, and stops them."""

    def __init__(self, models: Path, folder: Path) -> None:
        self._models = models
        self._folder = folder
        self._started: list[ModelServer] = []

    def start(self, model: str, *, revision: str = "r1", wait: bool = True, **environment: str) -> ModelServer:
        folder = self._folder / f"pod-{len(self._started)}"
        model_dir = self._folder / f"model-{len(self._started)}"
        model_dir.mkdir()
        source = self._models / model
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, model_dir / model)
        server = ModelServer(folder, model_dir, revision, environment)
        self._started.append(server)
        server.start()
        if wait:
            server.wait_until_ready()
        return server

    def stop(self) -> None:
        for server in self._started:
            if server.process is not None and server.process.poll() is None:
                server.kill()


@pytest.fixture
def start(models: Path, tmp_path: Path) -> Iterator[StartServer]:
    """Starts a server with one of `models`; the test's end stops it."""
    pods = Pods(models, tmp_path)
    yield pods.start
    pods.stop()


@pytest.fixture(scope="module")
def shared(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """As `start`, for servers that a whole module uses."""
    pods = Pods(models, tmp_path_factory.mktemp("shared"))
    yield pods.start
    pods.stop()


@pytest.fixture(scope="module")
def shared_classic(classic_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """As `shared`, with `classic_models`."""
    pods = Pods(classic_models, tmp_path_factory.mktemp("shared"))
    yield pods.start
    pods.stop()


@pytest.fixture(scope="module")
def pair(shared: StartServer) -> tuple[ModelServer, ModelServer]:
    """A bad revision and a good one."""
    bad, good = (shared("text.keras", revision=revision, wait=False) for revision in ("bad", "good"))
    bad.wait_until_ready()
    good.wait_until_ready()
    return bad, good
