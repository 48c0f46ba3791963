"""Prediction ids: signed tokens that say what was predicted, so that a label can be scored without a store.

One token stands for one request; the id of its instance i is `TOKEN.i`, and `TOKEN` alone means `TOKEN.0`.
A token is base64url (no padding) of

    offset  bytes  field
    0       1      version of this format
    1       1      flags (bit 0: audit, reserved)
    2       1      id of the key that signed it
    3       8      fingerprint of model and revision
    11      4      time of issue, seconds since 1970
    15      6      nonce
    21      4      hash of the UID of the issuing pod: another one may have its address later
    25      1+a    address of the issuing pod: its length in bytes (0, 4 or 16), then the address
    ·       v      number of classes k, as a varint
    ·       v      number of instances n, as a varint
    ·       b      n numbers of bit_length(k) bits each: 0 for "no class", c + 1 for class c
    end-16  16     HMAC-SHA-256 of everything before it, cut to 16 bytes

Integers are big-endian. Nothing inside is secret; the signature is checked before anything in it is used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from model_server.contract import FeedbackRejection
from model_server.errors import LabelRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Address = IPv4Address | IPv6Address

FORMAT_VERSION: Final = 2
MAX_TOKEN_CHARS: Final = 3072
"""Proxies commonly allow 4 KiB for all headers of an answer. This fits 8,900 instances of 2 classes, 4,400 of 10."""
MAC_BYTES: Final = 16
NONCE_BYTES: Final = 6
_ADDRESS_AT: Final = 25
_FIXED_BYTES: Final = _ADDRESS_AT + 1
_ID = re.compile(r"([A-Za-z0-9_-]{1,8192})(?:\.(0|[1-9][0-9]{0,8}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key. `id` tells keys apart when they are exchanged; it is no secret."""

    id: int
    secret: bytes

    @classmethod
    def from_secret(cls, secret: bytes) -> Key:
        """Make the key with an id that follows from the secret, so that all pods agree on it."""
        return cls(hashlib.sha256(b"key id\0" + secret).digest()[0], secret)

    def sign(self, payload: bytes) -> bytes:
        """`MAC_BYTES` of HMAC-SHA-256."""
        return hmac.digest(self.secret, payload, "sha256")[:MAC_BYTES]


@dataclass(frozen=True, slots=True)
class Classes:
    """What was predicted for each instance of a request: a class in 0..count-1, or None for "no class"."""

    count: int
    predicted: Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Prediction:
    """One instance of a verified token."""

    fingerprint: bytes
    issued: int
    pod: bytes
    """The `pod_mark` of the pod that made it."""
    address: Address | None
    classes: int
    predicted: int | None
    digest: bytes
    """16 bytes that stand for this instance in the ledger."""


def fingerprint(model: str, revision: str) -> bytes:
    """8 bytes that stand for a revision of a model."""
    return hashlib.sha256(f"{model}\0{revision}".encode()).digest()[:8]


def pod_mark(uid: str) -> bytes:
    """4 bytes that stand for a pod."""
    return hashlib.sha256(b"pod\0" + uid.encode()).digest()[:4]


@dataclass(frozen=True, slots=True)
class Issuer:
    """Makes tokens for one revision on one pod."""

    key: Key
    fingerprint: bytes
    pod: bytes
    address: Address | None
    clock: Callable[[], float]
    random_bytes: Callable[[int], bytes]

    def issue(self, classes: Classes) -> str | None:
        """Make a token for a request, or None if it has so many instances that the token would be too long."""
        if len(classes.predicted) * classes.count.bit_length() > MAX_TOKEN_CHARS * 6:
            return None  # What follows would be long work for nothing.
        packed = _pack(classes)
        address = self.address.packed if self.address else b""
        payload = b"".join(
            (
                bytes((FORMAT_VERSION, 0, self.key.id)),
                self.fingerprint,
                int(self.clock()).to_bytes(4),
                self.random_bytes(NONCE_BYTES),
                self.pod,
                bytes((len(address),)),
                address,
                _varint(classes.count),
                _varint(len(classes.predicted)),
                packed,
            )
        )
        if (len(payload) + MAC_BYTES) * 4 > MAX_TOKEN_CHARS * 3:
            return None
        return base64.urlsafe_b64encode(payload + self.key.sign(payload)).rstrip(b"=").decode()


def read(text: str, keys: Mapping[int, Key]) -> Prediction:
    """Find the prediction that an id stands for. Raises `LabelRejected` as malformed or forged."""
    token, index = _split(text)
    payload, mac = token[:-MAC_BYTES], token[-MAC_BYTES:]
    key = keys.get(payload[2])
    if key is None or not hmac.compare_digest(key.sign(payload), mac):
        raise LabelRejected(
            FeedbackRejection.FORGED,
            "the signature does not fit: send the Prediction-Id of the answer unchanged, to the model that gave it",
        )
    return _parse(payload, mac, index)


def _split(text: str) -> tuple[bytes, int]:
    match = _ID.fullmatch(text)
    if match is None:
        raise _malformed("an id is the Prediction-Id of the answer, a point, and the number of the instance from 0")
    token = match[1]
    try:
        decoded = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise _malformed("the id is cut or altered") from None
    if len(decoded) < _FIXED_BYTES + 2 + MAC_BYTES or decoded[0] != FORMAT_VERSION:
        raise _malformed("the id is cut, or of a format that this server does not know")
    return decoded, int(match[2] or 0)


def _parse(payload: bytes, mac: bytes, index: int) -> Prediction:
    """Fields of a payload whose signature fits: what follows can only be as `Issuer.issue` wrote it."""
    end = _FIXED_BYTES + payload[_ADDRESS_AT]
    classes, position = _read_varint(payload, end)
    count, position = _read_varint(payload, position)
    if index >= count:
        raise _malformed(f"the request of this id had {count} instances, counted from 0: there is no instance {index}")
    return Prediction(
        fingerprint=payload[3:11],
        issued=int.from_bytes(payload[11:15]),
        pod=payload[21:_ADDRESS_AT],
        address=ip_address(payload[_FIXED_BYTES:end]) if end > _FIXED_BYTES else None,
        classes=classes,
        predicted=_unpack(payload[position:], classes.bit_length(), index),
        digest=hashlib.blake2b(mac + index.to_bytes(4), digest_size=16).digest(),
    )


def _pack(classes: Classes) -> bytes:
    width = classes.count.bit_length()
    bits = "".join(format(0 if c is None else c + 1, f"0{width}b") for c in classes.predicted)
    size = -(-len(bits) // 8)
    return int(bits.ljust(size * 8, "0") or "0", 2).to_bytes(size)


def _unpack(packed: bytes, width: int, index: int) -> int | None:
    first, last = index * width, (index + 1) * width
    window = int.from_bytes(packed[first // 8 : -(-last // 8)])
    value = (window >> (-last % 8)) & ((1 << width) - 1)
    return value - 1 if value else None


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return number, position


def _malformed(message: str) -> LabelRejected:
    return LabelRejected(FeedbackRejection.MALFORMED, message)
