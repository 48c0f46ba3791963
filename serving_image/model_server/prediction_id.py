"""Prediction ids: signed tokens that say what was predicted, so that a label can be scored without a store.

One token stands for one request; the id of its instance i is `TOKEN.i`, and `TOKEN` alone means `TOKEN.0`.
A token is base64url (no padding) of

    offset  bytes  field
    0       1      version of this format: 2 for classes, 3 for all else, which servers of version 2 do not know
    1       1      flags: bit 0 audited; bits 1 and 2 the kind of what was predicted; bit 3 slices follow
    2       1      id of the key that signed it
    3       8      fingerprint of model and revision
    11      4      time of issue, seconds since 1970
    15      6      nonce
    21      4      hash of the UID of the issuing pod: another one may have its address later
    25      1+a    address of the issuing pod: its length in bytes (0, 4 or 16), then the address
    ·              what was predicted, by kind
                     0  classes: their number k, as a varint; number of instances n, as a varint;
                        n numbers of bit_length(k) bits each: 0 for "no class", c + 1 for class c
                     1  the best classes: k and n as varints; 1 byte r; n times r such numbers, the best first
                     2  values: n as a varint; n floats of 4 bytes
                     3  values: n as a varint; n floats of 2 bytes
    ·              slices, if any: 1 byte s; s names, each with its length in 1 byte before it;
                   n numbers of bit_length(s) bits: 0 for "other", i + 1 for name i
    end-16  16     HMAC-SHA-256 of everything before it, cut to 16 bytes

Integers and floats are big-endian. Nothing inside is secret; the signature is checked before anything in it is used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from model_server.contract import FeedbackRejection
from model_server.errors import LabelRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Address = IPv4Address | IPv6Address

CLASSES_VERSION: Final = 2
OTHERS_VERSION: Final = 3
MAX_TOKEN_CHARS: Final = 3072
"""Proxies commonly allow 4 KiB for all headers of an answer. This fits 8,900 instances of 2 classes, 4,400 of 10, and
550 values of 4 bytes."""
MAC_BYTES: Final = 16
_BLOCK: Final = 64
"""Bytes that SHA-256 takes at once."""
NONCE_BYTES: Final = 6
OTHER_SLICE: Final = "other"
"""The slice of what has none of the names."""
MAX_SLICES_OF_TOKEN: Final = 15
MAX_SLICE_BYTES: Final = 32
_MAX_BYTES: Final = MAX_TOKEN_CHARS * 3 // 4 - MAC_BYTES
_ADDRESS_AT: Final = 25
_FIXED_BYTES: Final = _ADDRESS_AT + 1
_AUDITED, _KIND_SHIFT, _KIND_MASK, _SLICED = 1, 1, 3, 8
_CLASSES, _BEST, _FLOATS, _HALVES = range(4)
_FLOAT_CODES: Final = {_FLOATS: "f", _HALVES: "e"}
_MANY_VALUES: Final = 550
"""For which 4 bytes each are too many."""
_CHUNK: Final = 64
"""Numbers that are packed together: so many that all but the last chunk end with a whole byte."""
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_ID = re.compile(r"([A-Za-z0-9_-]{1,8192})(?:\.(0|[1-9][0-9]{0,8}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key. `id` tells keys apart when they are exchanged; it is no secret."""

    id: int
    secret: bytes = field(repr=False)
    _states: tuple[hashlib._Hash, hashlib._Hash] = field(init=False, repr=False, compare=False)
    """Of SHA-256 after the secret: `hmac.digest` takes three times as long, and most of that for them."""

    def __post_init__(self) -> None:
        secret = self.secret if len(self.secret) <= _BLOCK else hashlib.sha256(self.secret).digest()
        states = (hashlib.sha256(bytes(byte ^ pad for byte in secret.ljust(_BLOCK, b"\0"))) for pad in (0x36, 0x5C))
        object.__setattr__(self, "_states", tuple(states))

    @classmethod
    def from_secret(cls, secret: bytes) -> Key:
        """Make the key with an id that follows from the secret, so that all pods agree on it."""
        return cls(hashlib.sha256(b"key id\0" + secret).digest()[0], secret)

    def sign(self, payload: bytes) -> bytes:
        """`MAC_BYTES` of HMAC-SHA-256."""
        inner, outer = self._states[0].copy(), self._states[1].copy()
        inner.update(payload)
        outer.update(inner.digest())
        return outer.digest()[:MAC_BYTES]


class KeyRing:
    """The key that signs, and all whose signatures are believed. They may be exchanged while the server runs."""

    def __init__(self, signing: Key, others: Iterable[Key] = ()) -> None:
        self.replace(signing, others)

    def replace(self, signing: Key, others: Iterable[Key]) -> None:
        """Take these keys from now on."""
        self.signing = signing
        self.all = (signing, *(key for key in dict.fromkeys(others) if key != signing))

    def find(self, key_id: int) -> list[Key]:
        """Return the keys of an id. It has one byte only, so there may be two."""
        return [key for key in self.all if key.id == key_id]


@dataclass(slots=True)
class Classes:
    """What was predicted for each instance of a request: a class in 0..count-1, or None for "no class"."""

    count: int
    predicted: Sequence[int | None]
    best: Sequence[Sequence[int]] | None = None
    """The best classes of each instance, the best first, as many for each; none for an instance of no class."""

    def part(self, start: int, stop: int) -> Classes:
        """Return those of some of the instances."""
        return Classes(self.count, self.predicted[start:stop], None if self.best is None else self.best[start:stop])


@dataclass(slots=True)
class Values:
    """The number that was predicted for each instance of a request; NaN and infinities may be among them."""

    predicted: Sequence[float]
    leeway: float = 0.0
    """By how much each may be off in an id that has no room for 4 bytes of each."""

    def part(self, start: int, stop: int) -> Values:
        """Return those of some of the instances."""
        return Values(self.predicted[start:stop], self.leeway)


@dataclass(frozen=True, slots=True)
class Prediction:
    """One instance of a verified token."""

    fingerprint: bytes
    issued: int
    pod: bytes
    """The `pod_mark` of the pod that made it."""
    address: Address | None
    classes: int
    """How many there are; 0 where a value was predicted."""
    predicted: int | None
    digest: bytes
    """16 bytes that stand for this instance in the ledger."""
    best: tuple[int, ...] | None = None
    """The best classes; None if the id does not have them."""
    value: float | None = None
    """What was predicted where there are no classes."""
    slice: str | None = None
    """The part of the requests that it belongs to; None if they are not told apart."""
    audited: bool = False
    """Whether it was picked at random, so that the labels of such ones are like all."""
    request: bytes = b""
    """16 bytes that stand for the request, with all of its instances."""
    index: int = 0
    """Of the instance in its request."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A verified token: the predictions of all instances of a request."""

    request: bytes
    """As in `Prediction`."""
    fingerprint: bytes
    issued: int
    count: int
    """Instances."""
    _payload: bytes

    def prediction(self, index: int) -> Prediction:
        """Return that of one instance."""
        return _parse(self._payload, self.request, index)


class Issued(NamedTuple):
    """A token for a request, and whether it is audited."""

    token: str | None
    """None if the request has so many instances that the token would be too long."""
    audited: bool


_NOTHING: Final = Issued(None, audited=False)


def fingerprint(model: str, revision: str) -> bytes:
    """8 bytes that stand for a revision of a model."""
    return hashlib.sha256(f"{model}\0{revision}".encode()).digest()[:8]


def pod_mark(uid: str) -> bytes:
    """4 bytes that stand for a pod."""
    return hashlib.sha256(b"pod\0" + uid.encode()).digest()[:4]


class Issuer:
    """Makes tokens for one revision on one pod."""

    def __init__(
        self,
        keys: KeyRing,
        fingerprint: bytes,
        pod: bytes,
        address: Address | None,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        audit_fraction: float = 0.0,
    ) -> None:
        self._keys = keys
        self._fingerprint = fingerprint
        packed = address.packed if address else b""
        self._place = pod + bytes((len(packed),)) + packed
        self._clock = clock
        self._random_bytes = random_bytes
        self._audited_below = round(audit_fraction * 2**32)

    def issue(self, predicted: Classes | Values, slices: Sequence[str] | None = None) -> Issued:
        """Make a token for a request. `slices`: of each instance, if they are told apart."""
        if len(predicted.predicted) == 1 and isinstance(predicted, Classes) and predicted.best is None:
            version, kind, body = _one_class(predicted.count, predicted.predicted[0])
        elif _least_bytes(predicted) > _MAX_BYTES:
            return _NOTHING  # What follows would be long work for nothing.
        else:
            version, kind, body = _body(predicted)
        nonce = self._random_bytes(NONCE_BYTES)
        audited = int.from_bytes(nonce[:4]) < self._audited_below
        flags = audited | kind << _KIND_SHIFT | (0 if slices is None else _SLICED)
        key = self._keys.signing
        payload = b"".join(
            (
                bytes((version, flags, key.id)),
                self._fingerprint,
                int(self._clock()).to_bytes(4),
                nonce,
                self._place,
                body,
                b"" if slices is None else _pack_slices(slices),
            )
        )
        if len(payload) > _MAX_BYTES:
            return _NOTHING
        token = binascii.b2a_base64(payload + key.sign(payload), newline=False).translate(_URL_SAFE, b"=")
        return Issued(token.decode(), audited)


def read(text: str, keys: KeyRing) -> Prediction:
    """Find the prediction that an id stands for. Raises `LabelRejected` as malformed or forged."""
    token, index = _split(text)
    payload, mac = _verified(token, keys)
    return _parse(payload, mac, index)


def read_whole(token: str, keys: KeyRing) -> Whole:
    """Find what a token stands for. Raises `LabelRejected` as malformed or forged."""
    payload, mac = _verified(_split(token)[0], keys)
    end = _FIXED_BYTES + payload[_ADDRESS_AT]
    count, *_ = _sizes(payload, payload[1] >> _KIND_SHIFT & _KIND_MASK, end)
    return Whole(mac, payload[3:11], int.from_bytes(payload[11:15]), count, payload)


def request_of(token: str) -> bytes:
    """Return what stands for the request of a token of our own in all of its predictions."""
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[-MAC_BYTES:]


def _verified(token: bytes, keys: KeyRing) -> tuple[bytes, bytes]:
    payload, mac = token[:-MAC_BYTES], token[-MAC_BYTES:]
    if not any(hmac.compare_digest(key.sign(payload), mac) for key in keys.find(payload[2])):
        raise LabelRejected(
            FeedbackRejection.FORGED,
            "the signature does not fit: send the Prediction-Id of the answer unchanged, to the model that gave it",
        )
    return payload, mac


def _split(text: str) -> tuple[bytes, int]:
    match = _ID.fullmatch(text)
    if match is None:
        raise _malformed("an id is the Prediction-Id of the answer, a point, and the number of the instance from 0")
    token = match[1]
    try:
        decoded = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise _malformed("the id is cut or altered") from None
    if len(decoded) < _FIXED_BYTES + 2 + MAC_BYTES or decoded[0] not in (CLASSES_VERSION, OTHERS_VERSION):
        raise _malformed("the id is cut, or of a format that this server does not know")
    return decoded, int(match[2] or 0)


def _parse(payload: bytes, mac: bytes, index: int) -> Prediction:
    """Fields of a payload whose signature fits: what follows can only be as `Issuer.issue` wrote it."""
    flags, end = payload[1], _FIXED_BYTES + payload[_ADDRESS_AT]
    kind = flags >> _KIND_SHIFT & _KIND_MASK
    count, classes, each, position = _sizes(payload, kind, end)
    if index >= count:
        raise _malformed(f"the request of this id had {count} instances, counted from 0: there is no instance {index}")
    width = classes.bit_length()
    best: tuple[int, ...] | None = None
    predicted: int | None = None
    value: float | None = None
    if kind in _FLOAT_CODES:
        size = struct.calcsize(_FLOAT_CODES[kind])
        (value,) = struct.unpack_from(f">{_FLOAT_CODES[kind]}", payload, position + index * size)
        body_bytes = count * size
    else:
        codes = [_unpack(payload, position, width, index * each + rank) for rank in range(each)]
        predicted = codes[0] - 1 if codes[0] else None
        best = tuple(code - 1 for code in codes if code) if kind == _BEST else None
        body_bytes = -(-count * each * width // 8)
    return Prediction(
        fingerprint=payload[3:11],
        issued=int.from_bytes(payload[11:15]),
        pod=payload[21:_ADDRESS_AT],
        address=ip_address(payload[_FIXED_BYTES:end]) if end > _FIXED_BYTES else None,
        classes=classes,
        predicted=predicted,
        digest=hashlib.blake2b(mac + index.to_bytes(4), digest_size=16).digest(),
        best=best,
        value=value,
        slice=_slice_of(payload, position + body_bytes, index) if flags & _SLICED else None,
        audited=bool(flags & _AUDITED),
        request=mac,
        index=index,
    )


def _least_bytes(predicted: Classes | Values) -> int:
    count = len(predicted.predicted)
    if isinstance(predicted, Values):
        return count * (2 if predicted.leeway else 4)
    ranks = 1 if predicted.best is None else max(map(len, predicted.best[:1]), default=1)
    return count * ranks * predicted.count.bit_length() // 8


def _body(predicted: Classes | Values) -> tuple[int, int, bytes]:
    """Write what was predicted; with the version and the kind that say how."""
    count = _varint(len(predicted.predicted))
    if isinstance(predicted, Values):
        halves = _halves(predicted) if len(predicted.predicted) > _MANY_VALUES else None
        if halves is not None:
            return OTHERS_VERSION, _HALVES, count + halves
        return OTHERS_VERSION, _FLOATS, count + struct.pack(f">{len(predicted.predicted)}f", *predicted.predicted)
    head, width = _varint(predicted.count) + count, predicted.count.bit_length()
    if predicted.best is None:
        codes = [0 if c is None else c + 1 for c in predicted.predicted]
        return CLASSES_VERSION, _CLASSES, head + _pack(codes, width)
    ranks = max(1, *map(len, predicted.best))
    codes = [code for row in predicted.best for code in (*(c + 1 for c in row), *[0] * (ranks - len(row)))]
    return OTHERS_VERSION, _BEST, head + bytes((ranks,)) + _pack(codes, width)


@lru_cache(1024)
def _one_class(count: int, predicted: int | None) -> tuple[int, int, bytes]:
    return _body(Classes(count, (predicted,)))


def _halves(values: Values) -> bytes | None:
    """Write values in 2 bytes each; None if one of them would be off by too much."""
    form = f">{len(values.predicted)}e"
    try:
        packed = struct.pack(form, *values.predicted)
    except OverflowError:
        return None
    pairs = zip(values.predicted, struct.unpack(form, packed), strict=True)
    return None if any(abs(value - half) > values.leeway for value, half in pairs) else packed


def _sizes(payload: bytes, kind: int, position: int) -> tuple[int, int, int, int]:
    """Read the numbers of instances, of classes, and of classes for each instance; and where these begin."""
    if kind in _FLOAT_CODES:
        count, position = _read_varint(payload, position)
        return count, 0, 0, position
    classes, position = _read_varint(payload, position)
    count, position = _read_varint(payload, position)
    if kind == _BEST:
        return count, classes, payload[position], position + 1
    return count, classes, 1, position


def _pack(numbers: Sequence[int], width: int) -> bytes:
    chunks = []
    for start in range(0, len(numbers), _CHUNK):
        word, chunk = 0, numbers[start : start + _CHUNK]
        for number in chunk:
            word = word << width | number
        bits = len(chunk) * width
        chunks.append((word << -bits % 8).to_bytes(-(-bits // 8)))
    return b"".join(chunks)


def _unpack(payload: bytes, position: int, width: int, index: int) -> int:
    first, last = index * width, (index + 1) * width
    window = int.from_bytes(payload[position + first // 8 : position - (-last // 8)])
    return (window >> (-last % 8)) & ((1 << width) - 1)


def _pack_slices(slices: Sequence[str]) -> bytes:
    names: dict[str, int] = {OTHER_SLICE: 0}
    codes = []
    for name in slices:
        code = names.get(name)
        if code is None:
            code = names[name] = len(names) if len(names) <= MAX_SLICES_OF_TOKEN else 0
        codes.append(code)
    table = [name.encode() for name, code in names.items() if code]
    head = bytes((len(table),)) + b"".join(bytes((len(name),)) + name for name in table)
    return head + _pack(codes, len(table).bit_length())


def _slice_of(payload: bytes, position: int, index: int) -> str:
    size, names = payload[position], [OTHER_SLICE]
    position += 1
    for _ in range(size):
        end = position + 1 + payload[position]
        names.append(payload[position + 1 : end].decode())
        position = end
    return names[_unpack(payload, position, size.bit_length(), index)]


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
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
