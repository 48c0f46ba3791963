"""Cuts the errors of other libraries to what tells users something, and to what may be shown. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

MAX_CHARS: Final = 500
_GRAPH_ERROR: Final = "Graph execution error:"
_NOISE: Final = ("Detected at node", "<stack traces unavailable>", 'File "', "[[{{node", _GRAPH_ERROR)
_USER: Final = re.compile(r"(?<=://)[^\s/@]*@")
_QUERY: Final = re.compile(r"\?[^\s'\")]+")


def telling_line(text: str) -> str:
    """Keep the line that says what was wrong with a request.

    That is the first one; but an error within a graph begins with a heading and a stack trace, and tells it last.
    """
    lines = [line for line in map(str.strip, text.strip().splitlines()) if line]
    if lines and lines[0].startswith(_GRAPH_ERROR):
        telling = [line for line in lines if not line.startswith(_NOISE)]
        lines = telling[-1:] or lines
    return lines[0][:MAX_CHARS] if lines else ""


def innermost_cause(text: str) -> str:
    """Keep what went wrong with the innermost part: Keras tells it last, behind the settings of all others."""
    cause = text.rpartition("Exception encountered: ")[2].strip()
    return cause.partition("\n")[0].partition(" Full object config: ")[0][:MAX_CHARS]


def without_secrets(text: str) -> str:
    """Cut users, passwords and queries out of the URLs in a text: presigned ones are as good as a password."""
    return _QUERY.sub("?…", _USER.sub("", text))


def without_paths(text: str, folder: Path) -> str:
    """Cut a folder of this process's own out of the names of files in a text."""
    return text.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")


def shown_uri(uri: str) -> str:
    """Write a URI without what may be secret: user, password and query."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
