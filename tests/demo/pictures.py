"""Draws the pictures of the README from the demo that runs: `python -m tests.demo pictures`."""

from __future__ import annotations

import socket
import subprocess
import time
from typing import TYPE_CHECKING

from tests.browser.picture import picture
from tests.cluster import monitoring
from tests.cluster.paths import REPOSITORY
from tests.demo.errors import DemoError
from tests.demo.kubectl import stop
from tests.demo.prometheus import dashboards
from tests.demo.workspace import OPERATOR, OPERATOR_NAMESPACE, PAGE_PORT

if TYPE_CHECKING:
    from tests.cluster import Cluster
    from tests.demo.console import Console
    from tests.demo.kubectl import Kubectl

FOLDER = REPOSITORY / "manifests" / "dashboards" / "pictures"
PAGE = FOLDER / "page.png"
SECTIONS = ("Now", "Judgement", "Quality by labels")
"""Of the dashboard of one model: what the story is about. The whole of it is too long for a page of text."""
SECONDS = 15.0


def draw(cluster: Cluster, kubectl: Kubectl, began: float, ended: float, console: Console) -> None:
    """Draw the dashboards between two times, and the operator's page as it is. Raises DemoError."""
    installed = monitoring.install(cluster)
    for board in ("fleet", "model"):
        sections = [word for title in SECTIONS for word in ("--section", title)] if board == "model" else []
        words = dashboards(installed, began, ended, "--output", str(FOLDER), "--dashboards", board, *sections)
        done = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DemoError(f"{board} could not be drawn: {done.stderr}")
        console.say(done.stdout.strip())
    forward = ("port-forward", "--namespace", OPERATOR_NAMESPACE, f"deployment/{OPERATOR}", str(PAGE_PORT))
    process = kubectl.start(*forward)
    try:
        _wait_for_port()
        picture(f"http://localhost:{PAGE_PORT}/", PAGE, width=1200, scale=1)
        console.say(str(PAGE))
    finally:
        stop(process)


def _wait_for_port() -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", PAGE_PORT), 1).close()
        except OSError as error:
            if time.monotonic() > end:
                raise DemoError(f"the operator's page cannot be reached at port {PAGE_PORT}: {error}") from error
            time.sleep(0.1)
        else:
            return
