"""kubectl, as the demo and the tests of real clusters call it: the commands that a user would type."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from tests.demo.errors import DemoError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Manifest = dict[str, Any]

RESOURCE = "modeldeployments.modelops.dev"
MODEL_DEPLOYMENTS = "/apis/modelops.dev/v1alpha1/namespaces/{namespace}/modeldeployments"


class KubectlError(DemoError):
    """A command failed; the message has its own words."""


@dataclass(frozen=True)
class Kubectl:
    """A kubectl with the arguments that choose the cluster."""

    command: tuple[str, ...]
    shown: tuple[str, ...] = ("kubectl",)
    """What a user types instead of `command`."""

    @classmethod
    def of_kubeconfig(cls, kubectl: Path, kubeconfig: Path) -> Kubectl:
        """Use a kubeconfig file."""
        return cls((str(kubectl), f"--kubeconfig={kubeconfig}"))

    @classmethod
    def of_context(cls, context: str) -> Kubectl:
        """Use a context of the user's own kubeconfig."""
        return cls(("kubectl", "--context", context), ("kubectl", "--context", context))

    def run(self, *words: str, stdin: bytes | None = None, seconds: float = 120) -> str:
        """Run a command; return its standard output."""
        try:
            done = subprocess.run(
                [*self.command, *words], input=stdin, capture_output=True, check=False, timeout=seconds
            )
        except subprocess.TimeoutExpired as error:
            raise KubectlError(f"`{self.line(*words)}` did not end within {seconds:.0f} s.") from error
        if done.returncode != 0:
            raise KubectlError(f"`{self.line(*words)}` failed: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode()

    def json(self, *words: str) -> Any:
        """Run a command that prints JSON."""
        return json.loads(self.run(*words, "-o", "json"))

    def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        """Return an object; None if there is none."""
        place = ["--namespace", namespace] if namespace else []
        text = self.run("get", kind, name, *place, "--ignore-not-found", "-o", "json")
        found: Manifest | None = json.loads(text) if text.strip() else None
        return found

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """Apply objects of the caller's own, at the server: a ConfigMap may be too large for kubectl's annotation."""
        content = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        options = ["--server-side", "--force-conflicts", "--field-manager=demo"]
        self.run("apply", *options, "-f", "-", stdin=json.dumps(content).encode())

    def wait(self, condition: str, target: str, namespace: str | None = None, *, seconds: float = 120) -> None:
        """Wait for a condition, as in `wait("condition=Ready", "pod/a", "demo")`."""
        place = ["--namespace", namespace] if namespace else []
        self.run("wait", f"--for={condition}", target, *place, f"--timeout={seconds:.0f}s", seconds=seconds + 10)

    def delete(self, *words: str, seconds: float = 180) -> None:
        """Delete objects, and wait until they are gone; those that are not there are no error."""
        self.run("delete", *words, "--ignore-not-found", "--wait", f"--timeout={seconds:.0f}s", seconds=seconds + 10)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command that goes on, such as `logs --follow`; its lines are read from its standard output."""
        return subprocess.Popen(
            [*self.command, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def line(self, *words: str) -> str:
        """Return a command as a user types it."""
        return " ".join([*self.shown, *words])


def output_of(process: subprocess.Popen[str]) -> IO[str]:
    """Return the standard output of a process that was started with a pipe."""
    assert process.stdout is not None
    return process.stdout


def stop(process: subprocess.Popen[str]) -> None:
    """End a process that was started here."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def condition(document: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return a condition of an object; empty if it has none of this type."""
    conditions: Sequence[Mapping[str, Any]] = document.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == kind), {})
