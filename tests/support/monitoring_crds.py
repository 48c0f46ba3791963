"""The kinds of the Prometheus Operator, as its release defines them."""

from __future__ import annotations

from typing import Any

import yaml

from tests.cluster.monitoring import programs

GROUP = "monitoring.coreos.com"


def manifests(*plurals: str) -> list[dict[str, Any]]:
    """Return the CustomResourceDefinitions of some kinds, named in the plural: `servicemonitors`."""
    files = {path.stem.removeprefix(f"{GROUP}_"): path for path in programs.definitions()}
    return [yaml.safe_load(files[plural].read_text(encoding="utf-8")) for plural in plurals]
