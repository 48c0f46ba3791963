"""The operator's one secret, and those of each ModelDeployment, which are made from it.

So the operator writes Secrets into users' namespaces, but needs no right to read any there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

from modeldeployment_operator.adapters.api import Api, Body
from modeldeployment_operator.core.errors import ConflictError, DamagedKeyError, NotFoundError
from modeldeployment_operator.core.kinds import SECRET
from modeldeployment_operator.core.resources.secret import Keys

SECRET_NAME: Final = "modeldeployment-operator-keys"  # noqa: S105 - a name.
_FIELD: Final = "root"
_BYTES: Final = 32


class KeyRing:
    """Derives keys by HMAC-SHA-256 of a purpose and the UID of the ModelDeployment; `load` comes before that."""

    def __init__(self, root: bytes | None = None) -> None:
        self._root = root

    async def load(self, api: Api, namespace: str) -> None:
        """Read the root key of this installation; it is made at the first start."""
        try:
            secret = await api.get(SECRET, namespace, SECRET_NAME)
        except NotFoundError:
            secret = await _make(api, namespace)
        self._root = _root(secret, namespace)

    def of(self, uid: str) -> Keys:
        """Return the keys of one ModelDeployment; they live as long as it does."""
        return Keys(feedback=self._derive("feedback", uid), admin=self._derive("admin", uid))

    def _derive(self, purpose: str, uid: str) -> str:
        if self._root is None:
            raise DamagedKeyError("the operator's key is not loaded")
        return hmac.new(self._root, f"{purpose}:{uid}".encode(), hashlib.sha256).hexdigest()


async def _make(api: Api, namespace: str) -> Body:
    manifest: Body = {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": {"name": SECRET_NAME, "namespace": namespace},
        "type": "Opaque",
        "stringData": {_FIELD: secrets.token_hex(_BYTES)},
    }
    try:
        return await api.create(SECRET, namespace, manifest)
    except ConflictError:  # Another operator that starts at the same time was first.
        return await api.get(SECRET, namespace, SECRET_NAME)


def _root(secret: Body, namespace: str) -> bytes:
    try:
        root = bytes.fromhex(base64.b64decode(secret["data"][_FIELD]).decode())
    except (KeyError, TypeError, ValueError):
        root = b""
    if len(root) < _BYTES:  # Whoever guesses it could write labels for all models.
        raise DamagedKeyError(
            f"Secret {namespace}/{SECRET_NAME} does not hold the operator's key: restore it, or delete it to have "
            "another made (labels of earlier predictions are then refused, and pods are started again)"
        )
    return root
