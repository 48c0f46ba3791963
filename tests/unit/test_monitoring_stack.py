"""The monitoring stack of the local cluster, as far as it is decided without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import Cluster, ClusterError, Shape
from tests.cluster.monitoring import SELECTED, install, objects, programs
from tests.cluster.monitoring.programs import Image, Source

IMAGES = {source: Image(f"localhost/{source.name}:1.2.3", "1.2.3", "sha256:0", Path()) for source in programs.ALL}
EVERYTHING = dict([*objects.operator(IMAGES), *objects.servers(IMAGES)])


def a_source(directory: Path, required: str) -> Source:
    (directory / "go.mod").write_text(f"module m\n\nrequire (\n\tgithub.com/p/p {required} // indirect\n)\n")
    return Source("p", str(directory), "github.com/p/p", "cmd/p", 1)


@pytest.mark.parametrize(
    ("required", "version"),
    [("v0.85.0", "0.85.0"), ("v0.28.1", "0.28.1"), ("v0.305.0", "3.5.0"), ("v0.311.2", "3.11.2")],
)
def test_the_version_is_the_one_that_go_mod_fixes(tmp_path: Path, required: str, version: str) -> None:
    assert a_source(tmp_path, required).version == version


def test_a_go_mod_without_the_module_is_named(tmp_path: Path) -> None:
    source = a_source(tmp_path, "v1.0.0")
    (tmp_path / "go.mod").write_text("module m\n")
    with pytest.raises(ClusterError, match=r"go\.mod requires no github\.com/p/p"):
        assert source.version


def test_a_cluster_without_pods_is_refused() -> None:
    plane = Cluster(
        name="plane",
        shape=Shape.CONTROL_PLANE,
        executable="",
        address="127.0.0.1",
        ports={},
        services="",
        pods="",
        host_address="",
        audit=False,
    )
    with pytest.raises(ClusterError, match=r"plane is a control plane alone.*up --shape full --name plane-full"):
        install(plane)


def test_each_object_is_applied_where_it_says_that_it_is() -> None:
    for path, wanted in EVERYTHING.items():
        place = wanted["metadata"].get("namespace")
        assert path.endswith("/" + wanted["metadata"]["name"])
        assert place is None or f"/namespaces/{place}/" in path
        prefix = "/api/v1/" if wanted["apiVersion"] == "v1" else f"/apis/{wanted['apiVersion']}/"
        assert path.startswith(prefix)


def test_every_image_is_used() -> None:
    text = str(EVERYTHING)
    assert all(image.name in text for image in IMAGES.values())


def test_prometheus_selects_by_the_release_in_all_namespaces_as_the_chart_does() -> None:
    spec = next(wanted["spec"] for wanted in EVERYTHING.values() if wanted["kind"] == "Prometheus")
    for what in ("serviceMonitor", "rule", "podMonitor", "probe"):
        assert spec[f"{what}Selector"] == {"matchLabels": SELECTED}
        assert spec[f"{what}NamespaceSelector"] == {}
