"""hf://ORG/REPO[@REVISION][/PATH]: a file, a folder or all of a repository of the Hugging Face Hub, or of its like.

The revision is resolved to a commit first, so that all files are of one; each is verified by what the hub knows of
it: the SHA-256 of large files, Git's own hash of the others. HF_TOKEN opens private repositories, HF_ENDPOINT names
another hub.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from model_server.sources.client import Access, Client, check_status
from model_server.sources.finding import Found, ask
from model_server.sources.limits import MAX_FILES
from model_server.sources.parts import SHA256, Checksum, Part, bad_uri, failed
from model_server.sources.web_files import part_of
from model_server.unpack import safe_relative

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    import aiohttp

ENDPOINT: Final = "https://huggingface.co"
_URI: Final = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/]+))?(?P<path>/.*)?", re.ASCII)
_HEX: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_MAX_LISTING_BYTES: Final = 32 * 2**20
_HINT: Final = (
    "Does it exist? If it is private, or asks for consent: HF_TOKEN in spec.model.env, of somebody who may read it"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed URI."""

    repository: str
    revision: str
    path: str
    """Of a file or folder; empty: all."""


def parse(uri: str) -> Reference:
    """Read a URI. A revision with a slash has it as %2F. Raises `StartError`."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise bad_uri(f"{uri} is no hf://ORG/REPO[@REVISION][/PATH]")
    return Reference(found["repository"], unquote(found["revision"] or "main"), unquote(found["path"] or "").strip("/"))


async def find(uri: str, stack: AsyncExitStack) -> Found:
    """Find the files of a revision. Raises `StartError`."""
    reference = parse(uri)
    client = await stack.enter_async_context(Client())
    endpoint = (os.environ.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")
    access = Access(_token())
    url = f"{endpoint}/api/models/{reference.repository}/revision/{quote(reference.revision, safe='')}?blobs=true"
    listing = await ask(uri, lambda: _listing(client, url, access, uri))
    commit, files = listing.get("sha"), listing.get("siblings")
    if not isinstance(commit, str) or not _HEX.fullmatch(commit) or not isinstance(files, list):
        raise failed(f"{uri}: the hub's answer names no commit and no files")
    base = f"{endpoint}/{reference.repository}/resolve/{commit}"
    by_name = {str(one.get("rfilename")): one for one in files if isinstance(one, dict)}
    if reference.path in by_name:
        name = PurePosixPath(PurePosixPath(reference.path).name)
        return Found.one_file(_part(client, base, access, name, by_name[reference.path]))
    prefix = f"{reference.path}/" if reference.path else ""
    parts = [
        _part(client, base, access, safe_relative(name.removeprefix(prefix)), one)
        for name, one in sorted(by_name.items())
        if name.startswith(prefix) and not name.removeprefix(prefix).startswith(".")
    ]
    if not parts or len(parts) > MAX_FILES:
        raise failed(
            f"{uri} has {len(parts)} files: there is no such path in the repository, or it is not the model's own"
        )
    return Found(parts, is_file=False)


async def _listing(client: Client, url: str, access: Access, uri: str) -> dict[str, Any]:
    async with client.get(url, {"Accept": "application/json"}, access.header) as response:
        check_status(response, url, f"{_said(response)}{_HINT}")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _MAX_LISTING_BYTES:
                raise failed(f"{uri}: the list of files is over {_MAX_LISTING_BYTES >> 20} MiB")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise failed(f"{uri}: the hub's answer is no JSON")
    return document


def _said(response: aiohttp.ClientResponse) -> str:
    """Return the hub's own word for what is wrong, such as GatedRepo or RevisionNotFound."""
    code = response.headers.get("X-Error-Code", "")
    return f"{code}. " if re.fullmatch(r"[A-Za-z]{1,40}", code) else ""


def _part(client: Client, base: str, access: Access, name: PurePosixPath, entry: dict[str, Any]) -> Part:
    size, blob, large = entry.get("size"), entry.get("blobId"), entry.get("lfs")
    if isinstance(large, dict):
        size = large.get("size", size)
        checksum = Checksum(SHA256, str(large.get("sha256")))
    else:
        checksum = Checksum("sha1", str(blob), f"blob {size}\0".encode())
    if type(size) is not int or size < 0 or not _HEX.fullmatch(checksum.hexdigest):
        raise failed(f"{name}: the hub does not say the size and the hash of this file")
    url = f"{base}/{quote(str(entry['rfilename']))}"
    return part_of(client, url, access, name, size, checksum)


def _token() -> str | None:
    token = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    path = os.environ.get("HF_TOKEN_PATH")
    if not token and path:
        token = Path(path).read_text(encoding="utf-8")
    return f"Bearer {token.strip()}" if token and token.strip() else None
