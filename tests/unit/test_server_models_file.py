"""Several models and their versions: the file is read, versions come and go, and what is asked for is found."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from model_server.contract import StartFailure
from model_server.dataplane.many_models import Entry, ManyModels, Versions
from model_server.dataplane.reloading import Reloading
from model_server.dataplane.servable import VersionState
from model_server.errors import InvalidArgument, NotFound, StartError, Unavailable
from model_server.models_file import Policy, read_models_file

if TYPE_CHECKING:
    from model_server.dataplane.version import LoadedVersion

_ticks = itertools.count()
TWO = """
model_config_list {
  config { name: "half" base_path: "%(base)s/half" model_platform: "tensorflow" }
  config {
    name: "third"
    base_path: "%(base)s/third"
    model_version_policy { specific { versions: 3 versions: 4 } }
    version_labels { key: "stable" value: 3 }
  }
}
"""


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "models.config"
    file.write_text(text % {"base": tmp_path})
    # Two changes within one tick of the file system's clock are one: a later time tells them apart.
    stamp = 10**18 + next(_ticks) * 10**9
    os.utime(file, ns=(stamp, stamp))
    return file


def version(tmp_path: Path, model: str, *numbers: int) -> None:
    for number in numbers:
        (tmp_path / model / str(number)).mkdir(parents=True)


def test_models_and_policies_are_read(tmp_path: Path) -> None:
    half, third = read_models_file(write(tmp_path, TWO))
    assert (half.name, half.policy, third.version_labels) == ("half", Policy(latest=1), {"stable": 3})
    assert third.policy.choose({2, 3, 5}) == {3}
    assert half.policy.choose({2, 10, 9}) == {10}
    assert Policy(latest=None).choose({1, 2}) == {1, 2}
    version(tmp_path, "half", 1, 12)
    (tmp_path / "half" / "notes").mkdir()
    assert half.present() == {1: tmp_path / "half" / "1", 12: tmp_path / "half" / "12"}
    assert third.present() == {}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("model_list { }", "is no model_config_list"),
        ("", "names no model"),
        ('model_config_list { config { name: "a" base_path: "x" } }', "not absolute"),
        ('model_config_list { config { name: "a/b" base_path: "/x" } }', "no URL can carry"),
        ('model_config_list { config { name: "a" base_path: "/x" model_platform: "torch" } }', "torch"),
        ('model_config_list { config { name: "a" base_path: "/x" logging_config {} } }', "logging_config"),
        ('model_config_list { config {name: "a" base_path: "/x"} config {name: "a" base_path: "/y"} }', "a twice"),
        (
            'model_config_list { config {name: "a" base_path: "/x" version_labels { key: "s" value: 0 }} }',
            "no number from 1",
        ),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(StartError, match=complaint) as caught:
        read_models_file(write(tmp_path, text))
    assert caught.value.reason is StartFailure.BAD_SETTINGS


class Loaded:
    """A version, as far as a catalog looks at it."""

    no_ids = None

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    async def close(self) -> None:
        self.log.append(f"closed {self.name}")


class Story:
    """Versions in folders, and what is done about them."""

    def __init__(self, tmp_path: Path) -> None:
        self.log: list[str] = []
        self.broken: set[str] = set()
        self.unforeseen: set[str] = set()
        self.catalog = ManyModels()
        self.reloading = Reloading(tmp_path / "models.config", self.catalog, self.load)

    async def load(self, name: str, number: int, folder: Path) -> tuple[LoadedVersion, object]:
        if f"{name} {number}" in self.unforeseen:
            raise ValueError("secret")
        if f"{name} {number}" in self.broken:
            raise StartError(StartFailure.LOAD_FAILED, "it is broken")
        self.log.append(f"loaded {name} {number}")
        return Loaded(self.log, f"{name} {number}"), f"labels of {name} {number}"  # type: ignore[return-value]

    def found(self, name: str, *which: object) -> str:
        return self.catalog.find(name, *which).name  # type: ignore[attr-defined, arg-type]


async def test_versions_come_before_those_go_that_they_replace(tmp_path: Path) -> None:
    story = Story(tmp_path)
    write(tmp_path, TWO)
    version(tmp_path, "half", 1)
    version(tmp_path, "third", 3, 4, 5)
    await story.reloading.look()
    assert story.log == ["loaded half 1", "loaded third 4", "loaded third 3"]
    assert [
        story.found("half"),
        story.found("third"),
        story.found("third", 3),
        story.found("third", None, "stable"),
    ] == [
        "half 1",
        "third 4",
        "third 3",
        "third 3",
    ]
    story.log.clear()
    await story.reloading.look()
    assert story.log == []
    version(tmp_path, "half", 2)
    await story.reloading.look()
    assert story.log == ["loaded half 2", "closed half 1"]
    assert [(status.version, status.state) for status in story.catalog.states("half")] == [
        (2, VersionState.AVAILABLE),
        (1, VersionState.END),
    ]
    with pytest.raises(NotFound):
        story.found("half", 1)
    assert story.catalog.intake("half") == "labels of half 2"


async def test_a_broken_version_leaves_the_old_one_serving_and_is_tried_again_when_it_changes(tmp_path: Path) -> None:
    story = Story(tmp_path)
    write(tmp_path, TWO)
    version(tmp_path, "half", 1)
    await story.reloading.look()
    story.broken = {"half 2"}
    version(tmp_path, "half", 2)
    await story.reloading.look()
    await story.reloading.look()
    assert story.found("half") == "half 1"
    assert [(status.version, status.error) for status in story.catalog.states("half")] == [(2, "it is broken"), (1, "")]
    story.broken = set()
    await story.reloading.look()
    assert story.found("half") == "half 1"
    os.utime(tmp_path / "half" / "2", ns=(10**18, 10**18))
    await story.reloading.look()
    assert story.found("half") == "half 2"


async def test_a_version_is_tried_again_when_a_file_deep_in_it_is_written_on(tmp_path: Path) -> None:
    story = Story(tmp_path)
    write(tmp_path, TWO)
    version(tmp_path, "half", 1)
    variables = tmp_path / "half" / "1" / "variables"
    variables.mkdir()
    (variables / "data").write_bytes(b"half")
    story.broken = {"half 1"}
    await story.reloading.look()
    story.broken = set()
    await story.reloading.look()
    assert story.log == []
    os.utime(variables / "data", ns=(2 * 10**18, 2 * 10**18))
    await story.reloading.look()
    assert story.log == ["loaded half 1"]


async def test_a_model_comes_back_into_the_file_with_a_version_that_was_broken(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.broken = {"half 1"}
    version(tmp_path, "half", 1)
    version(tmp_path, "third", 3)
    for text in (TWO, 'model_config_list { config { name: "third" base_path: "%(base)s/third" } }', TWO):
        write(tmp_path, text)
        await story.reloading.look()
    assert [(status.version, status.error) for status in story.catalog.states("half")] == [(1, "it is broken")]


async def test_what_was_not_foreseen_is_told_like_other_failures(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.unforeseen = {"half 1"}
    write(tmp_path, TWO)
    version(tmp_path, "half", 1)
    version(tmp_path, "third", 3)
    await story.reloading.look()
    assert story.log == ["loaded third 3"]
    assert "secret" not in story.catalog.states("half")[0].error


async def test_a_wrong_file_changes_nothing_and_a_shorter_one_ends_models(tmp_path: Path) -> None:
    story = Story(tmp_path)
    write(tmp_path, TWO)
    version(tmp_path, "half", 1)
    version(tmp_path, "third", 3)
    await story.reloading.look()
    write(tmp_path, "nonsense")
    await story.reloading.look()
    assert story.catalog.models() == ("half", "third")
    write(tmp_path, 'model_config_list { config { name: "third" base_path: "%(base)s/third" } }')
    await story.reloading.look()
    assert story.catalog.models() == ("third",)
    assert "closed half 1" in story.log


async def test_the_first_file_has_to_be_right(tmp_path: Path) -> None:
    write(tmp_path, "nonsense")
    with pytest.raises(StartError):
        await Story(tmp_path).reloading.look()


def test_what_is_not_there_is_told_apart() -> None:
    catalog = ManyModels()
    catalog.by_name = {"empty": Versions(), "loads": Versions({"s": 1}, {1: Entry(VersionState.LOADING)})}
    with pytest.raises(NotFound, match="this server has empty, loads"):
        catalog.find("other")
    with pytest.raises(NotFound, match="no version of it is available"):
        catalog.find("empty")
    with pytest.raises(NotFound):
        catalog.states("empty")
    with pytest.raises(Unavailable):
        catalog.find("loads")
    with pytest.raises(Unavailable):
        catalog.find("loads", None, "s")
    with pytest.raises(InvalidArgument, match="Unrecognized servable version label: t; loads has s"):
        catalog.find("loads", None, "t")
    with pytest.raises(NotFound):
        catalog.states("loads", 2)
    with pytest.raises(Unavailable):
        catalog.intake("loads")
