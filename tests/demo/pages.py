"""Prometheus' own pages on what the demo's Prometheus has: `python -m tests.demo prometheus`.

The one in the cluster is compiled from its Go module, which has the API but not the pages. So Debian's Prometheus,
which has them, runs here, keeps nothing, and reads all from the other.
"""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tests.support import debian
from tests.support.prometheus_process import PrometheusProcess

if TYPE_CHECKING:
    from tests.demo.console import Console

QUERY = "modeldeployment_evidence_ratio"
ASSETS = Path("usr", "share", "prometheus", "web")
PACKAGES = (
    "prometheus",
    "libjs-bootstrap4",
    "libjs-d3",
    "libjs-eonasdan-bootstrap-datetimepicker",
    "libjs-jquery",
    "libjs-jquery-hotkeys",
    "libjs-moment",
    "libjs-moment-timezone",
    "libjs-mustache",
    "libjs-popper.js",
    "libjs-rickshaw",
)
"""Debian's packages of the pages, and of what they use."""


def serve(prometheus: str, console: Console) -> None:
    """Show the pages until this is interrupted; `prometheus` is the URL of the one that has the data."""
    with tempfile.TemporaryDirectory() as directory, pages(prometheus, Path(directory)) as process:
        console.say("Open this address in a browser; Ctrl-C ends it:")
        console.plain(["", page(process.url, QUERY), ""])
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


def pages(prometheus: str, directory: Path) -> PrometheusProcess:
    """Return a Prometheus, not yet started, that reads everything from another."""
    debian.together(PACKAGES, directory / "packages")
    config = {"remote_read": [{"url": f"{prometheus}/api/v1/read", "read_recent": True}]}
    return PrometheusProcess(directory, config, f"--web.local-assets={directory / 'packages' / ASSETS}")


def page(url: str, query: str) -> str:
    """Return the address of the graph of a query over the last minutes."""
    asked = urlencode({"g0.expr": query, "g0.tab": 0, "g0.range_input": "10m"})
    return f"{url}/classic/graph?{asked}"
