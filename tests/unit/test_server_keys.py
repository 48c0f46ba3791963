"""Keys are exchanged while the server runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from model_server import contract
from model_server.contract import FeedbackRejection, StartFailure
from model_server.errors import LabelRejected, StartError
from model_server.keys import follow, read_keys, renew
from model_server.prediction_id import Classes, Issuer, Key, KeyRing, read

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = b"o" * 32, b"n" * 32


def write(folder: Path, signing: bytes, **verifying: bytes) -> None:
    """Put keys into the folder as the kubelet does: into another one, to which a link leads from then on."""
    content = {contract.FEEDBACK_KEY_FILE: signing} | {
        f"{contract.VERIFYING_KEY_PREFIX}{name}": secret for name, secret in verifying.items()
    }
    fresh = folder / f"..{len(list(folder.iterdir()))}"
    fresh.mkdir()
    for name, secret in content.items():
        (fresh / name).write_text(secret.hex() + "\n")
    link = folder / "..data_tmp"
    link.symlink_to(fresh.name)
    link.rename(folder / "..data")
    for file in folder.iterdir():
        if file.name.startswith("feedback") and file.name not in content:
            file.unlink()
    for name in content:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")


def issue(ring: KeyRing) -> str:
    token, _ = Issuer(ring, b"f" * 8, b"pod!", None, lambda: 1_790_000_000, bytes).issue(Classes(2, [1]))
    assert token is not None
    return token


def is_forged(token: str, ring: KeyRing) -> bool:
    try:
        read(token, ring)
    except LabelRejected as rejection:
        return rejection.reason is FeedbackRejection.FORGED
    return False


def test_ids_of_an_old_key_count_until_it_is_taken_away(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    ring = read_keys(tmp_path)
    old = issue(ring)
    write(tmp_path, OLD, next=NEW)
    assert renew(tmp_path, ring) == ""
    assert ring.signing.secret == OLD
    write(tmp_path, NEW, previous=OLD)
    assert renew(tmp_path, ring) == ""
    new = issue(ring)
    assert ring.signing.secret == NEW
    assert not is_forged(old, ring)
    assert not is_forged(new, ring)
    assert is_forged(new, KeyRing(Key.from_secret(OLD)))
    write(tmp_path, NEW)
    assert renew(tmp_path, ring) == ""
    assert is_forged(old, ring)
    assert not is_forged(new, ring)


async def test_the_folder_is_followed(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    ring = read_keys(tmp_path)
    following = asyncio.create_task(follow(tmp_path, ring, seconds=0.001))
    write(tmp_path, NEW, previous=OLD)
    for _ in range(1000):
        if ring.signing.secret == NEW:
            break
        await asyncio.sleep(0.01)
    following.cancel()
    assert [key.secret for key in ring.all] == [NEW, OLD]


def test_two_keys_may_have_the_same_id() -> None:
    keys = [Key.from_secret(number.to_bytes(32)) for number in range(300)]
    same = next(key for key in keys[1:] if key.id == keys[0].id)
    token = issue(KeyRing(keys[0]))
    assert not is_forged(token, KeyRing(same, [keys[0]]))
    assert is_forged(token, KeyRing(same))


@pytest.mark.parametrize(("content", "problem"), [("no key", "hexadecimal"), ("ab" * 31, "31 bytes")])
def test_what_is_no_key_ends_a_start_and_changes_nothing_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str, problem: str
) -> None:
    write(tmp_path, OLD)
    ring = read_keys(tmp_path)
    (tmp_path / f"{contract.VERIFYING_KEY_PREFIX}1").write_text(content)
    with pytest.raises(StartError, match=problem) as caught:
        read_keys(tmp_path)
    assert caught.value.reason is StartFailure.BAD_SETTINGS
    told = renew(tmp_path, ring)
    assert problem in told
    assert renew(tmp_path, ring, told) == told
    assert caplog.text.count("used on") == 1
    assert [key.secret for key in ring.all] == [OLD]


def test_keys_are_not_without_number(tmp_path: Path) -> None:
    write(tmp_path, OLD, **{f"k{number}": bytes([number]) * 32 for number in range(contract.MAX_VERIFYING_KEYS + 1)})
    with pytest.raises(StartError, match="at most 8"):
        read_keys(tmp_path)
