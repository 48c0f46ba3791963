"""The keys that the operator has put into a Secret, read again when it changes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from model_server import contract
from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.logs import event, warning
from model_server.prediction_id import Key, KeyRing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ_AGAIN_SECONDS: Final = 10.0
"""The kubelet takes up to a minute and a half to bring a new Secret to its pods; this adds little."""
KEY_BYTES: Final = 32


def read_keys(folder: Path) -> KeyRing:
    """Read the keys of prediction ids. Raises `StartError`."""
    signing = _read(folder / contract.FEEDBACK_KEY_FILE)
    files = sorted(_verifying(folder))
    if len(files) > contract.MAX_VERIFYING_KEYS:
        raise _bad(f"{folder} holds {len(files)} keys besides the signing one: at most {contract.MAX_VERIFYING_KEYS}")
    return KeyRing(signing, [_read(file) for file in files])


async def follow(folder: Path, ring: KeyRing, seconds: float = READ_AGAIN_SECONDS) -> None:
    """Put changed keys into the ring, for ever. Keys that cannot be read change nothing."""
    told = ""
    while True:
        await asyncio.sleep(seconds)
        told = renew(folder, ring, told)


def renew(folder: Path, ring: KeyRing, told: str = "") -> str:
    """Put the keys of the folder into the ring; returns why they could not be read, which is logged unless told."""
    try:
        fresh = read_keys(folder)
    except StartError as error:
        if error.message != told:
            warning("the keys cannot be read again: those of before are used on", reason=error.message)
        return error.message
    if fresh.all != ring.all:
        ring.replace(fresh.signing, fresh.all)
        event("other keys", signing=fresh.signing.id, known=[key.id for key in fresh.all])
    return ""


def _verifying(folder: Path) -> Iterator[Path]:
    try:
        yield from (file for file in folder.iterdir() if file.name.startswith(contract.VERIFYING_KEY_PREFIX))
    except OSError as error:
        raise _unreadable(error) from error


def _read(file: Path) -> Key:
    """Read one key. Raises `StartError`."""
    try:
        secret = bytes.fromhex(file.read_text().strip())
    except OSError as error:
        raise _unreadable(error) from error
    except ValueError as error:
        raise _bad(f"{file} is not hexadecimal") from error
    if len(secret) != KEY_BYTES:
        raise _bad(f"{file} holds {len(secret)} bytes, not {KEY_BYTES}")
    return Key.from_secret(secret)


def _unreadable(error: OSError) -> StartError:
    return _bad(f"{error.filename} cannot be read ({error.strerror}): is the Secret with the keys mounted?")


def _bad(message: str) -> StartError:
    return StartError(StartFailure.BAD_SETTINGS, message)
