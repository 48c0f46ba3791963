"""What the resource is called in the Kubernetes API."""

from __future__ import annotations

from typing import Final

GROUP: Final = "modelops.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "ModelDeployment"
PLURAL: Final = "modeldeployments"
SINGULAR: Final = "modeldeployment"
SHORT_NAMES: Final = ("mdep",)
CATEGORIES: Final = ("all",)

RETRY_ANNOTATION: Final = f"{GROUP}/retry"
"""On a ModelDeployment: a new value lets a rejected revision be tried once more."""
