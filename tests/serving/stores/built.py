"""Servers of clouds that are built when they are first needed, into the cache, by the hash of what pins their versions.

fake-gcs-server is a Go program: a minute or two on two cores. Azurite comes from npm: half a minute. A machine without
Node has no Azurite, and skips the tests that need it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from tests.cluster import golang
from tests.cluster.paths import cache
from tests.cluster.state import locked
from tests.serving.stores.processes import free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator

_HERE = Path(__file__).parent
_GCS_PACKAGES = 900
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, which its documentation tells everybody."""


@contextlib.contextmanager
def google(work: Path) -> Iterator[str]:
    """Run fake-gcs-server; gives its URL. It lets everybody in."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    options = [
        "-scheme",
        "http",
        "-host",
        "127.0.0.1",
        "-port",
        str(port),
        "-backend",
        "memory",
        "-public-host",
        address,
    ]
    with running([_fake_gcs_server(), *options], port, work / "gcs.log"):
        yield f"http://{address}"


@contextlib.contextmanager
def azure(work: Path) -> Iterator[str]:
    """Run Azurite; gives the URL of its account."""
    port = free_port()
    script = _azurite() / "node_modules/azurite/dist/src/blob/main.js"
    arguments = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(work / "azure"), "--silent"]
    with running(["node", script, *arguments], port, work / "azure.log"):
        yield f"http://127.0.0.1:{port}/{AZURE_ACCOUNT}"


def make_container(endpoint: str, name: str) -> None:
    """Make a container in Azurite, which obstore cannot: by a request that is signed as Azure documents it."""
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    version = "2021-08-06"
    resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{name}\nrestype:container"
    signed = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{version}\n{resource}"
    mac = hmac.new(base64.b64decode(AZURE_KEY), signed.encode(), hashlib.sha256).digest()
    authorization = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(mac).decode()}"
    headers = {"x-ms-date": date, "x-ms-version": version, "Authorization": authorization}
    requests.put(f"{endpoint}/{name}?restype=container", headers=headers, timeout=10).raise_for_status()


def _fake_gcs_server() -> Path:
    module = _HERE / "gcs"
    target = _folder("gcs", module / "go.mod", module / "go.sum") / "fake-gcs-server"
    with locked(target.with_suffix(".lock")):
        if not target.exists():
            package = "github.com/fsouza/fake-gcs-server"
            golang.compile_program(golang.Program(module, package, "", _GCS_PACKAGES), target)
    return target


def _azurite() -> Path:
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("Azurite needs Node: there is none on the PATH")
    pins = [_HERE / "azurite" / name for name in ("package.json", "package-lock.json")]
    folder = _folder("azurite", *pins)
    with locked(folder / ".lock"):
        if not (folder / ".complete").exists():
            for pin in pins:
                shutil.copy(pin, folder)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            (folder / ".complete").touch()
    return folder


def _folder(name: str, *pins: Path) -> Path:
    digest = hashlib.sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()[:16]
    folder = cache() / "stores" / f"{name}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
