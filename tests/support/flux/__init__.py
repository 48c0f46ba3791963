"""What Flux says of objects by a Kustomization's `healthCheckExprs`, reckoned by Flux's own code."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.cluster import golang
from tests.cluster.paths import cache
from tests.cluster.state import locked

_MODULE = Path(__file__).parent
_PACKAGES = 612


def healths(checks: Mapping[str, str], objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return for each object Current, InProgress or Failed, or why Flux cannot tell."""
    given = json.dumps({"checks": checks, "objects": objects})
    done = subprocess.run([str(_program())], input=given, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    told: list[str] = json.loads(done.stdout)
    return told


def _program() -> Path:
    """Return the executable, built if its sources are new."""
    sources = [_MODULE / name for name in ("go.mod", "go.sum", "main.go")]
    digest = hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    target = cache() / "flux" / f"health-{digest}"
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_suffix(".lock")):
        if not target.exists():
            golang.compile_program(golang.Program(_MODULE, ".", "", _PACKAGES), target)
    return target
