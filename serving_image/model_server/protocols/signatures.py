"""What all JSON requests to a model have in common. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model_server.errors import InvalidArgument
from model_server.tensors import DEFAULT_SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.tensors import Signature


def find_signature(request: Mapping[str, Any], signatures: Mapping[str, Signature]) -> tuple[str, Signature]:
    """Find the signature that is named; no name, or an empty one, means the default. Raises `InvalidArgument`."""
    name = request.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidArgument("'signature_name' is a text")
    name = name or DEFAULT_SIGNATURE
    signature = signatures.get(name)
    if signature is None:
        raise InvalidArgument(
            f'Serving signature name: "{name}" not found in signature def; there are: {", ".join(signatures)}'
        )
    return name, signature


def request_parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    """Read what the client says of the request besides: `{"parameters": {"name": value}}`. Raises `InvalidArgument`."""
    parameters = request.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise InvalidArgument("'parameters' is a JSON object")
    return parameters
