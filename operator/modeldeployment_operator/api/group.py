"""What the resource is called in the Kubernetes API."""

from __future__ import annotations

import re
from typing import Final

from modeldeployment_operator.api.base import Rule

GROUP: Final = "modelops.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "ModelDeployment"
PLURAL: Final = "modeldeployments"
SINGULAR: Final = "modeldeployment"
SHORT_NAMES: Final = ("mdep",)
CATEGORIES: Final = ("all",)

NAME_PATTERN: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
NAME_MAX_LENGTH: Final = 50
"""Names of Services may have 63 characters; the rest is for the revision's hash and what its children are."""
_NAME: Final = re.compile(NAME_PATTERN.replace("$", r"\Z"))
NAME_RULE: Final = Rule(
    cel=f"size(self.metadata.name) <= {NAME_MAX_LENGTH} && self.metadata.name.matches('{NAME_PATTERN}')",
    holds=lambda name: len(name) <= NAME_MAX_LENGTH and _NAME.match(name) is not None,
    message=f"the name of a {KIND} has at most {NAME_MAX_LENGTH} lowercase letters, digits and '-', begins with a "
    "letter and does not end with '-', because Services are named after it",
)
"""On the object as a whole in CEL, on its name in Python."""

PROMOTE_ANNOTATION: Final = f"{GROUP}/promote"
"""On a ModelDeployment: name of a candidate that is to take the traffic without waiting for anything more."""
ABORT_ANNOTATION: Final = f"{GROUP}/abort"
"""On a ModelDeployment: name of a revision that is given up, as a candidate or while it serves."""
PAUSED_ANNOTATION: Final = f"{GROUP}/paused"
"""On a ModelDeployment: `true` holds everything as `spec.paused` does, without touching the spec."""
RESUME_ANNOTATION: Final = f"{GROUP}/resume"
"""On a ModelDeployment: a new value lets a rollout go on that was paused by `spec.policies`."""
RETRY_ANNOTATION: Final = f"{GROUP}/retry"
"""On a ModelDeployment: a new value lets a rejected revision be tried once more."""
