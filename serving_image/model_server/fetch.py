"""The init container: fetches the model, verifies its digest, and only then looks into it.

`python3 -m model_server.fetch` leaves one model in the folder of models: a SavedModel that was tried in a confined
process. This container alone has the credentials of the model's store, and none of the clients' requests.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from model_server import logs, sources
from model_server.cache import Cache
from model_server.contract import StartFailure
from model_server.errors import StartError
from model_server.giving_up import give_up
from model_server.loading import find_model, format_of_file
from model_server.preparation.parent import prepare
from model_server.settings import FetchSettings, fetch_settings, read_place
from model_server.sources.limits import amount
from model_server.sources.parts import check_digest
from model_server.sources.progress import Progress
from model_server.stopping import exit_on_sigterm
from model_server.unpack import is_archive, unpack
from model_server.wording import shown_uri

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from model_server.settings import Place

INCOMING: Final = ".incoming"
"""A folder beside the model, for what is not verified yet. The server does not look there."""
_METRICS_AFTER_SECONDS: Final = 1.0
"""What is fetched faster needs nobody who watches it."""
_LFS_POINTER: Final = b"version https://git-lfs"
_LFS_MAX_BYTES: Final = 1024
_FULL: Final = {errno.ENOSPC, errno.EDQUOT}


def fetch(settings: FetchSettings) -> None:
    """Fetch, verify and prepare a model. Raises `StartError`."""
    folder, uri = settings.place.model_dir, shown_uri(settings.uri)
    with _told(folder):
        _empty(folder)  # An earlier attempt may have left something.
        incoming = folder / INCOMING
        incoming.mkdir()
        progress = Progress()
        got = asyncio.run(_get(settings, incoming, progress))
        check_digest(uri, got.digest, settings.digest)
        refuse_pointers(got.path)
        put_in_place(got.path, folder, settings.max_model_bytes)
        shutil.rmtree(incoming)
        found = find_model(folder, settings.format)
        logs.event("fetched", uri=uri, digest=got.digest, format=found.format, **progress.line())
        _report(progress, folder)
        prepared = prepare(found, folder, settings.extra_ops)
        if prepared != found.path:
            _remove(folder / found.path.relative_to(folder).parts[0])


async def _get(settings: FetchSettings, incoming: Path, progress: Progress) -> sources.Got:
    cache = _open_cache(settings)
    order = sources.Order(
        settings.uri,
        settings.digest,
        incoming,
        settings.place.source_dir,
        settings.max_model_bytes,
        settings.seconds,
        cache,
        progress,
    )
    watched = asyncio.create_task(_serve_metrics(progress, settings.place))
    try:
        return await sources.get(order)
    finally:
        watched.cancel()
        if cache is not None:
            cache.close()


async def _serve_metrics(progress: Progress, place: Place) -> None:
    await asyncio.sleep(_METRICS_AFTER_SECONDS)
    from model_server import fetch_metrics  # Here, because it takes a tenth of a second.

    await asyncio.to_thread(fetch_metrics.serve, progress, place.host, place.admin_port)


def _report(progress: Progress, folder: Path) -> None:
    from model_server import fetch_metrics  # As above.

    fetch_metrics.write_report(progress, folder)


def _open_cache(settings: FetchSettings) -> Cache | None:
    if settings.cache_dir is None:
        return None
    try:
        return Cache(settings.cache_dir, settings.cache_max_bytes)
    except OSError as error:
        logs.warning("there is no cache", folder=str(settings.cache_dir), error=str(error))
        return None


def refuse_pointers(path: Path) -> None:
    """Refuse files of which Git LFS has the contents. Raises `StartError`."""
    for file in path.rglob("*") if path.is_dir() else ():  # What is one file is looked at when its format is.
        if file.is_file() and file.stat().st_size <= _LFS_MAX_BYTES and file.read_bytes().startswith(_LFS_POINTER):
            raise StartError(
                StartFailure.NOT_A_MODEL,
                f"{file.relative_to(path)} is a pointer of Git LFS, not the file it stands for: run `git lfs pull` "
                "before the model is copied",
            )


def put_in_place(got: Path, folder: Path, max_bytes: int) -> None:
    """Move what was fetched to where the server looks, unpacked, under a name that Keras goes by."""
    if got.is_dir():
        got.rename(folder / "model")
        return
    model_format = format_of_file(got)
    if model_format is not None:
        got.rename(folder / f"model.{model_format}")
    elif is_archive(got):
        unpack(got, folder / "model", max_bytes)
        refuse_pointers(folder / "model")
    else:
        got.rename(folder / got.name)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn errors of the file system into what users are told."""
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        if error.errno in _FULL:
            free = amount(shutil.disk_usage(folder).free)
            message = (
                f"the volume at {folder} is full ({free} free): the model and what it is unpacked from are too large"
            )
        else:
            message = f"{where} cannot be written or read: {error.strerror or error}"
        raise StartError(StartFailure.FETCH_FAILED, message) from error


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        _remove(entry)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


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
