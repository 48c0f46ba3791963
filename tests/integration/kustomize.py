"""Builds kustomizations, ours and such as users write on top of them."""

from __future__ import annotations

import os
import shutil
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


def for_one_namespace(control_plane: ControlPlane, directory: Path, home: str, watched: str) -> list[Document]:
    """Build manifests/namespaced in a copy, edited as its head says, with another home for the operator."""
    shutil.copytree(REPOSITORY / "crds", directory / "crds")
    shutil.copytree(MANIFESTS, directory / "manifests")
    for path in directory.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        edited = text.replace("WATCH_NAMESPACES=models", f"WATCH_NAMESPACES={watched}").replace("modelops-system", home)
        path.write_text(edited, encoding="utf-8")
    return build(control_plane, directory / "manifests/namespaced")


def for_all_namespaces(control_plane: ControlPlane, directory: Path, home: str) -> list[Document]:
    """Build manifests/default under names of its own, so that it can stand beside whatever is installed already."""
    text = f"resources: ['{{manifests}}/default']\nnamespace: {home}\nnameSuffix: -{home}\n"
    return build(control_plane, overlay(directory, text))
