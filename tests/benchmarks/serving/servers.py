"""The servers that are measured: ours, what it stands on without a model, and peers."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from model_server import contract
from model_server.contract import Env
from model_server.settings import Place

from tests.benchmarks.serving.processes import Server
from tests.benchmarks.serving.requests import MODEL, Protocol
from tests.cluster.paths import REPOSITORY
from tests.support import environments

PEERS: Final = Path(__file__).parents[1] / "peers"
HTTP_PORT, GRPC_PORT, ADMIN_PORT = 18501, 18500, 18502
OURS: Final = "ours"
HTTP_FLOOR, GRPC_FLOOR = "HTTP floor", "gRPC floor"
PROCESSORS: Final = os.cpu_count() or 1
_REST = (Protocol.V1, Protocol.V2, Protocol.V2_BINARY)
_GRPC = (Protocol.PREDICT, Protocol.INFER)


@dataclass(frozen=True)
class Kind:
    """A server that can be measured."""

    name: str
    make: Callable[[str, str, Path, Path], Server]
    """Of an address, a model's name, the folder of models and one for its own files."""
    protocols: tuple[Protocol, ...]
    is_peer: bool = False


def ours(address: str, model: str, models: Path, folder: Path) -> Server:
    """The model server as in a pod, but for its ports and folders."""
    return model_server(OURS, address, models / model, folder, {})


def model_server(name: str, address: str, model: Path, folder: Path, environment: Mapping[str, str]) -> Server:
    """Make a model server of a SavedModel with some settings."""
    (folder / contract.FEEDBACK_KEY_FILE).write_text("ab" * 32)
    (folder / contract.ADMIN_TOKEN_FILE).write_text("token")
    place = {
        "host": address,
        "http_port": HTTP_PORT,
        "grpc_port": GRPC_PORT,
        "admin_port": ADMIN_PORT,
        "model_dir": model,
        "keys_dir": folder,
        "state_dir": folder / "state",
        "termination_log": folder / "termination",
    }
    known = {field.name for field in fields(Place)}
    options = [f"--{key.replace('_', '-')}={value}" for key, value in place.items() if key in known]
    pod = {
        Env.MODEL_NAME: MODEL,
        Env.REVISION: "r1",
        Env.POD_UID: f"uid-{address}",
        Env.POD_IP: address,
        Env.DRAIN_SECONDS: "0",
    }
    return Server(
        name=name,
        command=(sys.executable, "-m", "model_server", *options),
        environment={**{str(key): value for key, value in pod.items()}, **environment},
        folder=folder,
        address=address,
        ready_port=ADMIN_PORT,
        ready_path=contract.READY_PATH,
    )


def fastapi(workers: int) -> Callable[[str, str, Path, Path], Server]:
    """FastAPI with so many processes."""

    def make(address: str, model: str, models: Path, folder: Path) -> Server:
        options = [f"--host={address}", f"--port={HTTP_PORT}", f"--workers={workers}", f"--app-dir={PEERS}"]
        fast = ["--loop=uvloop", "--http=httptools", "--no-access-log", "--log-level=warning"]
        return Server(
            name=f"FastAPI x{workers}",
            command=(_python("fastapi"), "-m", "uvicorn", "fastapi_app:app", *options, *fast),
            environment={
                "PEER_MODEL": str(models / f"{model}.keras"),
                "PEER_THREADS": str(max(1, PROCESSORS // workers)),
                "PYTHONPATH": "",
            },
            folder=folder,
            address=address,
            ready_port=HTTP_PORT,
            ready_path="/ready",
        )

    return make


def mlserver(workers: int) -> Callable[[str, str, Path, Path], Server]:
    """MLServer, which batches in its first process; the model runs there, too, or in a worker."""

    def make(address: str, model: str, models: Path, folder: Path) -> Server:
        settings = {
            "host": address,
            "http_port": HTTP_PORT,
            "grpc_port": GRPC_PORT,
            "metrics_port": ADMIN_PORT,
            "parallel_workers": workers,
            "debug": False,
        }
        # The time that was best for it here of 1, 2, 5 and 10 ms: it waits as long for a lone client, too.
        of_model = {
            "name": MODEL,
            "implementation": "mlserver_runtime.TensorFlowModel",
            "max_batch_size": 64,
            "max_batch_time": 0.002,
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "model-settings.json").write_text(json.dumps(of_model))
        python = _python("mlserver")
        return Server(
            name="MLServer" if workers == 0 else f"MLServer +{workers}",
            command=(python, str(Path(python).with_name("mlserver")), "start", str(folder)),
            environment={
                "PEER_MODEL": str(models / f"{model}.keras"),
                "PEER_THREADS": str(PROCESSORS),
                "PYTHONPATH": str(PEERS),
            },
            folder=folder,
            address=address,
            ready_port=HTTP_PORT,
            ready_path=f"/v2/models/{MODEL}/ready",
        )

    return make


def floor(name: str, kind: str) -> Callable[[str, str, Path, Path], Server]:
    """A server without a model, which answers with the bytes in `folder`/answers."""

    def make(address: str, model: str, models: Path, folder: Path) -> Server:
        del model, models
        port = GRPC_PORT if name == GRPC_FLOOR else HTTP_PORT
        return Server(
            name=name,
            command=(sys.executable, "-m", "tests.benchmarks.serving.floor", kind, address, str(port), str(ADMIN_PORT)),
            environment={"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'serving_image'}"},
            folder=folder,
            address=address,
            ready_port=ADMIN_PORT,
            ready_path="/",
        )

    return make


KINDS: Final = (
    Kind(OURS, ours, (*_REST, *_GRPC)),
    Kind(HTTP_FLOOR, floor(HTTP_FLOOR, "http"), _REST),
    Kind(GRPC_FLOOR, floor(GRPC_FLOOR, "grpc"), _GRPC),
    Kind("FastAPI x1", fastapi(1), (Protocol.V1,), is_peer=True),
    Kind("FastAPI x2", fastapi(2), (Protocol.V1,), is_peer=True),
    Kind("MLServer", mlserver(0), (Protocol.V2, Protocol.INFER), is_peer=True),
    Kind("MLServer +1", mlserver(1), (Protocol.V2,), is_peer=True),
)


def port_of(protocol: Protocol) -> int:
    """Tell which port of a server a protocol is spoken on."""
    return GRPC_PORT if protocol.is_grpc else HTTP_PORT


def _python(peer: str) -> str:
    return environments.python(PEERS / f"{peer}.txt")
