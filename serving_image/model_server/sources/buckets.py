"""s3://BUCKET/KEY, gs://BUCKET/KEY and az://CONTAINER/PATH: an object, or all objects below a prefix.

obstore (Apache's object_store) finds region, endpoint and credentials where the clouds' own tools do: the
environment, files it names, and the identity of the pod. It does not hand on the hashes that stores keep beside an
object; what came is compared with the size that was listed, and each part is asked for by the ETag of the listing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, PreconditionError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, S3Store

from model_server.sources.finding import Found, ask
from model_server.sources.limits import CHUNK_BYTES, MAX_FILES
from model_server.sources.parts import Interrupted, Part, bad_uri, changed, failed, last_name
from model_server.unpack import safe_relative
from model_server.wording import without_secrets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from obstore import GetOptions, ObjectMeta

_RETRIES: Final = 2
"""Of one request, at once; more come from `patience`."""

_IN_VAIN: Final = ("Name or service not known", "No address associated", "certificate", "InvalidCertificate")
"""What an error names when trying again does not help."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_URL: Final = re.compile(r"https?://[^\s/]\S*")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_DOCUMENT: Final = "GOOGLE_SERVICE_ACCOUNT_KEY"
"""The one setting that has lines."""
_SECRETS: Final = ("KEY", "SECRET", "TOKEN")
"""Ends of the names of settings that no message may show."""
_MIN_SECRET_CHARS: Final = 8
"""What is shorter is no secret, and may stand in any word."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One cloud."""

    store: Any
    prefix: str
    """Begins the names of all its settings."""
    endpoints: tuple[str, ...]
    """Variables that name another server."""
    credentials: str
    """What to set in spec.model.env."""
    metadata: tuple[str, ...]
    """What an error names when credentials were looked for in vain."""


_KINDS: Final = {
    "s3": _Kind(
        S3Store,
        "AWS_",
        ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket",
        ("169.254.169.254", "169.254.170"),
    ),
    "gs": _Kind(
        GCSStore,
        "GOOGLE_",
        ("GOOGLE_BASE_URL",),
        "GOOGLE_SERVICE_ACCOUNT_KEY, or GOOGLE_SKIP_SIGNATURE=true for a public bucket",
        ("metadata.google.internal", "169.254.169.254"),
    ),
    "az": _Kind(
        AzureStore,
        "AZURE_",
        ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
        "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY (or a SAS token in AZURE_STORAGE_SAS_KEY), "
        "or AZURE_SKIP_SIGNATURE=true for a public container",
        ("169.254.169.254",),
    ),
}


async def find(uri: str) -> Found:
    """Find the object, or those below a prefix. Raises `StartError`."""
    parts = urlsplit(uri)
    kind = _KINDS[parts.scheme]
    bucket, key = parts.netloc, unquote(parts.path).strip("/")
    if not bucket:
        raise bad_uri(f"{uri} names no bucket")
    source = _Bucket(kind, _open(kind, bucket), uri)
    return await ask(uri, lambda: source.find(key, may_be_object=bool(key) and not parts.path.endswith("/")))


def _check_settings(kind: _Kind) -> None:
    """Refuse what obstore would end a thread for, or take for another value."""
    for name, value in os.environ.items():
        if name.startswith(kind.prefix) and name != _DOCUMENT and _CONTROL.search(value):
            raise bad_uri(
                f"{name} holds a line break, or another control character: was the Secret made of a file that ends "
                "with one?"
            )
    for name in kind.endpoints:
        if os.environ.get(name) and not _URL.fullmatch(os.environ[name]):
            raise bad_uri(f"{name} is no URL that begins with http:// or https://")


def _open(kind: _Kind, bucket: str) -> Any:
    _check_settings(kind)
    endpoint = next(filter(None, map(os.environ.get, kind.endpoints)), "")
    emulator = os.environ.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in {"1", "true"}
    try:
        return kind.store(
            bucket,
            client_options={
                "allow_http": endpoint.startswith("http://") or emulator,
                "connect_timeout": timedelta(seconds=10),
                "read_timeout": timedelta(seconds=60),
                "timeout": timedelta(minutes=10),
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=60)},
        )
    except (BaseError, ValueError) as error:
        # What it quotes is a part of a setting, and that may be a key.
        problem = _brief(_QUOTED.sub('"…"', str(error)))
        raise bad_uri(f"the settings of the store are wrong: {problem}. Set {kind.credentials}") from None


class _Bucket:
    """One bucket."""

    def __init__(self, kind: _Kind, store: Any, uri: str) -> None:
        self._kind = kind
        self._store = store
        self._uri = uri

    async def find(self, key: str, *, may_be_object: bool) -> Found:
        """Look for an object of that name, and for such below it. Raises `Interrupted`, `StartError`."""
        try:
            if may_be_object:
                try:
                    meta = await obstore.head_async(self._store, key)
                    return Found.one_file(self._part(last_name(key), meta))
                except FileNotFoundError:
                    pass
            prefix = f"{key}/" if key else ""
            parts = [
                self._part(safe_relative(meta["path"].removeprefix(prefix)), meta)
                async for meta in self._listed(prefix)
            ]
        except ValueError as error:  # Of obstore: a key that it cannot write, such as a//b.
            raise bad_uri(f"{self._uri}: {_brief(str(error))}") from error
        except (BaseError, FileNotFoundError) as error:
            raise self._problem(error) from error
        if not parts:
            raise failed(f"{self._uri}: there is no such object, and none whose key begins with {prefix!r}")
        return Found(parts, is_file=False)

    async def _listed(self, prefix: str) -> AsyncIterator[ObjectMeta]:
        """List what is below a prefix, but for what stands for a folder. Raises `StartError` if it is too much."""
        number = 0
        async for batch in obstore.list(self._store, prefix or None):
            for meta in batch:
                number += 1
                if number > MAX_FILES:
                    raise failed(f"{self._uri} has over {MAX_FILES} objects: does it name the model's own folder?")
                if not meta["path"].endswith("/"):
                    yield meta

    def _part(self, name: PurePosixPath, meta: ObjectMeta) -> Part:
        tag = meta["e_tag"]
        if tag is None or tag.startswith("W/"):  # What does not tell versions apart by the byte.
            return Part(name, meta["size"], partial(self._read, meta["path"], None), seekable=False)
        quoted = '"' + tag.strip('"') + '"'  # Lists of Google and Azure have it bare.
        return Part(name, meta["size"], partial(self._read, meta["path"], quoted))

    async def _read(self, key: str, tag: str | None, start: int, end: int | None) -> AsyncIterator[bytes]:
        options: GetOptions = {} if end is None else {"range": (start, end)}
        if tag is not None:
            options["if_match"] = tag
        try:
            answer = await obstore.get_async(self._store, key, options=options)
            async for chunk in answer.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)
        except PreconditionError as error:
            raise changed(self._uri) from error
        except (BaseError, FileNotFoundError) as error:
            raise self._problem(error) from error

    def _problem(self, error: Exception) -> Exception:
        """Tell what helps: `Interrupted` for what passes by itself."""
        text = str(error)
        code = text.partition("status code: ")[2][:3]
        advice = f"set {self._kind.credentials} in spec.model.env"
        denied = isinstance(error, PermissionDeniedError | UnauthenticatedError) or code in {"401", "403"}
        for holds, message in (
            (denied, f"access denied. Are the credentials right? If there are none, {advice}"),
            (_names(text, "NoSuchBucket", "ContainerNotFound", "bucket does not exist"), "there is no such bucket"),
            (isinstance(error, FileNotFoundError), "the bucket or the object does not exist"),
            (_names(text, *self._kind.metadata), f"there are no credentials; {advice}"),
            (_names(text, "redirect without LOCATION"), "the bucket is in another region: set AWS_REGION"),
            (_names(text, *_IN_VAIN) or (code.startswith("4") and code not in {"408", "429"}), _brief(text)),
        ):
            if holds:
                return failed(f"{self._uri}: {message}")
        return Interrupted(f"{self._uri}: {_brief(text)}")


def _names(text: str, *words: str) -> bool:
    return any(word in text for word in words)


def _brief(text: str) -> str:
    text = without_secrets(" ".join(text.split("Debug source:")[0].split()))
    ours = tuple(kind.prefix for kind in _KINDS.values())
    for name, value in os.environ.items():  # S3 repeats a session token that it does not take.
        if name.startswith(ours) and name.endswith(_SECRETS) and len(value) >= _MIN_SECRET_CHARS:
            text = text.replace(value, "…")
    return text[:500]
