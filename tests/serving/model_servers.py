"""Model servers as processes of their own, each on its own address of the loopback network, as pods are."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from model_server import contract
from model_server.contract import Counts, Env

KEY = "ab" * 32
TOKEN = "operator's token"
GRPC_PORT = 18500
HTTP_PORT = 18501
ADMIN_PORT = 18502
START_SECONDS = 120.0
_addresses = (
    f"127.{10 + os.getpid() % 240}.{high}.{low}" for high, low in itertools.product(range(256), range(1, 255))
)
"""Others for each run of the tests, so that two can run at once."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def token(self) -> str:
        return self.headers[contract.PREDICTION_ID_HEADER.lower()]

    @property
    def revision(self) -> str:
        return self.headers[contract.REVISION_HEADER.lower()]


def call(address: str, port: int, method: str, path: str, body: object = None, **headers: str) -> Reply:
    """One request on a connection of its own. `body` is bytes, or becomes JSON."""
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection = HTTPConnection(address, port, timeout=30)
    try:
        connection.request(method, path, content, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


@dataclass
class ModelServer:
    """One pod."""

    folder: Path
    """Its volumes."""
    model_dir: Path
    revision: str = "r1"
    environment: dict[str, str] = field(default_factory=dict)
    address: str = field(default_factory=lambda: next(_addresses))
    process: subprocess.Popen[bytes] | None = None

    @property
    def log_file(self) -> Path:
        return self.folder / "log"

    @property
    def termination_log(self) -> Path:
        return self.folder / "termination"

    def start(self) -> None:
        """Start the container, or start it again."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / contract.FEEDBACK_KEY_FILE).write_text(KEY)
        (self.folder / contract.ADMIN_TOKEN_FILE).write_text(TOKEN)
        arguments = {
            "--host": self.address,
            "--grpc-port": GRPC_PORT,
            "--http-port": HTTP_PORT,
            "--admin-port": ADMIN_PORT,
            "--model-dir": self.model_dir,
            "--keys-dir": self.folder,
            "--state-dir": self.folder / "state",
            "--termination-log": self.termination_log,
        }
        pod = {
            Env.MODEL_NAME: "m",
            Env.REVISION: self.revision,
            Env.POD_UID: f"uid-{self.address}",
            Env.POD_IP: self.address,
            Env.DRAIN_SECONDS: "1",
        }
        command = [
            sys.executable,
            *contract.SERVE_COMMAND[1:],
            *(str(part) for pair in arguments.items() for part in pair),
        ]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **pod, **self.environment}, stdout=log, stderr=log
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.is_ready():
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server does not get ready:\n{self.log_file.read_text()}")
            time.sleep(0.1)

    def is_ready(self) -> bool:
        try:
            return call(self.address, ADMIN_PORT, "GET", contract.READY_PATH).status == 200
        except OSError:
            return False

    def wait(self, seconds: float = START_SECONDS) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    def terminate(self) -> None:
        assert self.process is not None
        self.process.terminate()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def predict(self, instances: object, **headers: str) -> Reply:
        return self.post(contract.PREDICT_SUFFIX, {"instances": instances}, **headers)

    def feedback(self, identity: str, label: object) -> Reply:
        return self.post(contract.FEEDBACK_SUFFIX, {"id": identity, "label": label})

    def post(self, suffix: str, body: object, **headers: str) -> Reply:
        path = contract.MODEL_PATH_TEMPLATE.format(model="m") + suffix
        return call(self.address, HTTP_PORT, "POST", path, body, **headers)

    def get(self, suffix: str = "") -> Reply:
        return call(self.address, HTTP_PORT, "GET", contract.MODEL_PATH_TEMPLATE.format(model="m") + suffix)

    def admin(self, method: str, path: str, body: object = None, token: str = TOKEN) -> Reply:
        return call(self.address, ADMIN_PORT, method, path, body, Authorization=f"Bearer {token}")

    def counts(self) -> Counts:
        reply = self.admin("GET", contract.COUNTS_PATH)
        assert reply.status == 200
        counts: Counts = reply.json()
        return counts

    def rotate(self, forward_to: str | None, share: float = 1.0, *, copy: bool = False) -> None:
        wanted = {"forward_to": forward_to, "share": share, "copy": copy}
        assert self.admin("PUT", contract.ROTATION_PATH, wanted).status == 200

    @property
    def host_port(self) -> str:
        return f"{self.address}:{HTTP_PORT}"

    @property
    def failure(self) -> dict[str, str]:
        failure: dict[str, str] = json.loads(self.termination_log.read_text())
        return failure
