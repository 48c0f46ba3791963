"""Files on web servers: from any byte on where the server can, always of one version."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from model_server.sources.client import check_status
from model_server.sources.limits import CHUNK_BYTES
from model_server.sources.parts import SHA256, Checksum, NoRanges, Part, changed, failed
from model_server.wording import shown_uri

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import PurePosixPath

    import aiohttp

    from model_server.sources.client import Access, Client

_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)
_LENGTHS: Final = {SHA256: 32, "md5": 16}


async def probe(client: Client, url: str, access: Access, name: PurePosixPath, hint: str) -> Part:
    """Ask for one byte, to learn the file's size and version. Raises `Interrupted`, `StartError`."""
    async with client.get(url, {"Range": "bytes=0-0"}, access.header) as response:
        if response.status == 416:  # An empty file, or a server that is wrong about ranges.
            size, tag = None, None
        else:
            check_status(response, url, hint)
            size, tag = _size(response), _strong_tag(response)
        checksums = tuple(_checksums(response.headers))
    file = _WebFile(client, url, access, size, tag)
    return Part(name, size, file.read, checksums, seekable=tag is not None and response.status == 206)


def part_of(client: Client, url: str, access: Access, name: PurePosixPath, size: int, checksum: Checksum) -> Part:
    """Return a file of which size and hash are known, so that parts of two versions would be found out."""
    return Part(name, size, _WebFile(client, url, access, size, None).read, (checksum,))


class _WebFile:
    """A file that is read in ranges."""

    def __init__(self, client: Client, url: str, access: Access, size: int | None, tag: str | None) -> None:
        self._client = client
        self._url = url
        self._access = access
        self._size = size
        self._tag = tag

    async def read(self, start: int, end: int | None) -> AsyncIterator[bytes]:
        """Read from one byte to before another."""
        whole = start == 0 and end in (None, self._size)
        headers = {} if whole else {"Range": f"bytes={start}-{'' if end is None else end - 1}"}
        if self._tag is not None:
            headers["If-Match"] = self._tag
            if not whole:
                headers["If-Range"] = self._tag
        for may_renew in (True, False):
            async with self._client.get(self._url, headers, self._access.header) as response:
                challenge = response.headers.get("WWW-Authenticate", "")
                if response.status == 401 and may_renew and await self._access.renew(challenge):
                    continue
                self._check(response, start, whole=whole)
                async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                    yield chunk
                return

    def _check(self, response: aiohttp.ClientResponse, start: int, *, whole: bool) -> None:
        if response.status in {412, 416} and self._tag is not None:
            raise changed(shown_uri(self._url))
        check_status(response, self._url)
        if self._tag is not None and response.headers.get("ETag") != self._tag:
            raise changed(shown_uri(self._url))
        if whole and response.status == 200:
            return
        content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if response.status == 200:
            if self._tag is not None:  # The whole of another version, as If-Range has it.
                raise changed(shown_uri(self._url))
            raise NoRanges
        if response.status != 206 or content_range is None or int(content_range[1]) != start:
            raise failed(
                f"{shown_uri(self._url)}: the server answered {response.status} with another range than it was "
                "asked for"
            )
        if self._size is not None and int(content_range[3]) != self._size:
            raise changed(shown_uri(self._url))


def _size(response: aiohttp.ClientResponse) -> int | None:
    if response.status == 206:
        content_range = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        return int(content_range[3]) if content_range else None
    return response.content_length


def _strong_tag(response: aiohttp.ClientResponse) -> str | None:
    """Return what tells versions apart by the byte; a weak tag does not."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else None


def _checksums(headers: Mapping[str, str]) -> list[Checksum]:
    """Read hashes of the whole file: RFC 9530, and what S3 and Google's storage say."""
    found = []
    digest = re.search(r"sha-256=:([^:]+):", headers.get("Repr-Digest", ""))
    google = re.search(r"md5=([^,\s]+)", headers.get("x-goog-hash", ""))
    for algorithm, text in (
        (SHA256, digest[1] if digest else ""),
        (SHA256, headers.get("x-amz-checksum-sha256", "")),
        ("md5", google[1] if google else ""),
    ):
        try:
            value = base64.b64decode(text, validate=True)
        except binascii.Error:
            continue  # Of S3, a hash of hashes has a number behind it.
        if len(value) == _LENGTHS[algorithm]:
            found.append(Checksum(algorithm, value.hex()))
    return found
