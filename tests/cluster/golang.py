"""Compiles Go programs into executables that need nothing else: no C library, no file beside them."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.cluster.console import Progress, step
from tests.cluster.errors import ClusterError


@dataclasses.dataclass(frozen=True)
class Program:
    """One executable and what it is made of."""

    module: Path
    """The directory with the go.mod that fixes every version."""
    package: str
    """As `go build` names it."""
    flags: str
    """For the linker, such as what the program tells as its version."""
    packages: int
    """About how many packages it is made of (`go list -deps`), to tell how far a build has come."""


def compile_program(program: Program, target: Path) -> None:
    """Compile; the target appears when it is complete. Raises ClusterError with the compiler's words."""
    check()
    unfinished = target.with_suffix(".new")
    options = ["-v", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {program.flags}", "-o", str(unfinished)]
    command = ["go", "build", *options, program.package]
    environment = {**os.environ, "CGO_ENABLED": "0"}
    progress, compiled, said = Progress(), 0, []
    # With -v the compiler names each package that it compiles; what else it says is trouble, or a download.
    with subprocess.Popen(command, cwd=program.module, env=environment, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            said.append(line)
            compiled += not line.startswith(("go: ", "#"))
            progress.tell(f"{compiled} of about {program.packages} packages compiled")
    if process.returncode != 0:
        raise ClusterError(f"go build of {program.package} in {program.module} failed:\n{''.join(said[-40:])}")
    unfinished.replace(target)


def module_directory(module: Path, dependency: str) -> Path:
    """Where the files of a dependency lie, in the version of a module's go.mod; downloaded if they do not yet."""
    check()
    command = ["go", "mod", "download", "-json", dependency]
    with step(f"find the Go module {dependency}"):
        done = subprocess.run(command, cwd=module, capture_output=True, text=True, check=False)
    answer: dict[str, Any] = json.loads(done.stdout or "{}")
    if done.returncode != 0 or "Dir" not in answer:
        trouble = answer.get("Error") or done.stderr
        raise ClusterError(f"`{' '.join(command)}` in {module} failed: {trouble}")
    return Path(answer["Dir"])


def check() -> None:
    """Raise a ClusterError unless there is a Go to compile with."""
    if not shutil.which("go"):
        raise ClusterError("Go is not on the PATH. Install Go 1.24 or later; the cluster is built with it.")
