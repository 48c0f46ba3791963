"""The init container: fetches the model, verifies its digest, and only then looks into it.

`python3 -m model_server.fetch` leaves one model in the folder of models. It needs no TensorFlow, and the container
that serves needs neither a network to get the model nor credentials; but `spec.serving.env` is that of both containers,
so credentials that stand there are in both.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from model_server import logs, sources
from model_server.contract import StartFailure
from model_server.digest import digest_of
from model_server.errors import StartError
from model_server.giving_up import give_up
from model_server.loading import find_model, format_of_file
from model_server.settings import FetchSettings, fetch_settings, read_place
from model_server.stopping import exit_on_sigterm
from model_server.unpack import is_archive, unpack

if TYPE_CHECKING:
    from pathlib import Path

INCOMING: Final = ".incoming"
"""A folder beside the model, for what is not verified yet. The server does not look there."""


def fetch(settings: FetchSettings) -> None:
    """Fetch and verify a model. Raises `StartError`."""
    folder = settings.place.model_dir
    try:
        _empty(folder)  # An earlier attempt may have left something.
        incoming = folder / INCOMING
        incoming.mkdir()
        started = time.monotonic()
        got = asyncio.run(sources.get(settings.uri, incoming, settings.place.source_dir))
        digest = digest_of(got)
        verify(digest, settings)
        put_in_place(got, folder)
        shutil.rmtree(incoming)
        found = find_model(folder, settings.format)
    except OSError as error:
        where = error.filename or folder
        raise StartError(StartFailure.FETCH_FAILED, f"{where} cannot be written or read: {error.strerror}") from error
    seconds = round(time.monotonic() - started, 2)
    logs.event("fetched", uri=sources.shown(settings.uri), digest=digest, format=found.format, seconds=seconds)


def verify(digest: str, settings: FetchSettings) -> None:
    """Compare digests. Raises `StartError`."""
    if settings.digest is not None and settings.digest != digest:
        raise StartError(
            StartFailure.DIGEST_MISMATCH,
            f"{sources.shown(settings.uri)} has the digest {digest}, but spec.model.digest is {settings.digest}: "
            "the model was replaced, or the digest is of another one",
        )


def put_in_place(got: Path, folder: Path) -> None:
    """Move what was fetched to where the server looks, unpacked, under a name that Keras goes by."""
    if got.is_dir():
        got.rename(folder / "model")
        return
    model_format = format_of_file(got)
    if model_format is not None:
        got.rename(folder / f"model.{model_format}")
    elif is_archive(got):
        unpack(got, folder / "model")
    else:
        got.rename(folder / got.name)


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def main() -> int:
    """Fetch; returns the exit code."""
    exit_on_sigterm(128 + signal.SIGTERM)
    logs.set_up()
    place = read_place(sys.argv[1:])
    try:
        fetch(fetch_settings(os.environ, place))
    except StartError as error:
        return give_up(error, place.termination_log)
    except Exception as error:
        logs.logger.exception("fetching failed")
        return give_up(StartError(StartFailure.FETCH_FAILED, f"{type(error).__name__}: {error}"), place.termination_log)
    return 0


if __name__ == "__main__":
    sys.exit(main())
