"""Servers that find what no init container has prepared, and what clients learn of a server's inside: nothing."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from model_server import contract
from model_server.contract import StartFailure

from tests.serving.model_servers import ADMIN_PORT, HTTP_PORT, call

if TYPE_CHECKING:
    from tests.serving.conftest import StartServer
    from tests.serving.model_servers import ModelServer


def children(process: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


def until(seconds: float, condition: object) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def gone(process: int) -> bool:
    try:
        return "Z" in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_ends_takes_the_process_with_it(start: StartServer, how: signal.Signals) -> None:
    server = start("text.keras", wait=False)
    process = server.process
    assert process is not None
    until(60, lambda: children(process.pid))
    (child,) = children(process.pid)
    process.send_signal(how)
    assert server.wait(10) == (0 if how == signal.SIGTERM else -signal.SIGKILL)
    until(10, lambda: gone(child))


def test_nothing_stays_of_what_was_prepared(start: StartServer, tmp_path: Path) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    server = start("single.keras", TMPDIR=str(folder))
    assert list(folder.iterdir()) == []
    assert server.predict([[1.0, 2.0]]).json()["predictions"] == [[3.0]]
    log = [json.loads(line) for line in server.log_file.read_text().splitlines() if line.startswith("{")]
    (prepared,) = [line for line in log if line["message"] == "prepared"]
    assert prepared["format"] == "keras"
    assert {"no_new_privs", "seccomp"} <= set(prepared["confined"])


def test_a_file_that_is_refused_names_no_path_of_the_server(start: StartServer) -> None:
    server = start("three.keras", wait=False)
    server.kill()
    content = bytearray((server.model_dir / "three.keras").read_bytes())
    content[len(content) // 2] ^= 1
    (server.model_dir / "three.keras").write_bytes(content)
    server.start()
    assert server.wait() == 1
    assert server.failure["reason"] == StartFailure.LOAD_FAILED
    assert_tells_nothing(server, server.failure["message"])


INSIDE = ("Traceback", ".py", "site-packages", "{{node", "model_server", 'File "', "/usr/", "/root", "/home", "/tmp")


def assert_tells_nothing(server: ModelServer, text: str) -> None:
    assert text
    for word in (*INSIDE, str(server.model_dir), str(server.folder)):
        assert word not in text, text


def abuses() -> list[tuple[str, str, bytes]]:
    model = contract.MODEL_PATH_TEMPLATE.format(model="m")
    bodies = [
        b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"instances": 1}', b'{"instances": []}', b'{"instances": [[[1]]]}',
        b'{"instances": ["no number"]}', b'{"instances": ["1", 2]}', b'{"instances": [{"b64": "//"}]}',
        b'{"instances": [{"b64": "!"}]}', b'{"instances": [{"y": "1"}]}', b'{"inputs": {"x": [["1"], ["2", "3"]]}}',
        b'{"inputs": {"nobody": 1}}', b'{"instances": ["1"], "signature_name": "../../etc/passwd"}',
        b'{"instances": ["1"], "signature_name": "__saved_model_init_op"}', b'{"instances": ["\\ud800"]}',
        b'{"id": "x", "label": 1}', b'{"instances": [' + b"9" * 5000 + b"]}", b"[" * 50_000, b'{"instances": [1e999]}',
    ]  # fmt: skip
    paths = [
        f"{model}:predict",
        f"{model}:classify",
        f"{model}:regress",
        f"{model}/feedback",
        f"{model}/versions/7:predict",
    ]
    paths += [
        "/v2/models/m/infer",
        "/v2/repository/index",
        f"{model}:nobody",
        "/../../etc/passwd",
        "/%00",
        "/v1/models/m%2f..",
    ]
    return [("POST", path, body) for path in paths for body in bodies] + [
        (method, path, b"") for method in ("GET", "PUT", "DELETE", "PATCH") for path in paths
    ]


def test_clients_learn_nothing_of_the_inside(start: StartServer) -> None:
    server = start("picky")
    failed = set()
    for method, path, body in abuses():
        reply = call(server.address, HTTP_PORT, method, path, body)
        if reply.status >= 400:
            failed.add(reply.status)
            assert reply.status != 500, (method, path, body[:50], reply.body)
            if reply.body:
                assert_tells_nothing(server, reply.body.decode())
        assert not {"server", "x-powered-by"} & reply.headers.keys()
    assert {400, 404, 405} <= failed
    for path in (contract.COUNTS_PATH, contract.ROTATION_PATH, "/debug", "/"):
        reply = call(server.address, ADMIN_PORT, "GET", path)
        assert reply.status in (401, 404, 405)
        if reply.body:
            assert_tells_nothing(server, reply.body.decode())
    said = server.predict(["no number"]).json()["error"]
    assert "StringToNumberOp could not correctly convert string: no number" in said
    assert server.predict(["1"]).json() == {"predictions": [1.0]}
