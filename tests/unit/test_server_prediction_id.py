"""Ids carry their prediction, and nobody but the server can make one."""

from __future__ import annotations

import base64
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_server.contract import FeedbackRejection
from model_server.errors import LabelRejected
from model_server.prediction_id import MAX_TOKEN_CHARS, Classes, Issuer, Key, KeyRing, fingerprint, pod_mark, read

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = Key.from_secret(b"k" * 32)
KEYS = KeyRing(KEY)
NOW = 1_790_000_000
ADDRESSES = st.one_of(st.none(), st.ip_addresses())


def issuer(key: Key = KEY, address: IPv4Address | IPv6Address | None = None) -> Issuer:
    return Issuer(
        KeyRing(key), fingerprint("news", "r1"), pod_mark("uid"), address, lambda: NOW + 0.9, lambda size: b"n" * size
    )


@st.composite
def classes(draw: st.DrawFn) -> Classes:
    count = draw(st.integers(2, 40))
    return Classes(count, draw(st.lists(st.one_of(st.none(), st.integers(0, count - 1)), min_size=1, max_size=60)))


@settings(deadline=None)  # Busy machines are slow, and that is no fault.
@given(classes(), ADDRESSES)
def test_an_id_gives_back_what_was_predicted(predicted: Classes, address: IPv4Address | IPv6Address | None) -> None:
    token, _ = issuer(address=address).issue(predicted)
    assert token is not None
    seen = [read(f"{token}.{index}", KEYS) for index in range(len(predicted.predicted))]
    assert [one.predicted for one in seen] == list(predicted.predicted)
    assert {(one.classes, one.issued, one.address, one.fingerprint, one.pod) for one in seen} == {
        (predicted.count, NOW, address, fingerprint("news", "r1"), pod_mark("uid"))
    }
    assert len({one.digest for one in seen}) == len(seen)
    assert read(token, KEYS) == seen[0]


def refused(text: str) -> FeedbackRejection:
    with pytest.raises(LabelRejected) as caught:
        read(text, KEYS)
    return caught.value.reason


@settings(deadline=None)  # Busy machines are slow, and that is no fault.
@given(st.data())
def test_no_altered_character_passes(data: st.DataObject) -> None:
    token, _ = issuer().issue(Classes(10, [3, 1, 4, 1, 5]))
    assert token is not None
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_").filter(lambda letter: letter != token[place]))
    altered = token[:place] + other + token[place + 1 :]
    if place == len(token) - 1 and decoded(altered) == decoded(token):
        return  # The last character has bits that stand for nothing.
    assert refused(altered) in {FeedbackRejection.FORGED, FeedbackRejection.MALFORMED}


def decoded(token: str) -> bytes:
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


@settings(deadline=None)  # Busy machines are slow, and that is no fault.
@given(st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    assert refused(text) in {FeedbackRejection.FORGED, FeedbackRejection.MALFORMED}


def test_an_id_of_another_key_is_forged() -> None:
    for secret in range(300):  # Some of these share the id of the key.
        token, _ = issuer(Key.from_secret(secret.to_bytes(32))).issue(Classes(2, [1]))
        assert token is not None
        assert refused(token) is FeedbackRejection.FORGED


@pytest.mark.parametrize("suffix", [".2", ".-1", ".01", ".", ".x", ".9999999999", ".0.0", " "])
def test_an_instance_that_was_not_there_is_malformed(suffix: str) -> None:
    assert refused(f"{issuer().issue(Classes(2, [1, 0])).token}{suffix}") is FeedbackRejection.MALFORMED


@pytest.mark.parametrize(("count", "instances"), [(2, 8_900), (10, 4_400)])
def test_a_token_fits_into_a_header(count: int, instances: int) -> None:
    token, _ = issuer(address=IPv6Address("fd00::1")).issue(Classes(count, [count - 1] * instances))
    assert token is not None
    assert len(token) <= MAX_TOKEN_CHARS
    assert read(f"{token}.{instances - 1}", KEYS).predicted == count - 1


def test_too_many_instances_get_no_token() -> None:
    assert issuer().issue(Classes(2, [1] * 20_000)).token is None
    packed = Sized(10**15)
    assert issuer().issue(Classes(2, packed)).token is None


class Sized(list[int | None]):
    """So many instances that nobody could look at each."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int | None]:
        raise AssertionError("it was looked at")
