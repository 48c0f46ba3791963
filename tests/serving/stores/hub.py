"""A server of the tests that answers what the Hugging Face Hub documents of its HTTP API, as far as fetching needs
it.

There is no hub to run on a machine of one's own: this is our reading of the documentation, and tests against it
show that we keep to that, not that the hub does. `/api/models/ORG/REPO/revision/REVISION?blobs=true` lists the
files of a commit with sizes and hashes; `/ORG/REPO/resolve/COMMIT/PATH` gives a file, or for a large one leads to
another host, which must not get the token.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_secret"
LARGE_BYTES = 1000
"""What is larger is kept by Git LFS."""


class Hub:
    """Two servers: the hub, and where large files are."""

    def __init__(self, repository: str, revision: str, files: Mapping[str, bytes]) -> None:
        self.repository = repository
        self.revision = revision
        self.files = dict(files)
        self.private = False
        self.said: list[tuple[str, str | None]] = []
        """Paths, and what came as authorization."""
        self._hub, self._large = (self._serve(answer) for answer in (self._answer, self._answer_large))
        self.url = f"http://127.0.0.1:{self._hub.server_port}"

    def close(self) -> None:
        for server in (self._hub, self._large):
            server.shutdown()
            server.server_close()

    def _serve(self, answer: Any) -> ThreadingHTTPServer:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                code, headers, body = answer(unquote(urlsplit(self.path).path), self.headers)
                self.send_response(code)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Keep quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def _answer(self, path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        self.said.append((path, headers["Authorization"]))
        if self.private and headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, {"X-Error-Code": "GatedRepo"}, b""
        listing = f"/api/models/{self.repository}/revision/"
        if path.startswith(listing):
            if path.removeprefix(listing) != self.revision:
                return 404, {"X-Error-Code": "RevisionNotFound"}, b""
            return 200, {}, json.dumps({"sha": COMMIT, "siblings": [*map(self._entry, self.files)]}).encode()
        name = path.removeprefix(f"/{self.repository}/resolve/{COMMIT}/")
        if name not in self.files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b""
        if len(self.files[name]) > LARGE_BYTES:
            return 302, {"Location": f"http://127.0.0.1:{self._large.server_port}/{name}?Signature=secret"}, b""
        return 200, {}, self.files[name]

    def _answer_large(self, path: str, headers: Any) -> tuple[int, dict[str, str], bytes]:
        self.said.append((path, headers["Authorization"]))
        data = self.files[path.removeprefix("/")]
        if headers["Range"] is None:
            return 200, {}, data
        first, _, last = headers["Range"].removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last) + 1 if last else None]
        return 206, {"Content-Range": f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"}, part

    def _entry(self, name: str) -> dict[str, Any]:
        data = self.files[name]
        blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()
        entry: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": blob}
        if len(data) > LARGE_BYTES:
            entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
        return entry


@contextlib.contextmanager
def hub(repository: str, revision: str, files: Mapping[str, bytes]) -> Iterator[Hub]:
    one = Hub(repository, revision, files)
    try:
        yield one
    finally:
        one.close()
