"""How the operator starts while there is no API server, or not the key that it needs."""

from __future__ import annotations

import base64
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.integration.conftest import ControlPlane
from tests.integration.operator_process import Operator


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def probed(port: int, path: str) -> int | None:
    """Return the status of an answer; None if there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_probes_are_answered_while_there_is_no_api_server(
    control_plane: ControlPlane, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    """The kubelet would restart it, later each time, and it would come back long after the API server."""
    document = yaml.safe_load(control_plane.kubeconfig.read_text(encoding="utf-8"))
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_text(yaml.safe_dump(document), encoding="utf-8")
    port = free_port()

    with Operator(kubeconfig, tmp_path / "operator.log", "nowhere", HTTP_PORT=str(port)) as operator:
        eventually(lambda: probed(port, "/healthz") == 200)
        eventually(lambda: "the start waits for the API server" in operator.log.read_text())
        assert probed(port, "/readyz") == 503
        assert probed(port, "/metrics") == 200
        assert operator.running
        operator.terminate()


@pytest.mark.parametrize("root", ["", "00ff", "no hexadecimal digits", None])
def test_a_key_that_is_none_is_told_and_nothing_is_made_with_it(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, eventually: Callable[..., None], root: str | None
) -> None:
    data = {} if root is None else {"root": base64.b64encode(root.encode()).decode()}
    name = "modeldeployment-operator-keys"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}
    control_plane.in_namespace(namespace)("create", "-f", "-", stdin=json.dumps(secret))

    with Operator(control_plane.kubeconfig, tmp_path / "operator.log", namespace) as operator:
        eventually(lambda: not operator.running)
        assert f"Secret {namespace}/{name} does not hold the operator's key: restore it" in operator.log.read_text()
