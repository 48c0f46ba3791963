"""`kubectl model` through the life of a model, with the operator at work on a real API server."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from modeldeployment_operator.cli.errors import Exit

from tests.integration.command_line import PLUGIN, CommandLine, install
from tests.integration.conftest import ControlPlane
from tests.integration.stories import Story


@pytest.fixture
def model(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> CommandLine:
    (tmp_path / "bin").mkdir()
    return CommandLine(control_plane, install(tmp_path / "bin"), namespace)


@pytest.fixture
def served(story: Story) -> Story:
    """A story in which the first model serves."""
    story.apply(model=1)
    story.wait_for(lambda status: status.get("servingRevision"), "the first model serves")
    return story


def follow(story: Story, **spec: Any) -> tuple[str, str]:
    """Have a second model take over; return both revisions."""
    first = story.status()["servingRevision"]
    story.count(first, correct=95, wrong=5)
    story.apply(model=2, **spec)
    second = story.wait_for(
        lambda status: status["servingRevision"] != first and status["servingRevision"], "the second model serves"
    )
    return first, second


def annotations(story: Story) -> dict[str, str]:
    found: dict[str, str] = story.resource()["metadata"].get("annotations", {})
    return {name: value for name, value in found.items() if name.startswith("modelops.dev/")}


def test_kubectl_finds_the_plugin_by_its_name(model: CommandLine) -> None:
    listed = subprocess.run(
        [model.plane.kubectl_path, "plugin", "list"], capture_output=True, text=True, env=model.environment, check=False
    )

    assert str(model.directory / PLUGIN) in listed.stdout
    assert model.says("status") == "no ModelDeployments in this namespace (-A shows all)\n"


def test_a_bad_model_is_seen_explained_and_tried_again(served: Story, model: CommandLine) -> None:
    first, second = follow(served)
    served.count(second, correct=30, wrong=30)
    served.wait_for(lambda status: status["servingRevision"] == first, "the rollback")
    short_first, short_second = (name.removeprefix("news-") for name in (first, second))
    before = served.resource()

    status = model.says("status", "news")
    assert f"news in {model.namespace}: Rolled back" in status
    assert f"{short_second}  Rejected" in status
    assert "another model in the spec, or kubectl model retry news" in status
    assert "Rolled back" in model.says("status")
    why = model.says("why", "news")
    assert why.startswith(f"{short_second} was taken back at ")
    assert "at least 0.9, which is spec.accuracy.minimum" in why
    assert "120, of which 60 spoke against it" in why
    assert "is Healthy" in model.says("why", "news", short_first)
    told = [line.split()[5:8] for line in model.says("history", "news").splitlines() if short_second in line]
    assert told[-1] == [short_second, "was", "taken"]

    assert f"{short_second} starts again" in model.says("retry", "news")
    served.wait_for(lambda status: status["servingRevision"] == second, "the second try")
    after = served.resource()
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert "was not taken back" in model.fails(Exit.REFUSED, "retry", "news")


def test_who_serves_is_given_up_only_when_that_is_confirmed(served: Story, model: CommandLine) -> None:
    first, second = follow(served)

    refused = model.fails(Exit.REFUSED, "abort", "news")
    assert "serves. Take all of its traffic away?" in refused
    assert "Nothing was changed: confirm it with --yes" in refused
    assert annotations(served) == {}

    assert f"to {first.removeprefix('news-')}" in model.says("abort", "news", "--yes")
    served.wait_for(lambda status: status["servingRevision"] == first, "the way back")
    rejection = served.status()["rejections"][0]
    assert (rejection["revision"], rejection["reason"]) == (second, "Aborted")
    assert "because its user gave it up" in model.says("why", "news")

    model.says("retry", "news")
    assert annotations(served).keys() == {"modelops.dev/retry"}, "or it would be given up again"
    served.wait_for(lambda status: status["servingRevision"] == second, "the second try")


def test_a_pause_holds_everything_without_touching_the_spec(served: Story, model: CommandLine) -> None:
    first = served.status()["servingRevision"]
    assert "until kubectl model resume news" in model.says("pause", "news")
    assert annotations(served) == {"modelops.dev/paused": "true"}
    assert "paused already" in model.fails(Exit.REFUSED, "pause", "news")

    served.apply(model=2)
    served.wait_until(lambda: served.condition("Ready").get("reason") == "Paused", "the pause is told")
    assert "kubectl model resume news; until then nothing starts" in model.says("status", "news")
    assert served.status()["servingRevision"] == first
    assert annotations(served) == {"modelops.dev/paused": "true"}, "an apply of other fields leaves it alone"

    model.says("resume", "news")
    served.wait_for(lambda status: status["servingRevision"] != first, "the second model serves")
    assert annotations(served) == {}
    assert "no kubectl model pause is in force: it runs" in model.fails(Exit.REFUSED, "resume", "news")


def test_a_candidate_that_waits_for_its_user_is_promoted_or_given_up(served: Story, model: CommandLine) -> None:
    first = served.status()["servingRevision"]
    rollout = {"strategy": "BlueGreen", "hold": {"approval": True}}
    assert "there is no candidate" in model.fails(Exit.REFUSED, "promote", "news")

    served.apply(model=2, rollout=rollout)
    second = served.wait_for(lambda status: status.get("rollout", {}).get("revision"), "the candidate waits")
    assert "kubectl model promote news" in model.says("status", "news")
    assert "goes on serving" in model.says("abort", "news")
    served.wait_for(lambda status: "rollout" not in status, "the candidate ends")
    assert served.status()["servingRevision"] == first

    model.says("retry", "news")
    served.wait_for(lambda status: status.get("rollout", {}).get("revision") == second, "it waits again")
    assert "takes all of the traffic now" in model.says("promote", "news")
    served.wait_for(lambda status: status["servingRevision"] == second, "the promotion")
    assert served.status()["servingRevision"] == second


def test_nothing_happens_in_a_dry_run(served: Story, model: CommandLine) -> None:
    assert "not done, as --dry-run was given: the traffic stays" in model.says("pause", "news", "--dry-run")
    assert annotations(served) == {}


def test_programs_read_json_and_yaml(served: Story, model: CommandLine) -> None:
    served.count(served.status()["servingRevision"], correct=50, wrong=1)
    served.wait_for(lambda status: status["accuracy"]["labels"], "labels")

    one = json.loads(model.says("status", "news", "-o", "json"))
    assert (one["name"], one["state"], one["servingRevision"]) == ("news", "ready", served.status()["servingRevision"])
    assert one["revisions"][0]["quality"]["labels"] == 102
    assert [item["name"] for item in yaml.safe_load(model.says("status", "-o", "yaml"))["items"]] == ["news"]
    assert json.loads(model.says("why", "news", "-o", "json"))["verdict"] == "Healthy"
    assert json.loads(model.says("history", "news", "-o", "json"))["history"][0]["event"] == "took the traffic"
    everywhere = json.loads(model.says("status", "-A", "-o", "json"))["items"]
    assert (model.namespace, "news") in {(item["namespace"], item["name"]) for item in everywhere}


def test_a_watch_tells_of_each_change(served: Story, model: CommandLine) -> None:
    words = model.words("status", "news", "--watch", "-o", "json")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=model.environment) as process:
        assert process.stdout
        try:
            assert json.loads(process.stdout.readline())["items"][0]["paused"] is False
            model.says("pause", "news")
            paused = False
            while not paused:
                paused = json.loads(process.stdout.readline())["items"][0]["paused"]
            served.kubectl("delete", "mdep", "news")
            items = [{}]
            while items:
                items = json.loads(process.stdout.readline())["items"]
        finally:
            process.kill()


def test_on_a_terminal_it_is_drawn_in_its_place(served: Story, model: CommandLine) -> None:
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in model.environment.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    process = subprocess.Popen(model.words("status", "news", "--watch"), stdout=theirs, stdin=theirs, env=environment)
    try:
        seen = read_until(ours, lambda text: "Ready" in text)
        assert "\x1b[32;1mReady" in seen
        model.says("pause", "news")
        assert "\x1b[J" in read_until(ours, lambda text: "model resume news" in text)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def read_until(descriptor: int, holds: Callable[[str], bool]) -> str:
    text, end = "", time.monotonic() + 30
    while not holds(text):
        assert time.monotonic() < end, text
        text += os.read(descriptor, 65536).decode()
    return text


# --- What cannot be done -----------------------------------------------------------------------------------


def test_each_failure_has_a_sentence_and_an_exit_code(model: CommandLine, tmp_path: Path) -> None:
    assert 'modeldeployments.modelops.dev "news" not found' in model.fails(Exit.NOT_FOUND, "status", "news")
    assert "not found" in model.fails(Exit.NOT_FOUND, "status", "news", "--watch")
    forbidden = model.acting_as("nobody").fails(Exit.NO_RIGHTS, "pause", "news")
    assert "modeldeployment-releaser" in forbidden
    assert "no cluster: " in model.fails(Exit.UNREACHABLE, "status", "--context=none")
    nowhere = yaml.safe_load(model.plane.kubeconfig.read_text(encoding="utf-8"))
    nowhere["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "nowhere").write_text(yaml.safe_dump(nowhere), encoding="utf-8")
    away = replace(model, kubeconfig=tmp_path / "nowhere")
    assert "connection to the server 127.0.0.1:1 was refused" in away.fails(Exit.UNREACHABLE, "history", "news")
    assert "not both" in model.fails(Exit.USAGE, "status", "news", "-A")
    assert "invalid choice" in model.fails(Exit.USAGE, "delete", "news")


def test_a_revision_is_named_by_its_hash(served: Story, model: CommandLine) -> None:
    first = served.status()["servingRevision"].removeprefix("news-")

    assert first in model.says("why", "news", first[:4])
    assert f"its revisions: {first}" in model.fails(Exit.NOT_FOUND, "why", "news", "zzz")


def test_what_was_recorded_comes_to_the_same(model: CommandLine, served: Story) -> None:
    first, second = follow(served)
    served.count(second, correct=10, wrong=50)
    served.wait_for(lambda status: status["servingRevision"] == first, "the rollback")
    (verdict,) = json.loads(served.kubectl("get", "modelverdicts", "-o", "json"))["items"]
    name = verdict["metadata"]["name"]

    told = model.says("replay", name)
    assert "120 labels, 100 against it" in told
    assert "The record comes to the same." in told
    again = json.loads(model.says("replay", name, "-o", "json"))
    assert (again["labels"], again["degraded"], again["differences"]) == (120, True, [])

    forged = {"apiVersion": verdict["apiVersion"], "kind": verdict["kind"], "metadata": {"name": "forged"}}
    served.kubectl("apply", "-f", "-", stdin=json.dumps(forged | {"spec": verdict["spec"] | {"estimate": "0.9900"}}))
    done = model.run("replay", "forged")
    assert done.returncode == Exit.FAILED
    assert "estimate is 0.9900, and comes to 0.1667" in done.stdout
    assert "not found" in model.fails(Exit.NOT_FOUND, "replay", "another")
