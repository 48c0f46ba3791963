"""`kubectl model`: what is printed, what is asked for, and how it fails. Pure parts; tests/integration has the rest."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from modeldeployment_operator.api import group
from modeldeployment_operator.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from modeldeployment_operator.api.policies import Action, Situation
from modeldeployment_operator.api.status import ModelDeploymentStatus, RejectionCause, SituationStatus, Verdict
from modeldeployment_operator.cli import kubectl
from modeldeployment_operator.cli.arguments import cluster_flags, parse, parser
from modeldeployment_operator.cli.asking import REQUESTS, Request
from modeldeployment_operator.cli.documents import history_document, status_document, why_document
from modeldeployment_operator.cli.errors import CommandError, Exit
from modeldeployment_operator.cli.kubectl import ChangedError, failure
from modeldeployment_operator.cli.seen import Seen
from modeldeployment_operator.cli.text import bars
from modeldeployment_operator.cli.text.fleet import fleet
from modeldeployment_operator.cli.text.layout import Cell, table
from modeldeployment_operator.cli.text.model import model
from modeldeployment_operator.cli.text.style import Style
from modeldeployment_operator.cli.text.waiting import waits
from modeldeployment_operator.cli.text.why import in_question, why
from modeldeployment_operator.cli.text.words import hours, percent, span
from modeldeployment_operator.cli.watch import Watch, documents
from modeldeployment_operator.core.text import timestamp

from tests.golden import command_line as golden
from tests.golden.command_line import CANARY, MANUAL, rolling_out, seen
from tests.support import fleets
from tests.support.observations import NOW, ago

FILES = golden.render()


def text(lines: list[str]) -> str:
    return "\n".join(lines)


# --- What is printed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_golden_file_is_current(name: str) -> None:
    assert (golden.DIRECTORY / f"{name}.txt").read_text(encoding="utf-8") == FILES[name], (
        "what kubectl model prints has changed: run `python -m tests.golden.command_line`, and look at what changed"
    )


def test_there_is_no_other_golden_file() -> None:
    assert {path.stem for path in golden.DIRECTORY.iterdir()} == FILES.keys()


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_lines_keep_to_the_width_of_the_terminal(width: int) -> None:
    for one in golden.models():
        asked = in_question(one)
        style = Style(width=width)
        for line in [*model(style, one, NOW), *(why(style, one, asked, NOW) if asked else [])]:
            is_table = line.startswith(("REVISION", "6f1c0a  ", "9b27e4  "))
            assert len(line) <= width or is_table or " " not in line.strip(), line


def test_colours_change_nothing_but_colours() -> None:
    for one in golden.models():
        painted = text(model(Style(colour=True), one, NOW))

        assert "\x1b[" in painted
        assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == text(model(Style(), one, NOW))


@pytest.mark.parametrize(
    ("variables", "terminal", "colour"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colours_are_for_terminals(variables: dict[str, str], terminal: bool, colour: bool) -> None:
    assert Style.of(variables, terminal=terminal, width=80, encoding="utf-8").colour is colour


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", None])
def test_a_terminal_without_unicode_is_given_ascii(encoding: str | None) -> None:
    style = Style.of({}, terminal=True, width=80, encoding=encoding)

    for name in FILES:
        assert style.signs(FILES[name]).isascii()
    assert "?" not in style.signs(FILES["rolling-out"])


def test_tables_are_cut_on_terminals_alone() -> None:
    rows = [["a", "https://models/" + "x" * 100 + "/3.keras"]]

    assert table(Style(width=40), ("A", "B"), rows, ends=True)[1].endswith("/3.keras")
    assert len(table(Style(width=40), ("A", "B"), rows)[1]) == 40
    assert len(table(Style(width=40, cut=False), ("A", "B"), rows)[1]) > 100
    assert table(Style(), ("A", "B"), [["a", ""], [Cell("b", "red"), ""]]) == ["A", "a", "b"], "no empty column"


@pytest.mark.parametrize(
    ("share", "drawn"), [(0, "····"), (0.001, "▏···"), (0.5, "██··"), (0.999, "███▉"), (1, "████"), (7, "████")]
)
def test_a_bar_is_empty_at_nothing_and_full_at_all(share: float, drawn: str) -> None:
    assert bars.bar(share, 4) == drawn
    assert bars.curve([share])[0] in {0: " ", 0.001: "▁", 0.5: "▄", 0.999: "▇"}.get(share, "█")


def test_an_interval_shows_its_level_and_its_value() -> None:
    axis, under = bars.interval(Style(), (0.5, 1.0), (0.6, 0.8), 0.7, 0.9, 11)

    assert axis == "0.5 ├──━━●━━─│──┤ 1"
    assert under.index("▲") == axis.index("│")
    inside, _ = bars.interval(Style(), (0.5, 1.0), (0.6, 0.95), 0.7, 0.9, 11)
    assert inside == "0.5 ├──━━●━━━┊━─┤ 1"


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=-3), "0 s"),
        (timedelta(seconds=59), "59 s"),
        (timedelta(minutes=59), "59 min"),
        (timedelta(hours=3, minutes=20), "3 h 20 min"),
        (timedelta(hours=47), "47 h"),
        (timedelta(days=2), "2 days"),
    ],
)
def test_spans_of_time_are_told_as_people_do(passed: timedelta, words: str) -> None:
    assert span(passed) == words


def test_only_all_is_all_and_only_nothing_is_nothing() -> None:
    assert [percent(share) for share in (0, 0.001, 0.5, 0.999, 1, 11)] == ["0%", "<1%", "50%", ">99%", "100%", "1,100%"]
    assert hours(1e12) == "876000 h" or hours(1e12).endswith("days")


def test_no_model_at_all() -> None:
    assert fleet(Style(), [], NOW, everywhere=False) == ["no ModelDeployments in this namespace (-A shows all)"]
    assert fleet(Style(), [], NOW, everywhere=True) == ["no ModelDeployments in any namespace"]


def test_more_models_than_the_page_of_the_operator_has() -> None:
    many = [seen(key.name, status) for key, status in fleets.many(130, namespaces=1)]

    assert len({line.split()[0] for line in fleet(Style(), many, NOW, everywhere=False)[1:-2]}) == 130


def test_a_spec_that_is_not_sound_is_shown_all_the_same() -> None:
    broken = seen("news", fleets.healthy("news"), accuracy={"minimum": "high"})

    assert broken.spec is None
    assert "news in team: Ready" in text(model(Style(), broken, NOW))


def test_what_another_version_wrote_is_left_out() -> None:
    document = fleets.body("news", fleets.healthy("news"))
    document["status"]["later"] = {"a": 1}
    document["status"]["revisions"][0]["phase"] = "Dreaming"

    assert "news in team: Ready" in text(model(Style(), Seen.of(document), NOW))


def outlook_of(within: str | None, rate: str | None = "40.0") -> str:
    told = fleets.healthy("news").accuracy
    assert told is not None
    changed = {"decline": "0.8500", "decline_labels": 470, "labels_per_hour": rate, "decline_within": within}
    accuracy = told.model_copy(update=changed)
    one = seen("news", fleets.healthy("news").model_copy(update={"accuracy": accuracy}), rollback={"probation": "24h"})
    return text(model(Style(width=200), one, NOW))


def test_how_long_a_decline_goes_unseen_is_told() -> None:
    proven = "a decline to 0.85 is proven by 470 labels, half of the time"

    assert f"{proven}: 11h45m at 40 labels an hour" in outlook_of("11h45m")
    assert "longer than probation" not in outlook_of("11h45m")
    assert "longer than probation (24h): send more labels" in outlook_of("25h")
    assert f"{proven}; no labels come" in outlook_of(None, "0.0")
    assert "longer" not in outlook_of("for ever")


# --- why ---------------------------------------------------------------------------------------------------


def test_why_tells_what_a_fall_would_lead_to() -> None:
    healthy = seen("news", fleets.healthy("news"))
    revision = healthy.revision("6f1c0a")
    (line,) = [line for line in why(Style(width=400), healthy, revision, NOW) if "worse from now on" in line]

    labels = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) labels \(", line)]
    assert labels == sorted(labels), "the smaller the fall, the longer it takes"
    assert 5 < labels[0] < 60
    assert 2000 < labels[-1] < 10000


def test_why_of_a_revision_that_its_user_gave_up() -> None:
    status = fleets.rolled_back("news")
    given = {"reason": RejectionCause.ABORTED, "metric": None, "level": None}
    rejection = status.rejections[0].model_copy(update=given)
    given_up = seen("news", status.model_copy(update={"rejections": [rejection]}))

    told = text(why(Style(), given_up, given_up.revision("9b27e4"), NOW))
    assert "because its user gave it up; 6f1c0a took over." in told
    assert "prove" not in told


def test_a_level_that_rests_on_the_predecessor_is_explained() -> None:
    status = rolling_out("ads", CANARY)
    baseline = {"metric": "accuracy", "right": 970, "wrong": 30}
    accuracy = {"maximumDrop": 0.02}
    document = fleets.body("ads", status)
    document["spec"] = {"model": {"uri": "https://m/x.keras"}, "accuracy": accuracy, "rollout": CANARY}
    from modeldeployment_operator.api.spec import Accuracy
    from modeldeployment_operator.api.status import Baseline
    from modeldeployment_operator.core.criteria import plan_of

    first = plan_of(Accuracy.parse(accuracy), Baseline.parse(baseline)).first
    for one in document["status"]["revisions"]:
        if one["name"].endswith("9b27e4"):
            one["baseline"] = baseline
            one["evidence"] |= {"kind": "Baseline", "level": first.text}
    told = text(why(Style(width=300), Seen.of(document), Seen.of(document).revision("9b27e4"), NOW))

    assert "1,000 labels of its predecessor warrant, less spec.accuracy.maximumDrop (0.02)" in told
    assert "alpha     0.005:" in told


def test_evidence_of_another_version_is_not_taken_for_none() -> None:
    document = fleets.body("ads", rolling_out("ads", CANARY))
    document["spec"] = {"model": {"uri": "https://m/x.keras"}, "accuracy": {"minimum": 0.9}, "rollout": CANARY}
    for one in document["status"]["revisions"]:
        if one["name"] == "ads-9b27e4":
            one["evidence"]["logBets"] = ["-1.0"]
    other = Seen.of(document)

    assert other.reading(other.revision("9b27e4")) is None
    assert "no labels yet" not in text(model(Style(), other, NOW))


# --- Which revision ----------------------------------------------------------------------------------------


def test_a_revision_goes_by_any_part_that_is_its_own() -> None:
    one = seen("news", fleets.rolled_back("news"))

    assert {one.revision(name).name for name in ("news-9b27e4", "9b27e4", "9b", "news-9b")} == {"news-9b27e4"}
    for name, reason in (("zz", "there is no revision zz; its revisions: 9b27e4, 6f1c0a"), ("news", "several")):
        with pytest.raises(CommandError, match=reason) as problem:
            one.revision(name)
        assert problem.value.code is Exit.NOT_FOUND


# --- What is asked for -------------------------------------------------------------------------------------


def ask(what: str, one: Seen, revision: str | None = None) -> Request:
    return REQUESTS[what](one, revision, NOW)


def refusal(what: str, one: Seen, revision: str | None = None) -> str:
    with pytest.raises(CommandError) as problem:
        ask(what, one, revision)
    assert problem.value.code is Exit.REFUSED
    return str(problem.value)


def canary(annotations: dict[str, str] | None = None, **fields: Any) -> Seen:
    return seen("ads", rolling_out("ads", CANARY, **fields), annotations, rollout=CANARY)


def test_retry_asks_with_a_value_that_is_new() -> None:
    now = str(int(NOW.timestamp()))
    back = fleets.rolled_back("news")
    tried = back.rejections[0].model_copy(update={"retry": now})

    assert ask("retry", seen("news", back)).annotations == {group.RETRY_ANNOTATION: now}
    again = seen("news", back.model_copy(update={"rejections": [tried]}), {group.RETRY_ANNOTATION: now})
    assert ask("retry", again).annotations[group.RETRY_ANNOTATION] == str(int(now) + 1)


def test_retry_takes_back_what_was_asked_about_the_same_revision() -> None:
    asked = {group.ABORT_ANNOTATION: "news-9b27e4", group.PROMOTE_ANNOTATION: "news-other"}

    request = ask("retry", seen("news", fleets.rolled_back("news"), asked))
    assert request.annotations.keys() == {group.RETRY_ANNOTATION, group.ABORT_ANNOTATION}
    assert request.annotations[group.ABORT_ANNOTATION] is None


def test_retry_during_a_pause_says_when() -> None:
    held = seen("news", fleets.rolled_back("news"), {group.PAUSED_ANNOTATION: "true"})

    assert "once kubectl model resume news ends the pause" in ask("retry", held).said


def test_promote_names_the_candidate() -> None:
    assert ask("promote", canary()).annotations == {group.PROMOTE_ANNOTATION: "ads-9b27e4"}
    assert "now, from step 2 of 2 on" in ask("promote", canary()).said
    manual = seen("ads", rolling_out("ads", MANUAL), rollout=MANUAL)
    assert "takes all of the traffic now" in ask("promote", manual).said


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (lambda: seen("news", fleets.healthy("news")), "there is no candidate"),
        (lambda: seen("news", fleets.rolled_back("news")), "kubectl model retry news tries 9b27e4 again"),
        (lambda: seen("v", fleets.failing("v")), "takes the traffic by itself"),
        (lambda: canary({group.PAUSED_ANNOTATION: "true"}), "kubectl model resume ads comes first"),
        (lambda: canary({group.PROMOTE_ANNOTATION: "ads-9b27e4"}), "asked for already"),
        (lambda: seen("ads", rolling_out("ads", CANARY), generation=9, rollout=CANARY), "has not looked"),
    ],
)
def test_promote_is_refused_where_it_makes_no_sense(one: Any, reason: str) -> None:
    assert reason in refusal("promote", one())


def test_a_candidate_that_is_proven_worse_is_not_promoted() -> None:
    status = rolling_out("ads", CANARY)
    worse = [
        one.model_copy(update={"verdict": Verdict.DEGRADED}) if one.name == "ads-9b27e4" else one
        for one in status.revisions
    ]
    assert "proven worse" in refusal("promote", seen("ads", status.model_copy(update={"revisions": worse})))


def test_abort_of_a_candidate_needs_no_confirmation() -> None:
    request = ask("abort", canary())

    assert request.annotations == {group.ABORT_ANNOTATION: "ads-9b27e4"}
    assert request.question is None
    assert "its 24% of the requests go back; 6f1c0a goes on serving" in request.said


def test_abort_of_who_serves_does() -> None:
    one = seen("fraud", fleets.on_probation("fraud"), {group.PROMOTE_ANNOTATION: "fraud-9b27e4"})
    request = ask("abort", one)

    assert request.annotations == {group.ABORT_ANNOTATION: "fraud-9b27e4", group.PROMOTE_ANNOTATION: None}
    assert request.question == "team/fraud: 9b27e4 serves. Take all of its traffic away?"
    assert "at once to 6f1c0a" in request.said


@pytest.mark.parametrize(
    ("one", "revision", "reason"),
    [
        (lambda: seen("news", fleets.healthy("news")), None, "no good revision to go back to"),
        (lambda: seen("fraud", fleets.on_probation("fraud")), "6f1c0a", "is Standby: only a candidate or"),
        (lambda: seen("news", fleets.rolled_back("news")), "9b27e4", "was taken back already"),
        (lambda: canary({group.ABORT_ANNOTATION: "ads-9b27e4"}), None, "asked for already"),
        (lambda: seen("news", ModelDeploymentStatus()), None, "neither a candidate nor a revision that serves"),
    ],
)
def test_abort_is_refused_where_it_makes_no_sense(one: Any, revision: str | None, reason: str) -> None:
    assert reason in refusal("abort", one(), revision)


def test_pause_and_resume() -> None:
    held = {group.PAUSED_ANNOTATION: "true"}
    news = fleets.healthy("news")

    assert ask("pause", seen("news", news)).annotations == held
    assert "9b27e4 stays at 25% of the requests" in ask("pause", canary()).said
    assert "paused already, by spec.paused" in refusal("pause", seen("news", news, paused=True))
    assert "paused already; kubectl model resume" in refusal("pause", seen("news", news, held))
    assert ask("resume", seen("news", news, held)).annotations == {group.PAUSED_ANNOTATION: None}
    assert "by spec.paused" in ask("resume", seen("news", news, held, paused=True)).said
    assert "it runs" in refusal("resume", seen("news", news))
    assert "spec.paused holds it" in refusal("resume", seen("news", news, paused=True))


def held(action: Action) -> Seen:
    """A canary that a policy has something to say of."""
    situation = SituationStatus(
        situation=Situation.SOURCE_DOWN,
        revision="ads-9b27e4",
        since=timestamp(NOW),
        action=action,
        message="the labels of ads-9b27e4 cannot be read",
        resume=str(int(NOW.timestamp())),
    )
    status = rolling_out("ads", CANARY).model_copy(update={"situations": [situation]})
    return seen("ads", status, {group.RESUME_ANNOTATION: str(int(NOW.timestamp()))}, rollout=CANARY)


def test_a_pause_that_a_policy_has_made_is_ended_by_a_new_value() -> None:
    request = ask("resume", held(Action.PAUSE))
    assert request.annotations == {group.RESUME_ANNOTATION: str(int(NOW.timestamp()) + 1)}
    assert "9b27e4 goes on, although the labels of ads-9b27e4 cannot be read" in request.said
    assert "it runs" in refusal("resume", held(Action.HOLD))


def test_what_a_policy_holds_is_waited_for() -> None:
    assert "kubectl model resume ads, because the labels" in " ".join(waits(held(Action.PAUSE), NOW))
    assert "the end of this: the labels of ads-9b27e4" in " ".join(waits(held(Action.HOLD), NOW))
    assert "cannot be read" not in " ".join(waits(held(Action.ALERT), NOW))


def test_a_gateway_is_waited_for_before_anything_counts() -> None:
    status = rolling_out("ads", CANARY)
    route = {"parentRefs": [{"name": "public"}]}
    waiting = " ".join(waits(seen("ads", status, rollout=CANARY, route=route), NOW))
    assert "Gateways, which are to send it 25% of the requests" in waiting
    assert status.rollout
    reached = status.rollout.model_copy(update={"reached": status.rollout.weight, "reached_since": ago(minutes=1)})
    status = status.model_copy(update={"rollout": reached})
    assert "Gateways" not in " ".join(waits(seen("ads", status, rollout=CANARY, route=route), NOW))


def test_what_needs_attention_is_shown() -> None:
    told = Condition(
        type=ConditionType.NEEDS_ATTENTION,
        status=ConditionStatus.TRUE,
        reason=Reason.NO_TRAFFIC,
        message="no predictions come to news-1",
        last_transition_time=timestamp(NOW),
        observed_generation=1,
    )
    status = fleets.healthy("news")
    shown = model(Style(), seen("news", status.model_copy(update={"conditions": [*status.conditions, told]})), NOW)
    assert "no predictions come to news-1" in text(shown)
    assert "no predictions" not in text(model(Style(), seen("news", status), NOW))


def test_a_candidate_that_is_worse_may_be_promoted_where_its_user_decides() -> None:
    status = rolling_out("ads", CANARY)
    worse = [one.model_copy(update={"verdict": Verdict.DEGRADED}) for one in status.revisions]
    fields = {"rollout": CANARY, "policies": {"degraded": {"action": "Hold"}}}
    one = seen("ads", status.model_copy(update={"revisions": worse}), **fields)
    assert ask("promote", one).annotations == {group.PROMOTE_ANNOTATION: "ads-9b27e4"}


# --- For programs ------------------------------------------------------------------------------------------


def test_documents_say_what_the_text_says() -> None:
    told = status_document(canary(), NOW)
    assert (told["state"], told["candidateRevision"]) == ("progressing", "ads-9b27e4")
    assert {one["revision"]: one["trafficPercent"] for one in told["revisions"]} == {"ads-9b27e4": 24, "ads-6f1c0a": 76}
    back = seen("news", fleets.rolled_back("news"))
    assert [one["event"] for one in history_document(back)["history"]] == ["took the traffic", "was taken back"]
    found = why_document(back, back.revision("9b27e4"))
    assert found["quality"]["labels"] == 100
    assert found["quality"]["shareOfProof"] == pytest.approx(5.0 / 4.605, abs=1e-3)
    assert found["rejection"]["time"] == ago(hours=1)


# --- kubectl -----------------------------------------------------------------------------------------------

_NOISE = 'E1122 22:18:51.2 1 memcache.go:265] "Unhandled Error" err="couldn\'t get current server API group list"\n'


@pytest.mark.parametrize(
    ("errors", "code", "message"),
    [
        (
            'Error from server (NotFound): modeldeployments.modelops.dev "x" not found',
            Exit.NOT_FOUND,
            '"x" not found: ',
        ),
        ('error: the server doesn\'t have a resource type "modeldeployments"', Exit.NOT_FOUND, "install the operator"),
        ('Error from server (Forbidden): x is forbidden: User "a" cannot get', Exit.NO_RIGHTS, "x is forbidden"),
        ("error: You must be logged in to the server (Unauthorized)", Exit.NO_RIGHTS, "log in again"),
        (
            _NOISE + "The connection to the server 127.0.0.1:1 was refused - did you",
            Exit.UNREACHABLE,
            "no cluster: The",
        ),
        ("Unable to connect to the server: dial tcp: lookup x: no such host", Exit.UNREACHABLE, "no such host"),
        ("error: context was not found for specified context: x: does not exist", Exit.UNREACHABLE, "get-contexts"),
        ("error: stat /nope: no such file or directory", Exit.UNREACHABLE, "stat /nope"),
        ("error: something else", Exit.FAILED, "something else"),
        ("", Exit.FAILED, "without a word"),
    ],
)
def test_what_kubectl_complains_of_is_sorted(errors: str, code: Exit, message: str) -> None:
    told = failure(errors)

    assert told.code is code
    assert message in str(told)
    assert "memcache" not in str(told)


def test_an_object_that_has_changed_is_told_apart() -> None:
    assert isinstance(failure("Error from server (Conflict): the object has been modified"), ChangedError)


def test_the_resource_is_the_one_that_there_is() -> None:
    assert f"{group.PLURAL}.{group.GROUP}" == kubectl.RESOURCE


def test_a_kubectl_that_is_not_there_is_missed() -> None:
    with pytest.raises(CommandError, match="no kubectl on the PATH") as problem:
        kubectl.Kubectl(program="kubectl-that-is-not-there").get("news")
    assert problem.value.code is Exit.UNREACHABLE


def test_documents_are_read_one_by_one() -> None:
    printed = ['{"type":"ADDED","object":{}}\n', "{\n", '    "a": {\n', '        "b": 1\n', "    }\n", "}\n"]

    assert list(documents(printed)) == [{"type": "ADDED", "object": {}}, {"a": {"b": 1}}]


# --- The command line itself -------------------------------------------------------------------------------


def test_flags_of_kubectl_are_passed_on() -> None:
    given = parse(["status", "-n", "team", "--context=c", "--as=me", "--as-group=a", "--as-group=b"])

    expected = ["--namespace=team", "--context=c", "--as=me", "--as-group=a", "--as-group=b"]
    assert cluster_flags(given) == expected
    assert cluster_flags(parse(["status"])) == []


def test_every_exit_code_is_told() -> None:
    told = {int(number) for number in re.findall(r"(?:^| )  (\d) {2}\w", str(parser().epilog), re.MULTILINE)}

    assert told == {code.value for code in Exit if code is not Exit.INTERRUPTED}


@pytest.mark.parametrize("words", [[], ["what"], ["why"], ["simulate", "--minimum", "2"], ["status", "-o", "xml"]])
def test_what_is_not_understood_ends_with_usage(words: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        parse(words)
    assert end.value.code == Exit.USAGE


def test_help_loads_nothing_that_it_does_not_need() -> None:
    code = (
        "import sys\n"
        "from modeldeployment_operator.cli.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'pydantic', 'yaml', 'ssl', 'asyncio', 'multiprocessing'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


# --- A kubectl that misbehaves -----------------------------------------------------------------------------


def stand_in(path: Path, script: str) -> kubectl.Kubectl:
    """A program that says what kubectl would."""
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return kubectl.Kubectl(program=str(path))


def test_what_a_plugin_for_credentials_asks_is_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asking = stand_in(
        tmp_path / "k", "echo 'To sign in, use the code XYZ' >&2; echo 'error: (Unauthorized)' >&2; exit 1"
    )

    with pytest.raises(CommandError) as problem:
        asking.get("news").bodies()
    assert problem.value.code is Exit.NO_RIGHTS
    assert capfd.readouterr().err == "To sign in, use the code XYZ\n"


def test_what_was_deleted_between_two_watches_is_gone(tmp_path: Path) -> None:
    event = '{"type":"ADDED","object":{"metadata":{"namespace":"team","name":"news"}}}'
    missing = f"echo 'Error from server (NotFound): x' >&2; touch {tmp_path}/asked; exit 1"
    ends = stand_in(
        tmp_path / "k",
        f"case \"$*\" in *--watch*) test -e {tmp_path}/asked || echo '{event}';; *) {missing};; esac",
    )
    with Watch(ends, "news", everywhere=False) as watch:
        assert watch.changed(30)
        assert watch.bodies.keys() == {("team", "news")}
        assert watch.changed(30)
        assert watch.bodies == {}
        assert not watch.silent


def test_a_watch_that_breaks_keeps_what_was_seen(tmp_path: Path) -> None:
    event = '{"type":"ADDED","object":{"metadata":{"namespace":"team","name":"news"}}}'
    once = f"test -e {tmp_path}/seen || {{ touch {tmp_path}/seen; echo '{event}'; exit 0; }}"
    breaks = stand_in(tmp_path / "k", f"{once}; echo 'Unable to connect to the server: x' >&2; exit 1")
    with Watch(breaks, "news", everywhere=False) as watch:
        assert watch.changed(30)
        assert watch.changed(30)
        assert watch.silent
        assert watch.bodies.keys() == {("team", "news")}
