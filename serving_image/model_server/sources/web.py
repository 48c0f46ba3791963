"""http:// and https://: one file. Credentials: MODEL_HTTP_TOKEN, MODEL_HTTP_USER and _PASSWORD, the URL, or .netrc."""

from __future__ import annotations

import base64
import netrc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from model_server.sources.client import Access, Client
from model_server.sources.finding import Found, ask
from model_server.sources.parts import bad_uri, last_name
from model_server.sources.web_files import probe
from model_server.wording import shown_uri

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

TOKEN: Final = "MODEL_HTTP_TOKEN"  # noqa: S105  # The name of a variable, no password, as is the next but one.
USER: Final = "MODEL_HTTP_USER"
PASSWORD: Final = "MODEL_HTTP_PASSWORD"  # noqa: S105
_HINT: Final = (
    f"Is the URI right? Where the server asks who it is: {TOKEN}, or {USER} and {PASSWORD}, in spec.model.env"
)


async def find(uri: str, stack: AsyncExitStack) -> Found:
    """Find the file."""
    parts = urlsplit(uri)
    if not parts.hostname:
        raise bad_uri(f"{shown_uri(uri)} names no host")
    authorization = _authorization(parts.hostname, parts.username, parts.password)
    bare = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
    client = await stack.enter_async_context(Client())
    name = last_name(parts.path)
    part = await ask(shown_uri(uri), lambda: probe(client, bare, Access(authorization), name, _HINT))
    return Found.one_file(part)


def _authorization(host: str, user: str | None, password: str | None) -> str | None:
    if token := _setting(TOKEN):
        return f"Bearer {token}"
    if user is None and (user := _setting(USER)) is not None:
        password = _setting(PASSWORD)
    elif user is not None:
        user, password = unquote(user), unquote(password or "")
    else:
        user, password = _from_netrc(host)
    return None if user is None else basic(user, password or "")


def _setting(name: str) -> str | None:
    """Read a variable without the line break that a Secret has that was made of a file."""
    value = os.environ.get(name)
    return None if value is None else value.rstrip("\r\n")


def basic(user: str, password: str) -> str:
    """Write basic authorization."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _from_netrc(host: str) -> tuple[str | None, str | None]:
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        found = netrc.netrc(str(path)).authenticators(host)
    except FileNotFoundError:
        return None, None
    except (netrc.NetrcParseError, OSError) as error:
        raise bad_uri(f"{path} cannot be read: {type(error).__name__}") from error
    return (found[0] or None, found[2]) if found else (None, None)
