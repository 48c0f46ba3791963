"""Builds kustomizations, ours and such as users write on top of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from tests.integration.conftest import REPOSITORY, ControlPlane

MANIFESTS = REPOSITORY / "manifests"

Document = dict[str, Any]


def build(control_plane: ControlPlane, directory: Path) -> list[Document]:
    return [part for part in yaml.safe_load_all(control_plane.kubectl("kustomize", str(directory))) if part]


def only(documents: list[Document], kind: str, name: str = "") -> Document:
    (found,) = [part for part in documents if part["kind"] == kind and part["metadata"]["name"].startswith(name)]
    return found


def overlay(directory: Path, text: str) -> Path:
    """Write a kustomization as a user would, in which `{manifests}` leads to ours."""
    directory.mkdir(parents=True, exist_ok=True)
    there = os.path.relpath(MANIFESTS, directory.resolve())
    (directory / "kustomization.yaml").write_text(text.replace("{manifests}", there), encoding="utf-8")
    return directory
