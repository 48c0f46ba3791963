"""The image that the project's images start from: pulled, or, without a registry, made of Debian's packages."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.cluster import buildah
from tests.cluster.console import say, step
from tests.cluster.errors import ClusterError

SUITE = "bookworm"
BASE = f"docker.io/library/debian:{SUITE}-slim"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# As Debian's own slim images: no documentation or translations, and no package lists, which would be old when used.
_LEAVE_OUT = ("usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*", "usr/share/info/*", "var/lib/apt/lists/*")
_LEAVE_OUT_TOO = ("var/cache/apt/*", "var/log/*", "var/cache/debconf/*-old")
_DOCKERFILE = 'FROM scratch\nADD root.tar /\nCMD ["bash"]\n'


def ensure() -> str:
    """Make the image unless it is there; return its id."""
    if found := buildah.image_id(BASE):
        return found
    with step(f"pull {BASE}"):
        pulled = buildah.pull(BASE)
    if not pulled:
        say("  Its registry cannot be reached; it is made by debootstrap instead, from the mirror that apt uses.")
        _make()
    return buildah.image_id(BASE)


def _make() -> None:
    buildah.directory().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=buildah.directory(), prefix="base-") as work:
        root = Path(work, "root")
        with step("debootstrap (1 to 2 minutes)"):
            _debootstrap(root)
        for pattern in (*_LEAVE_OUT, *_LEAVE_OUT_TOO):
            for path in root.glob(pattern):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        _check("tar", "--numeric-owner", "--create", "--file", f"{work}/root.tar", "--directory", str(root), ".")
        shutil.rmtree(root)
        dockerfile = Path(work, "Dockerfile")
        dockerfile.write_text(_DOCKERFILE)
        buildah.build(BASE, dockerfile, Path(work))


def _debootstrap(root: Path) -> None:
    """Install the smallest system that has apt; in mounts of its own, which vanish with it even if it is killed."""
    sources = _sources()
    keyring = [f"--keyring={KEYRING}"] if KEYRING.exists() else []
    mirror = [uri for uri, suite in sources if suite == SUITE][:1]
    _check("unshare", "--mount", "debootstrap", "--variant=minbase", *keyring, SUITE, str(root), *mirror)
    if sources:
        lines = [f"deb {uri} {suite} main\n" for uri, suite in sources]
        (root / "etc/apt/sources.list").write_text("".join(lines))


def _sources() -> list[tuple[str, str]]:
    """Where apt on this machine gets the suite and its updates from; empty if the machine runs something else."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    if not shutil.which(command[0]):
        return []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    targets = [line.split() for line in done.stdout.splitlines()]
    suites = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
    found = [(fields[0], fields[1]) for fields in targets if fields[1] in suites and fields[2] == "main"]
    return list(dict.fromkeys(found))


def _check(*command: str) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        output = (done.stdout + done.stderr)[-2000:]
        raise ClusterError(f"`{' '.join(command)}` failed:\n{output}")
