"""The API server, by way of kubectl.

Who calls `kubectl model` has a kubectl that reaches the cluster with the kubeconfig, the proxies, the certificates and
the plugins for credentials that this user has. A client of our own would have to do all of that in the same way, and
takes longer to load than kubectl to run.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from modeldeployment_operator.cli.errors import CommandError, Exit

RESOURCE: Final = "modeldeployments.modelops.dev"
"""Not from `api/group.py`, which takes time to load: kubectl runs while the rest of us is loaded."""
VERDICTS: Final = "modelverdicts.modelops.dev"
FIELD_MANAGER: Final = "kubectl-model"
"""Owns the annotations, so that no apply of the same manifests takes them away."""
_TIMEOUT: Final = "--request-timeout"
_PATIENCE: Final = "15s"
"""For one request, unless the user says otherwise: by itself kubectl waits for ever."""
_NO_KIND: Final = ("the server doesn't have a resource type", "the server could not find the requested resource")
_UNREACHABLE: Final = (
    "connection to the server",
    "Unable to connect to the server",
    "Error in configuration",
    "does not exist",
    "no such file or directory",
    "error loading config file",
    "no configuration has been provided",
    "timed out",
    "Timeout exceeded",
    "deadline exceeded",
    "connection refused",
    "no such host",
    "ServiceUnavailable",
)

_COMPLAINT: Final = re.compile(r"(?i)error\b|[EWI]\d{4} |unable to connect|the connection to the server|\s*$")
"""How lines begin in which kubectl complains; those of its log among them."""

Body = dict[str, Any]


class ChangedError(CommandError):
    """The object is another one than was read."""


class Running:
    """A kubectl that runs, and what it says of itself.

    A plugin for credentials may ask its user to log in meanwhile, and the API server may warn: that is shown at once.
    What kubectl complains of is told when it has ended, if it was in vain.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout  # noqa: S101 - it was started so,
        assert process.stderr  # noqa: S101 - both of them.
        self.output = process.stdout
        self._process = process
        self._errors = process.stderr
        self._lines: list[str] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """End it."""
        self._process.kill()

    def complaint(self) -> str | None:
        """Wait for its end; return what it complained of, if it was in vain."""
        code = self._process.wait()
        self._thread.join()
        self.output.close()
        self._errors.close()
        return "".join(self._lines) if code else None

    def bodies(self) -> list[Body]:
        """Return the objects that it was asked for."""
        output = self.output.read()
        complaint = self.complaint()
        if complaint is not None:
            raise failure(complaint)
        document: Body = json.loads(output)
        items: list[Body] = document["items"] if document["kind"] == "List" else [document]
        return items

    def _listen(self) -> None:
        for line in self._errors:
            if _COMPLAINT.match(line):
                self._lines.append(line)
            else:
                sys.stderr.write(line)
                sys.stderr.flush()


class Kubectl:
    """Reads and annotates ModelDeployments."""

    def __init__(self, flags: Iterable[str] = (), program: str = "kubectl") -> None:
        self._flags = tuple(flags)
        self._program = program

    def get(self, name: str | None = None, *, everywhere: bool = False) -> Running:
        """Ask for one object, or for all of the namespace, or of all namespaces."""
        return self.start(["get", *_what(name, everywhere=everywhere), "--output=json"])

    def verdict(self, name: str) -> Running:
        """Ask for one ModelVerdict."""
        return self.start(["get", VERDICTS, name, "--output=json"])

    def watch(self, name: str | None = None, *, everywhere: bool = False) -> Running:
        """Have kubectl tell of these objects and of each change of them."""
        told = ["--watch", "--output-watch-events", "--output=json", f"{_TIMEOUT}=0"]
        return self.start(["get", *_what(name, everywhere=everywhere), *told])

    def annotate(self, body: Body, annotations: Mapping[str, str | None]) -> Body:
        """Set and remove annotations of an object as it was read; ChangedError if it is another one by now."""
        metadata = body["metadata"]
        patch = {"metadata": {"resourceVersion": metadata["resourceVersion"], "annotations": dict(annotations)}}
        what = ["patch", RESOURCE, metadata["name"], f"--namespace={metadata['namespace']}", "--type=merge"]
        told = [f"--patch={json.dumps(patch)}", f"--field-manager={FIELD_MANAGER}", "--output=json"]
        (after,) = self.start([*what, *told]).bodies()
        return after

    def start(self, arguments: Sequence[str]) -> Running:
        """Start kubectl with the user's own flags."""
        given = [*arguments, *(flag for flag in self._flags if not _is_said(flag, arguments))]
        if not any(argument.startswith(f"{_TIMEOUT}=") for argument in given):
            given.append(f"{_TIMEOUT}={_PATIENCE}")
        try:
            process = subprocess.Popen(  # noqa: S603 - kubectl, with arguments that no shell reads.
                [self._program, *given],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except FileNotFoundError:
            message = "there is no kubectl on the PATH, by which the cluster is asked: install it, or add it to PATH"
            raise CommandError(Exit.UNREACHABLE, message) from None
        return Running(process)


def failure(errors: str) -> CommandError:
    """Return what kubectl complains of, as ours. It repeats itself before it comes to the point, in the last line."""
    lines = [line for line in errors.splitlines() if line.strip()]
    said = lines[-1] if lines else "kubectl failed without a word"
    if "(Conflict)" in said:
        return ChangedError(Exit.FAILED, said)
    if any(sign in errors for sign in _NO_KIND):
        message = f"the cluster has no kind {RESOURCE}: install the operator (kubectl apply -k manifests/default)"
        return CommandError(Exit.NOT_FOUND, message)
    if "(NotFound)" in said:
        hint = "see kubectl model status -A for all that there are, and -n and --context for where you look"
        return CommandError(Exit.NOT_FOUND, f"{_plain(said)}: {hint}")
    if "(Forbidden)" in said:
        hint = "ask for the ClusterRole modeldeployment-viewer to look, modeldeployment-releaser to act"
        return CommandError(Exit.NO_RIGHTS, f"{_plain(said)}; {hint}")
    if "(Unauthorized)" in said or "must be logged in" in said:
        return CommandError(Exit.NO_RIGHTS, f"{_plain(said)}; the cluster does not know you: log in again")
    if any(sign in said for sign in _UNREACHABLE):
        hint = "see kubectl config get-contexts, --context and --kubeconfig"
        return CommandError(Exit.UNREACHABLE, f"no cluster: {_plain(said)}; {hint}")
    return CommandError(Exit.FAILED, said)


def _what(name: str | None, *, everywhere: bool) -> list[str]:
    return [RESOURCE, *([name] if name else []), *(["--all-namespaces"] if everywhere else [])]


def _is_said(flag: str, arguments: Sequence[str]) -> bool:
    """Return whether we say ourselves what a flag says: the namespace of an object is the one it was read from."""
    option = flag.partition("=")[0]
    return any(argument.startswith(f"{option}=") for argument in arguments)


def _plain(said: str) -> str:
    """Return the point of what kubectl says."""
    for prefix in ("error: ", "Error from server "):
        said = said.removeprefix(prefix)
    return said.partition("): ")[2] if said.startswith("(") else said
