"""Finds and makes what a Gateway needs: the kinds, Envoy Gateway, and Envoy. All of it lies in the cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.cluster import golang
from tests.cluster.console import step
from tests.cluster.paths import cache
from tests.cluster.state import locked

SOURCES = Path(__file__).resolve().parent
ENVOY = SOURCES / "envoy.txt"
"""The requirement that brings Envoy."""
ENVOY_VERSION = "1.40.0"
_GATEWAY = "github.com/envoyproxy/gateway"
_KINDS = "sigs.k8s.io/gateway-api"
_PACKAGES = 2100


def definitions() -> list[Path]:
    """The files of the Gateway API's CustomResourceDefinitions of the standard channel, without building anything."""
    folder = golang.module_directory(SOURCES, _KINDS) / "config" / "crd" / "standard"
    return sorted(file for file in folder.glob("gateway.networking.k8s.io_*.yaml") if "_vap_" not in file.name)


def own_definitions() -> list[Path]:
    """Those of Envoy Gateway's own kinds."""
    folder = golang.module_directory(SOURCES, _GATEWAY) / "charts" / "gateway-helm" / "charts" / "crds" / "crds"
    return sorted((folder / "generated").glob("*.yaml"))


def envoy_gateway() -> Path:
    """The program; built once for each state of the versions."""
    directory = cache() / "gateway"
    directory.mkdir(parents=True, exist_ok=True)
    fixed = b"".join((SOURCES / file).read_bytes() for file in ("go.mod", "go.sum"))
    program = directory / f"envoy-gateway-{hashlib.sha256(fixed).hexdigest()[:16]}"
    with locked(directory / ".lock"):
        if not program.exists():
            with step("build Envoy Gateway (the first build takes 3 to 10 minutes)"):
                source = golang.Program(SOURCES, f"{_GATEWAY}/cmd/envoy-gateway", "", _PACKAGES)
                golang.compile_program(source, program)
    return program
