"""`kubectl model simulate` and `backtest`: what is reckoned, and what cannot be read."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from modeldeployment_operator.api.spec import Accuracy, AccuracyMetric
from modeldeployment_operator.cli.__main__ import main
from modeldeployment_operator.cli.backtest import Outcome, backtest
from modeldeployment_operator.cli.counts import read_counts
from modeldeployment_operator.cli.errors import CommandError, Exit
from modeldeployment_operator.cli.policy import policy
from modeldeployment_operator.cli.prometheus import counts_of
from modeldeployment_operator.cli.seen import Seen
from modeldeployment_operator.cli.simulation import Lives, Rival, Setting, gathered, live
from modeldeployment_operator.cli.text.backtest import backtest as told
from modeldeployment_operator.cli.text.simulation import simulation
from modeldeployment_operator.cli.text.style import Style
from modeldeployment_operator.core.evidence import Evidence
from modeldeployment_operator.core.observation import Key
from modeldeployment_operator.core.promql import read_answers

from tests.support.prometheus_answers import STARTED, a_pods_series, a_target, an_answer

START = datetime(2026, 1, 2, tzinfo=UTC)
SETTING = Setting(AccuracyMetric.ACCURACY, 0.9, 0.01, 30, labels=3000, every=10, seed=1)


# --- simulate ----------------------------------------------------------------------------------------------


def test_a_life_is_found_where_the_operators_own_test_finds_it() -> None:
    (end,) = live(SETTING, 1e-12, [0])

    evidence, labels = Evidence.start(0.9), 0
    while evidence.log_e < -math.log(0.01) or labels < 30:
        evidence, labels = evidence.observe(0, 10), labels + 10
    assert end == labels


def test_bad_ones_are_found_and_good_ones_left_alone() -> None:
    bad = gathered(SETTING, 0.8, live(SETTING, 0.8, range(40)))
    good = gathered(SETTING, 0.93, live(SETTING, 0.93, range(40)))

    assert (bad.share, bad.is_good) == (1, False)
    assert 60 < (bad.quantile(0.5) or 0) < 400
    assert (good.share, good.is_good, good.quantile(0.5)) == (0, True, None)
    assert 0.05 < good.upper < 0.1, "of 40 lives without a mistake, 3/40 at most"


def test_a_candidate_is_simulated_beside_the_one_that_serves() -> None:
    setting = Setting(AccuracyMetric.ACCURACY, None, 0.01, 30, 3000, 10, 1, Rival(0.05, 0.95, 50))
    bad, good = (gathered(setting, true, live(setting, true, range(12))) for true in (0.75, 0.9))

    assert setting.least == pytest.approx(0.9)
    assert (bad.share, bad.is_good, good.is_good) == (1, False, True)
    assert good.share < 0.3
    alone = gathered(SETTING, 0.75, live(SETTING, 0.75, range(12)))
    assert (bad.quantile(0.5) or 0) > (alone.quantile(0.5) or 0), "the other one is not known exactly either"


def test_the_seed_decides_everything_and_nothing_else_does() -> None:
    in_one, in_parts = live(SETTING, 0.85, range(6)), [live(SETTING, 0.85, [run])[0] for run in range(6)]

    assert in_one == in_parts
    assert in_one != live(Setting(**{**vars(SETTING), "seed": 2}), 0.85, range(6))


def test_right_labels_come_as_often_as_they_should() -> None:
    setting = Setting(AccuracyMetric.F1, 0.9, 0.01, 30, labels=10, every=10, seed=1)
    lives = [live(setting, 0.8, [run]) for run in range(3)]

    assert lives == [[None]] * 3, "ten labels are fewer than a verdict needs"


def test_what_a_simulation_says() -> None:
    lives = [Lives(0.8, 4, (100, 200, 300), is_good=False), Lives(0.92, 4, (), is_good=True)]
    text = "\n".join(simulation(Style(width=100), SETTING, lives, rate=50.0))

    assert "accuracy at least 0.9, alpha 0.01: 4 lives of 3,000 labels each, a look every 10, seed 1" in text
    assert "75% (3 of 4)" in text
    assert "200 labels" in text
    assert "later" in text
    assert "4 h" in text
    assert "0% (0 of 4), by mistake; at most 52.7%" in text


def test_simulate_from_end_to_end(capsys: pytest.CaptureFixture[str]) -> None:
    words = "simulate --minimum .9 --true .5 --true .95 --labels 200 --runs 5 -o json"

    assert main(words.split()) == Exit.DONE
    found = json.loads(capsys.readouterr().out)
    assert [(one["true"], one["degraded"], one["good"]) for one in found["results"]] == [
        (0.5, 5, False),
        (0.95, 0, True),
    ]


def test_yaml_is_ascii_where_nothing_else_can_be_shown(tmp_path: Path) -> None:
    path = tmp_path / "counts.csv"
    path.write_text("\n".join(csv((1, 5, 1, "größer"), head="time,correct,wrong,revision")), encoding="utf-8")
    command = [sys.executable, "-m", "modeldeployment_operator.cli", "backtest", str(path), "--minimum=.9", "-oyaml"]
    for encoding in ("ascii", "utf-8"):
        environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
        assert yaml.safe_load(done.stdout.decode(encoding))["revisions"][0]["revision"] == "größer"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("simulate", "accuracy needs minimum"),
        ("simulate --minimum .9 --alpha .5", "alpha"),
        ("simulate --minimum .9 --labels 5", "never looked at"),
        ("simulate --maximum-drop .02", "give --serving"),
        ("simulate --maximum-drop .5 --serving .4", "leaves nothing to demand"),
        ("backtest x.csv", "accuracy needs minimum"),
        ("backtest news --prometheus http://127.0.0.1:1 --since soon", "--since: 'soon' is no duration"),
    ],
)
def test_a_policy_that_is_none(words: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == Exit.USAGE
    assert reason in capsys.readouterr().err


# --- backtest: what is read --------------------------------------------------------------------------------


def csv(*rows: tuple[object, ...], head: str = "time,correct,wrong") -> list[str]:
    return [head, *(",".join(str(cell) for cell in row) for row in rows)]


def test_csv_and_json_lines_say_the_same() -> None:
    of_csv = read_counts(csv((START.isoformat(), 1, 2, "r"), head="Time, Correct ,wrong,revision"), "f", new=False)
    line = {"time": START.timestamp(), "correct": 1, "wrong": 2, "revision": "r"}
    of_json = read_counts([json.dumps(line), "", "  "], "f", new=False)

    assert of_csv.counts == of_json.counts
    assert (of_csv.counts[0].time, of_csv.counts[0].right, of_csv.counts[0].wrong) == (START, 1, 2)


def test_counts_that_fall_begin_anew() -> None:
    counts = [(5, 1), (9, 1), (2, 0), (3, 0)]
    recording = read_counts(csv(*((1000 + at, *both) for at, both in enumerate(counts))), "f", new=False)

    assert recording.restarts == 1
    assert [count.started for count in recording.counts] == ["run-0", "run-0", "run-1", "run-1"]
    outcome = backtest(Accuracy(minimum=0.5), recording, from_here=False)
    assert (outcome.lives[0].labels, outcome.lives[0].wrong) == (13, 1)


def test_rows_of_what_is_new_are_added_up() -> None:
    recording = read_counts(csv(("2026-01-01", 5, 1), ("2026-01-02", 2, 1)), "f", new=True)

    assert [(count.right, count.wrong) for count in recording.counts] == [(5, 1), (7, 2)]
    assert recording.restarts == 0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "f: there are no counts"),
        (["time,correct,wrong"], "f: there are no counts"),
        (["time,right,wrong", "1,2,3"], "f:1: correct is missing"),
        (csv(("2026-01-01", 1, 1), ("2026-01-02", 1)), "f:3: 2 columns, the first line has 3"),
        (csv(("2026-01-01", 1, "x")), "f:2: wrong is 'x', not a number of labels"),
        (csv(("2026-01-01", -1, 0)), "f:2: correct is '-1'"),
        (csv(("2026-01-01", "nan", 0)), "f:2: correct is 'nan'"),
        (csv(("2026-01-01", 1.5, 0)), "f:2: correct is '1.5'"),
        (csv(("2026-01-01", "1e400", 0)), "f:2: correct is '1e400'"),
        (csv(("noon", 1, 0)), "f:2: time is 'noon', not a time"),
        (csv(("9" * 30, 1, 0)), "f:2: time is '9999"),
        (csv(("2026-01-02", 1, 0), ("2026-01-01", 1, 0)), "f:3: 2026-01-01 is earlier"),
        (["time,correct,wrong", '"a,1,2'], "f:2: it is no CSV"),
        (['{"time": 1, "correct": 2, "wrong": 3}', "{"], "f:2: it is no JSON"),
        (['{"time": 1, "correct": 2}'], "f:1: wrong is missing"),
        (['{"time": 1, "correct": true, "wrong": 0}'], "f:1: correct is True"),
        (['{"time": [], "correct": 1, "wrong": 0}'], "f:1: time is []"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(lines: list[str], message: str) -> None:
    with pytest.raises(CommandError) as problem:
        read_counts(lines, "f", new=False)
    assert problem.value.code is Exit.BAD_INPUT
    assert message in str(problem.value)


# --- backtest: what would have been done -------------------------------------------------------------------


def record(*parts: tuple[str, float, int], seed: int = 1, apart: timedelta = timedelta(minutes=1)) -> list[str]:
    """Rows of several revisions one after the other: name, true accuracy, number of readings of ten labels each."""
    random, time, rows = Random(seed), START, []
    for revision, true, readings in parts:
        right = wrong = 0
        for _ in range(readings):
            new = sum(random.random() < true for _ in range(10))
            right, wrong, time = right + new, wrong + 10 - new, time + apart
            rows.append((time.isoformat(), right, wrong, revision))
    return csv(*rows, head="time,correct,wrong,revision")


def tried(lines: list[str], **policy: Any) -> Outcome:
    return backtest(Accuracy.parse(policy), read_counts(lines, "f", new=False), from_here=False)


def test_a_bad_revision_would_have_been_taken_back() -> None:
    good, bad = tried(record(("v1", 0.95, 60), ("v2", 0.7, 60)), minimum=0.9).lives

    assert good.degraded is None
    assert good.healthy is not None
    assert bad.degraded is not None
    assert bad.degraded.labels < 150
    assert bad.degraded.log_e >= -math.log(0.01)
    assert bad.back_to == "v1"


def test_it_is_what_the_operators_test_says() -> None:
    lines = record(("v1", 0.8, 60))
    (life,) = tried(lines, minimum=0.9).lives

    evidence, before = Evidence.start(0.9), (0, 0)
    for count in read_counts(lines, "f", new=False).counts:
        evidence = evidence.observe(count.right - before[0], count.wrong - before[1])
        before = (count.right, count.wrong)
        if evidence.log_e >= -math.log(0.01):
            break
    assert life.degraded is not None
    assert (life.degraded.time, life.degraded.labels, life.degraded.wrong) == (count.time, sum(before), before[1])
    assert life.degraded.log_e == pytest.approx(evidence.log_e)
    assert life.back_to is None, "there is nothing to go back to"


def test_a_drop_is_measured_from_the_last_good_one() -> None:
    first, bad, third = tried(record(("v1", 0.95, 90), ("v2", 0.6, 30), ("v3", 0.95, 30)), maximumDrop=0.03).lives

    assert (first.level, first.path) == (None, [])
    assert bad.level is not None
    assert bad.level == third.level, "one that was taken back is nobody's measure"
    assert bad.back_to == "v1"
    assert third.degraded is None


@pytest.mark.parametrize("metric", ["accuracy", "precision", "recall", "f1"])
def test_every_metric_is_a_share_of_what_was_recorded(metric: str) -> None:
    (life,) = tried(csv(("2026-01-01", 40, 20)), minimum=0.9, metric=metric).lives

    assert (life.labels, life.wrong) == (60, 20)
    assert life.judged is not None
    assert life.judged.estimate == pytest.approx(0.8 if metric == "f1" else 40 / 60)


def test_a_record_that_begins_in_the_middle_counts_from_there() -> None:
    rows = csv((START.isoformat(), 10, 90), ((START + timedelta(minutes=1)).isoformat(), 60, 90))
    recording = read_counts(rows, "f", new=False)

    (whole,) = backtest(Accuracy(minimum=0.9), recording, from_here=False).lives
    (part,) = backtest(Accuracy(minimum=0.9), recording, from_here=True).lives
    assert whole.degraded is not None
    assert (part.labels, part.degraded) == (50, None)


def test_what_a_backtest_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = record(("v1", 0.95, 60), ("v2", 0.7, 60))
    gap = (START + timedelta(hours=9)).isoformat()
    lines += [f"{gap},1,0,v2"]
    text = "\n".join(told(Style(width=100), tried(lines, minimum=0.9)))

    assert "policy: accuracy at least 0.9, alpha 0.01, from 30 labels on" in text
    assert "v1: serves on; first Healthy at 2026-01-02 00:" in text
    assert "v2: taken back at 2026-01-02 01:" in text
    assert "v1 serves again" in text
    assert "which is proof" in text
    assert "after that it had" in text
    assert "counting began anew once" in text
    assert "nothing was recorded for 7 h from 2026-01-02 02:00:00" in text

    path = tmp_path / "counts.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert main(["backtest", str(path), "--minimum", ".9", "-o", "json"]) == Exit.DONE
    found = json.loads(capsys.readouterr().out)
    assert [one["rolledBackTo"] for one in found["revisions"]] == [None, "v1"]
    assert found["revisions"][1]["degraded"]["labels"] >= 30
    assert (found["restarts"], len(found["gaps"])) == (1, 1)


def test_a_file_that_is_not_there_may_have_been_meant_as_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest", "news", "--minimum", ".9"]) == Exit.NOT_FOUND
    assert "--prometheus http://HOST:9090" in capsys.readouterr().err


# --- backtest: from Prometheus -----------------------------------------------------------------------------

CELLS = {("a", "a"): 50, ("a", "b"): 5, ("b", "b"): 30, ("b", "a"): 10, ("b", "none"): 5}
"""Labels by what was true and what was predicted; the second class is the positive one."""


@pytest.mark.parametrize(
    ("metric", "counted"),
    [("accuracy", (80, 20)), ("precision", (30, 5)), ("recall", (30, 15)), ("f1", (30, 20))],
)
def test_labels_by_class_are_read_from_prometheus(metric: str, counted: tuple[int, int]) -> None:
    series = a_pods_series(a_target("m-1-pod-0"), {60.0: (80, 20)}, cells=CELLS)
    (target,) = read_answers([an_answer(*series)])["team", "m-1-pod-0"]

    (count,), unusable = counts_of(Key("team", "m"), target, AccuracyMetric(metric), ("a", "b"))
    assert (count.right, count.wrong) == counted
    assert (count.revision, count.pod, count.started, unusable) == ("m-1", "m-1-pod-0", STARTED, 0)


def test_scrapes_that_are_not_whole_are_left_out() -> None:
    whole = a_pods_series(a_target("m-1-pod-0"), {60.0: (8, 2), 90.0: (9, 2)})
    whole[1]["values"].pop()
    (target,) = read_answers([an_answer(*whole)])["team", "m-1-pod-0"]

    counts, unusable = counts_of(Key("team", "m"), target, AccuracyMetric.ACCURACY, ("0", "1"))
    assert ([count.time.timestamp() for count in counts], unusable) == ([60.0], 1)
    assert counts_of(Key("team", "m"), target, AccuracyMetric.RECALL, ("0", "1")) == ([], 2)
    assert counts_of(Key("team", "other"), target, AccuracyMetric.ACCURACY, ("0", "1")) == ([], 0)


HERE = 'namespace="$(namespace)",revision="$(revision)"'
COUNTERS = {"correct": f'c{{{HERE},ok="1"}}', "total": f"c{{{HERE}}}"}


def of_query(query: dict[str, str]) -> Seen:
    spec = {"model": {"uri": "http://h/m"}, "accuracy": {"minimum": 0.9, "source": "Query", "query": query}}
    return Seen.of({"metadata": {"namespace": "team", "name": "m", "uid": "u", "resourceVersion": "1"}, "spec": spec})


def test_the_policy_of_a_model_whose_labels_others_count_is_taken_as_it_stands() -> None:
    taken = policy(Namespace(alpha=0.05), of_query(COUNTERS))

    assert (taken.minimum, taken.alpha, taken.query and taken.query.correct) == (0.9, 0.05, COUNTERS["correct"])


def test_a_gauge_is_no_policy_that_could_be_reckoned() -> None:
    with pytest.raises(CommandError, match="holds a gauge against a plain threshold"):
        policy(Namespace(), of_query({"gauge": f"g{{{HERE}}}"}))
