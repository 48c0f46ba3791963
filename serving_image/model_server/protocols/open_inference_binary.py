"""Requests of the Open Inference Protocol whose tensor follows the JSON: JSON that comes again is read once. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from model_server.protocols.open_inference_rest import InferRequest, read_infer
from model_server.protocols.packed import unpack_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_server.tensors import Signature

MOST: Final = 64
LONGEST: Final = 999
"""Bytes of JSON."""


class _Known(NamedTuple):
    """What a text of JSON says."""

    request: InferRequest
    """With the numbers of another."""
    input: str
    dtype: str
    shape: tuple[int, ...]
    signatures: Mapping[str, Signature]
    """For which it was understood."""


class BinaryRequests:
    """Reads them, and remembers texts that have come twice."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}
        self._seen: set[bytes] = set()

    def read(self, body: bytes, json_length: str, signatures: Mapping[str, Signature]) -> InferRequest:
        """Do what `read_infer` does. Raises `InvalidArgument`."""
        is_short = json_length.isascii() and json_length.isdecimal() and int(json_length[:20]) <= LONGEST
        text = body[: int(json_length)] if is_short else b""
        known = self._known.get(text)
        if known is not None and known.signatures is signatures:
            array = unpack_numbers(body[len(text) :], known.dtype, known.shape)
            if array is not None:
                like = known.request
                return InferRequest(
                    like.id,
                    like.signature,
                    {known.input: array},
                    like.outputs,
                    like.binary,
                    like.timeout,
                    like.parameters,
                )
        request = read_infer(body, json_length, signatures)
        if text and len(request.inputs) == 1:
            self._learn(text, body[len(text) :], request, signatures)
        return request

    def _learn(self, text: bytes, rest: bytes, request: InferRequest, signatures: Mapping[str, Signature]) -> None:
        if text not in self._seen:
            if len(self._seen) >= MOST:
                self._seen.clear()
            self._seen.add(text)
            return
        ((name, array),) = request.inputs.items()
        dtype = signatures[request.signature].inputs[name].dtype
        again = unpack_numbers(rest, dtype, array.shape)
        if again is not None and again.dtype == array.dtype:
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[text] = _Known(request, name, dtype, array.shape, signatures)
