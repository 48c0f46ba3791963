"""The Secret that the pods of a ModelDeployment share."""

from __future__ import annotations

from dataclasses import dataclass

from model_server import contract

from modeldeployment_operator.core import names
from modeldeployment_operator.core.kinds import SECRET
from modeldeployment_operator.core.observation import Observation
from modeldeployment_operator.core.resources.metadata import Manifest, build_object
from modeldeployment_operator.core.revisions import digest_of


@dataclass(frozen=True)
class Keys:
    """Secrets of one ModelDeployment, as hexadecimal text."""

    feedback: str
    """Signs the ids of predictions."""
    admin: str
    """Lets the operator read counts and set the rotation."""

    @property
    def digest(self) -> str:
        """A short hash of them, which may be seen."""
        return digest_of({"feedback": self.feedback, "admin": self.admin})


def build_secret(observation: Observation, keys: Keys) -> Manifest:
    """Return the Secret with the keys, mounted by all pods of the ModelDeployment."""
    annotations = {names.KEYS_ANNOTATION: keys.digest}
    secret = build_object(observation, SECRET, names.keys_secret(observation.key.name), annotations=annotations)
    data = {contract.FEEDBACK_KEY_FILE: keys.feedback, contract.ADMIN_TOKEN_FILE: keys.admin}
    return secret | {"type": "Opaque", "stringData": data}
