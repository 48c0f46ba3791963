"""Envoy Gateway and Envoy as processes of this machine, which follow the Gateways and routes of one namespace.

Envoy Gateway reads the API as it does in production, translates, writes the routes' status and configures an Envoy that
it starts itself. Its port for Envoy and the folder of its certificates are fixed: there is one at a time on a machine,
in a root directory of its own, which needs root.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

import pytest
import yaml

from tests.cluster.gateway import programs
from tests.cluster.network import free_ports
from tests.cluster.paths import cache
from tests.support import environments

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

GROUP = "gateway.networking.k8s.io"
NAME = "public"
START_SECONDS = 60.0

_IN_OWN_ROOT = """
set -e
mount -t tmpfs -o mode=755 tmpfs "$1"
for entry in /*; do
    if [ -L "$entry" ]; then cp -P "$entry" "$1$entry"
    elif [ -d "$entry" ]; then mkdir "$1$entry"; mount --rbind "$entry" "$1$entry"; fi
done
mkdir -p "$1/certs"
cp "$2"/* "$1/certs/"
root="$1"; shift 2
exec chroot "$root" "$@"
"""
"""What Envoy Gateway looks for in /certs lies there for it alone."""


def manifests() -> list[dict[str, Any]]:
    """Return the CustomResourceDefinitions of the Gateway API."""
    return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in programs.definitions()]


class EnvoyGateway:
    """One Gateway, `public`, in a namespace; `port` is where Envoy listens on every address of this machine."""

    def __init__(self, kubeconfig: Path, kubectl: Callable[..., str], namespace: str, folder: Path) -> None:
        self._kubeconfig = kubeconfig
        self._kubectl = kubectl
        """Runs kubectl in the namespace."""
        self._namespace = namespace
        self._folder = folder
        self._program = programs.envoy_gateway()
        self._ending = contextlib.ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self.log = folder / "envoy-gateway.log"
        self.port: int = free_ports(["envoy"])["envoy"]

    def __enter__(self) -> Self:
        with self._ending:
            lock = self._ending.enter_context((cache() / "gateway" / ".running").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._prepare()
            self._ending.callback(self.stop)
            self.start()
            self._kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(self._objects()))
            self._ending.callback(self._remove)
            self._ending = self._ending.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.close()
        if kind is not None:
            print(f"--- {self.log.name}\n{self.log.read_text()[-6000:]}")

    def _remove(self) -> None:
        """Take the Gateway away, without which Envoy Gateway lets its class go."""
        self._kubectl("delete", f"gateways.{GROUP}", NAME, "--ignore-not-found")
        self._kubectl("delete", f"gatewayclasses.{GROUP}", self._namespace, "--ignore-not-found", "--timeout=30s")

    def start(self) -> None:
        """Begin to follow the API."""
        root = self._folder / "root"
        root.mkdir(exist_ok=True)
        certificates = self._folder / "home" / "certs" / "envoy-gateway"
        inner = [str(self._program), "server", f"--config-path={self._folder / 'config.yaml'}"]
        command = ["unshare", "--mount", "--propagation=private", "sh", "-c", _IN_OWN_ROOT, "sh"]
        environment = os.environ | {"KUBECONFIG": str(self._kubeconfig), "ENVOY_GATEWAY_NAMESPACE": self._namespace}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(root), str(certificates), *inner], env=environment, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """End it, and its Envoy with it."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def wait(self) -> None:
        """Wait until Envoy listens."""
        end = time.monotonic() + START_SECONDS
        while not self._listens():
            if time.monotonic() > end:
                pytest.fail(f"Envoy does not listen after {START_SECONDS:.0f} s\n{self.log.read_text()[-4000:]}")
            time.sleep(0.2)

    def _listens(self) -> bool:
        path = 'jsonpath={.status.listeners[0].conditions[?(@.type=="Programmed")].status}'
        if self._kubectl("get", f"gateways.{GROUP}", NAME, "-o", path) != "True":
            return False
        asked = f"GET / HTTP/1.0\\r\\nHost: {NAME}\\r\\n\\r\\n"
        command = f"exec 3<>/dev/tcp/127.0.0.1/{self.port}; printf {shlex.quote(asked)} >&3; head -c 1 <&3"
        return bool(subprocess.run(["bash", "-c", command], capture_output=True, check=False).stdout)

    def _prepare(self) -> None:
        """Make certificates, the configuration, and find Envoy where Envoy Gateway looks for what it has downloaded."""
        home, data = self._folder / "home", self._folder / "data"
        certify = [str(self._program), "certgen", "--local", "--disable-topology-injector", f"--config-home={home}"]
        subprocess.run(certify, check=True, capture_output=True)
        (found,) = environments.environment(programs.ENVOY).glob("lib/python3*/site-packages/envoy/_bin/envoy")
        found.chmod(0o755)
        place = data / "envoy-versions" / programs.ENVOY_VERSION / "bin" / "envoy"
        place.parent.mkdir(parents=True)
        place.symlink_to(found)
        paths = {"configHome": home, "dataHome": data, "stateHome": self._folder / "state", "runtimeDir": self._folder}
        resource = {
            "type": "Kubernetes",
            "kubernetes": {
                "leaderElection": {"disable": True},
                "watch": {"type": "Namespaces", "namespaces": [self._namespace]},
            },
        }
        infrastructure = {"type": "Host", "host": {name: str(path) for name, path in paths.items()}}
        config = {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "EnvoyGateway",
            "gateway": {"controllerName": self._controller},
            "provider": {"type": "Custom", "custom": {"resource": resource, "infrastructure": infrastructure}},
        }
        (self._folder / "config.yaml").write_text(yaml.safe_dump(config))
        kinds = [*programs.definitions(), *programs.own_definitions()]
        files = [f"--filename={file}" for file in kinds]
        self._kubectl("apply", "--server-side", "--force-conflicts", *files)
        self._kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")

    @property
    def _controller(self) -> str:
        return f"gateway.envoyproxy.io/{self._namespace}"

    def _objects(self) -> list[dict[str, Any]]:
        here = {"namespace": self._namespace}
        parameters = {"group": "gateway.envoyproxy.io", "kind": "EnvoyProxy", "name": NAME, **here}
        return [
            {
                "apiVersion": f"{GROUP}/v1",
                "kind": "GatewayClass",
                "metadata": {"name": self._namespace},
                "spec": {"controllerName": self._controller, "parametersRef": parameters},
            },
            {
                "apiVersion": "gateway.envoyproxy.io/v1alpha1",
                "kind": "EnvoyProxy",
                "metadata": {"name": NAME, **here},
                "spec": {"provider": {"type": "Host", "host": {"envoyVersion": programs.ENVOY_VERSION}}},
            },
            {
                "apiVersion": f"{GROUP}/v1",
                "kind": "Gateway",
                "metadata": {"name": NAME, **here},
                "spec": {
                    "gatewayClassName": self._namespace,
                    "listeners": [{"name": "http", "protocol": "HTTP", "port": self.port}],
                },
            },
        ]
