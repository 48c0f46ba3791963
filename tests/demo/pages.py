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


def serve(prometheus: str, console: Console) -> None:
    """Show the pages until this is interrupted; `prometheus` is the URL of the one that has the data."""
    with tempfile.TemporaryDirectory() as directory, pages(prometheus, Path(directory)) as process:
        console.say(f"Open {page(process.url, QUERY)}", "Ctrl-C ends it.")
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


def pages(prometheus: str, directory: Path) -> PrometheusProcess:
    """Return a Prometheus, not yet started, that reads everything from another."""
    config = {"remote_read": [{"url": f"{prometheus}/api/v1/read", "read_recent": True}]}
    assets = _assets()
    return PrometheusProcess(directory, config, *([f"--web.local-assets={assets}"] if assets else []))


def page(url: str, query: str) -> str:
    """Return the address of the graph of a query over the last minutes."""
    asked = urlencode({"g0.expr": query, "g0.tab": 0, "g0.range_input": "5m"})
    return f"{url}/{'classic/' if _assets() else ''}graph?{asked}"


def _assets() -> Path | None:
    """Return where Debian keeps the pages, apart from the executable; None for a Prometheus that has them within."""
    folder = debian.command("prometheus").resolve().parents[1] / "share" / "prometheus" / "web"
    return folder if folder.is_dir() else None
