"""nginx, as a server that knows ranges and ETags; behind a password at /private/, and slow at /slow/."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.serving.stores.processes import free_port, running
from tests.support import debian

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER, PASSWORD = "somebody", "secret-of-the-web"
_CONFIG = """
daemon off; master_process off; pid {work}/pid; error_log stderr;
events {{}}
http {{
  access_log {work}/access.log;
  client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
  uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {files};
    location /private/ {{ auth_basic files; auth_basic_user_file {work}/users; alias {files}/; }}
    location /slow/ {{ limit_rate 50k; alias {files}/; }}
    location /weak/ {{ etag off; alias {files}/; }}
    location /whole/ {{ max_ranges 0; alias {files}/; }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(files: Path, work: Path) -> Iterator[int]:
    """Serve the files; gives the port."""
    work.mkdir()
    port = free_port()
    (work / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n")
    (work / "nginx.conf").write_text(_CONFIG.format(work=work, files=files, port=port))
    command: list[str | Path] = [
        debian.command("nginx"),
        "-p",
        str(work),
        "-c",
        str(work / "nginx.conf"),
        "-e",
        "stderr",
    ]
    with running(command, port, work / "log"):
        yield port
