"""The operator's one secret, and those of each ModelDeployment, which are made from it.

So the operator writes Secrets into users' namespaces, but needs no right to read any there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

from modeldeployment_operator.adapters.api import Api
from modeldeployment_operator.core.errors import ConflictError, DamagedKeyError, NotFoundError
from modeldeployment_operator.core.kinds import SECRET
from modeldeployment_operator.core.resources.secret import Keys

SECRET_NAME: Final = "modeldeployment-operator-keys"  # noqa: S105 - a name.
_FIELD: Final = "root"


class KeyRing:
    """Derives keys by HMAC-SHA-256 of a purpose and the UID of the ModelDeployment."""

    def __init__(self, root: bytes) -> None:
        self._root = root

    def of(self, uid: str) -> Keys:
        """Return the keys of one ModelDeployment; they live as long as it does."""
        return Keys(feedback=self._derive("feedback", uid), admin=self._derive("admin", uid))

    def _derive(self, purpose: str, uid: str) -> str:
        return hmac.new(self._root, f"{purpose}:{uid}".encode(), hashlib.sha256).hexdigest()


async def load(api: Api, namespace: str) -> KeyRing:
    """Return the key ring of this installation; it is made at the first start."""
    try:
        secret = await api.get(SECRET, namespace, SECRET_NAME)
    except NotFoundError:
        manifest = {
            "apiVersion": SECRET.api_version,
            "kind": SECRET.kind,
            "metadata": {"name": SECRET_NAME, "namespace": namespace},
            "type": "Opaque",
            "stringData": {_FIELD: secrets.token_hex(32)},
        }
        try:
            secret = await api.create(SECRET, namespace, manifest)
        except ConflictError:  # Another operator that starts at the same time was first.
            secret = await api.get(SECRET, namespace, SECRET_NAME)
    try:
        return KeyRing(bytes.fromhex(base64.b64decode(secret["data"][_FIELD]).decode()))
    except (KeyError, ValueError) as error:
        raise DamagedKeyError(
            f"Secret {namespace}/{SECRET_NAME} does not hold the operator's key: restore it, or delete it to have "
            "another made (labels of earlier predictions are then refused, and pods are started again)"
        ) from error
