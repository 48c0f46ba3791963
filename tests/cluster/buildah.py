"""Runs buildah with a store of its own, so that nothing of the machine's is touched."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.cluster.console import step
from tests.cluster.errors import ClusterError
from tests.cluster.paths import cache

CERTIFICATES = Path("/etc/ssl/certs")


def directory() -> Path:
    """Where everything about images is."""
    return cache() / "images"


def image_id(name: str) -> str:
    """The id of an image in the store; empty if there is none of this name."""
    done = _run("images", "--json", name)
    if done.returncode != 0:
        return ""  # "image not known"
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return str(found[0]["id"]) if found else ""


def pull(name: str) -> bool:
    """Whether the image could be fetched from its registry."""
    return _run("pull", "--quiet", name, seconds=120).returncode == 0


def build(name: str, dockerfile: Path, context: Path) -> None:
    """Build an image, from the layers of the last build as far as they still hold.

    A machine may reach the package registries through a proxy that reads TLS; its certificate lies with the others.
    They are mounted as an overlay (O): what a package writes there is forgotten, while a read-only mount would fail it.
    """
    arguments = [
        "bud",
        "--layers",
        "--force-rm",
        "--isolation",
        "chroot",
        "--network",
        "host",
        "--pull=false",
        "--format",
        "oci",
    ]
    if CERTIFICATES.is_dir():
        arguments += ["--volume", f"{CERTIFICATES}:{CERTIFICATES}:O"]
    ignore = dockerfile.with_name(f"{dockerfile.name}.dockerignore")
    if ignore.exists():
        arguments += ["--ignorefile", str(ignore)]
    log = directory() / "logs" / f"{dockerfile.parent.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with step(f"build {name} (log: {log})"):
        done = _run(*arguments, "--file", str(dockerfile), "--tag", name, str(context))
        log.write_text(done.stdout + done.stderr)
        # Stages that have no name are forgotten by `prune`, and with them what the next build could begin with.
        for stage in re.findall(r"^FROM .* AS (\S+)$", dockerfile.read_text(), re.MULTILINE):
            _run(*arguments, "--file", str(dockerfile), "--target", stage, "--tag", f"{name}-{stage}", str(context))
    if done.returncode != 0:
        raise ClusterError(f"{dockerfile} could not be built:\n{log.read_text()[-3000:]}")


def read(name: str, path: str) -> str:
    """Return the text of a file in an image of the store."""
    script = (
        'container=$("$@" from --pull-never "$NAME"); trap \'"$@" rm "$container" >/dev/null\' EXIT; '
        'folder=$("$@" mount "$container"); cat "$folder$FILE"'
    )
    command = ["unshare", "--mount", "sh", "-euc", script, "sh", *_buildah()]
    environment = {**os.environ, "NAME": name, "FILE": path}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        raise ClusterError(f"{path} of {name} cannot be read; build it: `make images`. {done.stderr[-500:]}")
    return done.stdout


def push(name: str, layout: Path, tag: str) -> str:
    """Write an image to an OCI layout, without the blobs that are there already; return its manifest's digest."""
    compression = ["--compression-format", "zstd", "--compression-level", "1"]  # three times as fast as gzip
    done = _run("push", "--quiet", "--format", "oci", *compression, name, f"oci:{layout}:{tag}")
    if done.returncode != 0:
        raise ClusterError(f"The image {name} could not be written to {layout}: {done.stderr[-2000:]}")
    for manifest in json.loads((layout / "index.json").read_text())["manifests"]:
        if manifest.get("annotations", {}).get("org.opencontainers.image.ref.name") == tag:
            return str(manifest["digest"])
    raise ClusterError(f"{layout}/index.json does not name {tag}; remove {layout} and try again.")


def prune() -> None:
    """Forget images that have lost their name to a newer build."""
    _run("rmi", "--prune")


def _buildah() -> list[str]:
    return ["buildah", "--root", str(directory() / "store"), "--runroot", str(directory() / "run")]


def _run(*arguments: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run buildah with mounts of its own, which vanish with it even if it is killed."""
    command = ["unshare", "--mount", *_buildah(), *arguments]
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=os.environ,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
