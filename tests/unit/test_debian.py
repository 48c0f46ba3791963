"""Programs of Debian's packages: which one a test gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import ClusterError
from tests.support.debian import command


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a PATH with nothing on it."""
    monkeypatch.setenv("MODELOPS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "cache"


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_command_of_the_machine_comes_first(cache: Path, tmp_path: Path) -> None:
    executable(cache / "debian" / "prometheus_2.42.0_amd64" / "usr" / "bin" / "promtool")
    own = executable(tmp_path / "bin" / "promtool")
    assert command("promtool") == own


def test_a_package_is_taken_from_the_cache(cache: Path) -> None:
    tool = executable(cache / "debian" / "prometheus_2.42.0_amd64" / "usr" / "bin" / "promtool")
    executable(cache / "debian" / "prometheus-alertmanager_0.25.0_amd64" / "usr" / "bin" / "amtool")
    assert command("promtool") == tool


@pytest.mark.usefixtures("cache")
def test_a_machine_without_apt_is_told_what_to_do() -> None:
    with pytest.raises(ClusterError, match=r"apt-get and dpkg-deb not found on the PATH\. Install what the package"):
        command("promtool")


@pytest.mark.usefixtures("cache")
def test_an_unknown_command_is_refused() -> None:
    with pytest.raises(ClusterError, match="'grafana' is none of prometheus, promtool"):
        command("grafana")


def test_a_package_without_the_command_is_named(cache: Path) -> None:
    (cache / "debian" / "prometheus_2.42.0_amd64").mkdir(parents=True)
    with pytest.raises(ClusterError, match=r"prometheus_2\.42\.0_amd64 holds no usr/bin/promtool"):
        command("promtool")
