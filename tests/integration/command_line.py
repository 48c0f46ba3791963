"""`kubectl model` as its user calls it: a real kubectl that finds the plugin on the PATH."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.integration.conftest import REPOSITORY, ControlPlane

PLUGIN = "kubectl-model"


def install(directory: Path) -> Path:
    """Put the console script where pip would, as pyproject.toml has it."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    module, _, function = project["project"]["scripts"][PLUGIN].partition(":")
    script = directory / PLUGIN
    script.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    script.chmod(0o755)
    return directory


@dataclass(frozen=True)
class CommandLine:
    """A terminal of a user."""

    plane: ControlPlane
    directory: Path
    namespace: str
    flags: tuple[str, ...] = ()
    kubeconfig: Path | None = None
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What kubectl and the plugin find there."""
        found = [str(self.directory), str(self.plane.kubectl_path.parent), os.environ["PATH"]]
        paths = {
            "PATH": os.pathsep.join(found),
            "PYTHONPATH": f"{REPOSITORY / 'operator'}:{REPOSITORY / 'serving_image'}",
        }
        return os.environ | paths | {"KUBECONFIG": str(self.kubeconfig or self.plane.kubeconfig)} | self.variables

    def words(self, *words: str) -> list[str]:
        """Return a whole command."""
        return [str(self.plane.kubectl_path), "model", *words, f"--namespace={self.namespace}", *self.flags]

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run `kubectl model …` in the namespace, however it ends."""
        return subprocess.run(
            self.words(*words),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            env=self.environment,
            check=False,
        )

    def says(self, *words: str) -> str:
        """Return what it prints, if it ends well."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    def fails(self, code: int, *words: str) -> str:
        """Return its complaint, if it ends with this exit code."""
        done = self.run(*words)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr

    def acting_as(self, user: str) -> CommandLine:
        """Return the same for another user."""
        return replace(self, flags=(*self.flags, f"--as={user}"))
